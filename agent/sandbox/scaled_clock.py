"""A clock that runs faster than the machine's, so that an hour passes in a minute."""

import threading
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ScaledClock:
    """Both clocks of a made-up boot, moving at ``speed`` times the machine's boot clock from a common origin.

    Processes given the same four values agree to the nanosecond: the time is a pure integer function of these and
    of CLOCK_BOOTTIME, which all processes share.

    Raises:
        ValueError: ``speed`` is not positive.
    """

    speed: float
    origin_boottime_ns: int
    origin_utc_ns: int
    boot_id: str

    def __post_init__(self) -> None:
        if not self.speed > 0:
            raise ValueError(f"a clock cannot run at speed {self.speed}")

    def boottime_ns(self) -> int:
        """Return the scaled boot clock; at the origin it equals CLOCK_BOOTTIME."""
        return self.origin_boottime_ns + self._elapsed_ns()

    def utc_ns(self) -> int:
        """Return the scaled UTC, which keeps step with the scaled boot clock."""
        return self.origin_utc_ns + self._elapsed_ns()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait for at most ``seconds`` of this clock, which are ``seconds / speed`` on the wall."""
        return event.wait(max(0.0, seconds) / self.speed)

    def _elapsed_ns(self) -> int:
        # A float product would be off by hundreds of nanoseconds after some days: a float is a ratio of integers.
        numerator, denominator = float(self.speed).as_integer_ratio()
        return (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - self.origin_boottime_ns) * numerator // denominator
