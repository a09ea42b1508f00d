"""The one wrapper around every driver.

It stamps the time, refuses values that are not credible, says once when a device is lost and once when it is back,
counts, and leaves a device that does not answer alone for a while. Drivers do none of this.
"""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

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

log = logging.getLogger(__name__)

LONGEST_BACKOFF_S = 15.0
"""A device that comes back is seen again after at most this long."""


@dataclass(frozen=True, slots=True)
class Health:
    """How reading one instrument goes; ``failing`` is the reason while it fails, ``error`` what was said last."""

    reads: int = 0
    failures: int = 0
    failing: UnknownReason | None = None
    error: str = ""
    hint: str = ""


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
        self._open = False
        self._in_a_row = 0
        self._retry_at_ns = 0

    def read(self) -> Reading:
        """Read the instrument once, opening its port if need be."""
        before_ns = self._clock.boottime_ns()
        if self.health.failing is not None and before_ns < self._retry_at_ns:
            return FailedRead(before_ns, self.health.failing)
        try:
            values = self._read()
        except DeviceUnavailable as error:
            return self._failed(UnknownReason.DRIVER_UNAVAILABLE, error)
        except (Exception, SystemExit) as error:  # noqa: BLE001  # a driver is foreign code; its bugs stay with it
            return self._failed(UnknownReason.DRIVER_ERROR, error)
        after_ns = self._clock.boottime_ns()
        self._succeeded()
        return Observation((before_ns + after_ns) // 2, values)

    def close(self) -> None:
        """Close the port, whatever the driver makes of it."""
        self._open = False
        try:
            self._driver.close()
        except Exception:
            log.exception("%s: closing the driver failed", self._name)

    def _read(self) -> Mapping[str, Value]:
        if not self._open:
            self._driver.open()
            self._channels = {channel.name: channel for channel in self._driver.channels}
            self._open = True
        return {name: self._credible(name, value) for name, value in self._driver.read(self._timeout_s).items()}

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
        self.health = replace(self.health, reads=self.health.reads + 1, failing=None, error="", hint="")

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
        )
        return FailedRead(now_ns, reason)
