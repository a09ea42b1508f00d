"""The clock everything else is given.

Durations come from the boot clock (CLOCK_BOOTTIME), which counts on during suspend and is never set. The wall
clock is only a claim about UTC (docs/decisions/0004). Schedules wait through the clock, so that a scaled or a
fake clock moves them too; deadlines of I/O never do.
"""

import threading
import time
import uuid
from os import environ
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    """A source of time: the real one, a scaled one (demo), or a fake one (tests)."""

    @property
    def boot_id(self) -> str:
        """Identity of this boot (UUID with hyphens); boot-clock times of different boots cannot be compared."""

    def boottime_ns(self) -> int:
        """Nanoseconds since this boot, including suspend."""

    def utc_ns(self) -> int:
        """What the wall clock claims, in nanoseconds since 1970 (UTC); not trusted."""

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until ``event`` is set (True) or ``seconds`` of this clock have passed (False)."""


class SystemClock:
    """The clocks of the machine."""

    def __init__(self) -> None:
        self.boot_id = read_boot_id()

    def boottime_ns(self) -> int:
        """Return CLOCK_BOOTTIME."""
        return boottime_ns()

    def utc_ns(self) -> int:
        """Return CLOCK_REALTIME."""
        return time.time_ns()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait on the event for at most ``seconds``."""
        return event.wait(max(0.0, seconds))


def boottime_ns() -> int:
    """Return nanoseconds since this boot; unlike ``time.monotonic`` it counts on during suspend."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def read_boot_id() -> str:
    """Return this boot's id.

    systemd hands it over as BOOT_ID (the unit sets ``Environment=BOOT_ID=%b``), because a hardened unit cannot
    see it in /proc.
    """
    text = environ.get("BOOT_ID") or Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    return str(uuid.UUID(text.strip()))
