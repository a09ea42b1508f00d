"""The one wrapper around every driver.

It stamps the time, refuses values that are not credible, says once when a device is lost and once when it is back,
counts, and leaves a device that does not answer alone for a while. Drivers do none of this. When the circuit to a
device is open (``lost``), its bus decides when and for how long it is tried again (docs/decisions/0012).
"""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from instrument_agent.clock import Clock
from instrument_agent.core.errors import AgentError, DeviceUnavailable
from instrument_agent.core.readings import (
    NS_PER_S,
    Channel,
    FailedRead,
    Observation,
    Reading,
    UnknownReason,
    Value,
)
from instrument_agent.drivers.protocol import Driver
from instrument_agent.poll.counters import Counters

if TYPE_CHECKING:
    from instrument_agent.drivers.modbus_frames import Question

log = logging.getLogger(__name__)

LONGEST_BACKOFF_S = 15.0
"""A device that comes back is seen again after at most this long."""


@dataclass(frozen=True, slots=True)
class Health:
    """How reading one instrument goes; ``failing`` is the reason while it fails, ``error`` what was said last.

    ``backwards`` counts the values of energy counters that were refused because they were lower than before.
    """

    reads: int = 0
    failures: int = 0
    failing: UnknownReason | None = None
    error: str = ""
    hint: str = ""
    backwards: int = 0


class Guard:
    """A driver as the rest of the agent sees it: ``read`` never raises."""

    def __init__(self, instrument_id: str, driver: Driver, clock: Clock, timeout_s: float, poll_s: float) -> None:
        self.health = Health()
        self._name = instrument_id
        self._driver = driver
        self._clock = clock
        self._timeout_s = timeout_s
        self._poll_s = poll_s
        self._channels: dict[str, Channel] = {}
        self._counters = Counters(instrument_id)
        self._took_ns = 0
        self._open = False
        self._in_a_row = 0
        self._retry_at_ns = 0

    @property
    def timeout_s(self) -> float:
        """How long the device may take."""
        return self._timeout_s

    @property
    def took_s(self) -> float:
        """How long its last good read took; 0 if there was none."""
        return self._took_ns / NS_PER_S

    @property
    def lost(self) -> bool:
        """Whether the circuit is open: it failed twice in a row, or was never read at all."""
        return self._in_a_row > (1 if self.health.reads else 0)

    @property
    def resting(self) -> bool:
        """Whether it failed so often that it is left alone now."""
        return self.health.failing is not None and self._clock.boottime_ns() < self._retry_at_ns

    def read(self, timeout_s: float | None = None) -> Reading:
        """Read the instrument once, opening its port if need be; ``timeout_s`` may be less than it has otherwise."""
        if self.resting:
            return self.unread()
        before_ns = self._clock.boottime_ns()
        try:
            values = self._read(self._timeout_s if timeout_s is None else timeout_s)
        except DeviceUnavailable as error:
            return self._failed(UnknownReason.DRIVER_UNAVAILABLE, error)
        except (Exception, SystemExit) as error:  # noqa: BLE001  # a driver is foreign code; its bugs stay with it
            return self._failed(UnknownReason.DRIVER_ERROR, error)
        after_ns = self._clock.boottime_ns()
        self._took_ns = after_ns - before_ns
        self._succeeded()
        return Observation((before_ns + after_ns) // 2, values)

    def unread(self) -> FailedRead:
        """Say that it still fails, without asking it."""
        return FailedRead(self._clock.boottime_ns(), self.health.failing or UnknownReason.NOT_POLLED)

    @property
    def channels(self) -> list[Channel]:
        """What the driver can read; nothing if it cannot even say that."""
        try:
            return list(self._driver.channels)
        except Exception:
            log.exception("%s: the driver does not say what it reads", self._name)
            return []

    def words(self) -> Mapping[tuple[int, int], int] | None:
        """Read the registers as they are on the wire, by (function, address); None if the driver has no registers.

        Raises:
            DeviceUnavailable: the device did not answer.
        """
        read_words = getattr(self._driver, "read_words", None)
        if read_words is None:
            return None
        try:
            self._ensure_open()
            words: Mapping[tuple[int, int], int] = read_words(self._timeout_s)
        except Exception:
            self.close()
            raise
        return words

    @property
    def asker(self) -> "Callable[[Question, float], list[int] | None] | None":
        """What asks any unit on the driver's line, within seconds; None if the driver does not speak Modbus."""
        found: Callable[[Question, float], list[int] | None] | None = getattr(self._driver, "ask", None)
        return found

    def close(self) -> None:
        """Close the port, whatever the driver makes of it."""
        self._open = False
        try:
            self._driver.close()
        except Exception:
            log.exception("%s: closing the driver failed", self._name)

    def _ensure_open(self) -> None:
        if not self._open:
            self._driver.open()
            self._channels = {channel.name: channel for channel in self._driver.channels}
            self._open = True

    def _read(self, timeout_s: float) -> Mapping[str, Value]:
        self._ensure_open()
        values = {name: self._credible(name, value) for name, value in self._driver.read(timeout_s).items()}
        return self._counters.checked(values, self._channels)

    def _credible(self, name: str, value: Value) -> Value:
        if isinstance(value, str):
            return value
        if not isinstance(value, int | float) or not math.isfinite(value):
            return None
        channel = self._channels.get(name)
        return value if channel is None or channel.low <= value <= channel.high else None

    def _succeeded(self) -> None:
        if self.health.failing is not None:
            log.warning("%s: back after %d failed reads", self._name, self._in_a_row)
        self._in_a_row = 0
        self.health = Health(self.health.reads + 1, self.health.failures, backwards=self._counters.backwards)

    def _failed(self, reason: UnknownReason, error: BaseException) -> FailedRead:
        self.close()
        now_ns = self._clock.boottime_ns()
        if self.health.failing is not reason:
            told = reason is UnknownReason.DRIVER_ERROR
            log.warning("%s: lost, %s: %s", self._name, reason.value, error, exc_info=error if told else None)
        backoff_s = min(LONGEST_BACKOFF_S, self._poll_s * 2 ** min(self._in_a_row, 10))
        # The first failure is tried again at the next poll: a single lost frame is ordinary.
        self._retry_at_ns = now_ns + (round(backoff_s * NS_PER_S) if self._in_a_row else 0)
        self._in_a_row += 1
        self.health = Health(
            reads=self.health.reads,
            failures=self.health.failures + 1,
            failing=reason,
            error=str(error),
            hint=error.hint if isinstance(error, AgentError) else "",
            backwards=self._counters.backwards,
        )
        return FailedRead(now_ns, reason)
