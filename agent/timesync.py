"""Whether the wall clock is known to be right, as far as that can be seen from inside the sandbox.

systemd-timesyncd touches a file at each successful exchange with its time server. The file lies in RAM, so it is of
this boot. Without it, or with one that does not vouch for the wall clock as it stands, the wall clock is nothing.
"""

from pathlib import Path

from instrument_agent.clock import Clock
from instrument_agent.core.anchors import NTP, Anchor
from instrument_agent.core.readings import NS_PER_S

SYNCHRONIZED = Path("/run/systemd/timesync/synchronized")
NTP_ERROR_NS = NS_PER_S
FRESH_NS = 7200 * NS_PER_S
"""timesyncd asks at least every 2048 s. After 2 h of silence drift could reach 0.72 s of the second allowed above."""
STEP_NS = NS_PER_S // 2
"""Wall clock and boot clock are slewed together; if they move apart by this much, the wall clock was set."""


class TimeSync:
    """What says that the wall clock was set by a time server in this boot."""

    def __init__(self, clock: Clock, path: Path = SYNCHRONIZED) -> None:
        self._clock = clock
        self._path = path
        self._touched_ns = 0
        self._booted_utc_ns = 0

    def sight(self) -> Anchor | None:
        """Return the wall clock's time as a sight of UTC; None unless a time server vouches for it now."""
        try:
            touched_ns = self._path.stat().st_mtime_ns
        except OSError:  # there is no timesyncd here, or it has not succeeded yet
            return None
        boottime_ns, utc_ns = self._clock.boottime_ns(), self._clock.utc_ns()
        if touched_ns != self._touched_ns:
            self._touched_ns, self._booted_utc_ns = touched_ns, utc_ns - boottime_ns
        if not self._vouched(boottime_ns, utc_ns):
            return None
        return Anchor(self._clock.boot_id, boottime_ns, utc_ns, NTP_ERROR_NS, NTP)

    def _vouched(self, boottime_ns: int, utc_ns: int) -> bool:
        """Say whether the exchange that touched the file still tells something about the wall clock.

        A wall clock that was set afterwards shows in three ways: it moved against the boot clock while we watched,
        or, if we did not, the file seems to be from the future or from before this boot.
        """
        moved_ns = abs(utc_ns - boottime_ns - self._booted_utc_ns)
        age_ns = utc_ns - self._touched_ns
        return moved_ns <= STEP_NS and -STEP_NS <= age_ns <= min(FRESH_NS, boottime_ns)
