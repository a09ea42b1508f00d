"""The boots of a box in their order, so that each moment gets a UTC, or at least bounds.

A boot that never learned the time lies between its neighbours: it cannot have begun before the boot before it was
last seen, nor gone on after the next one was first seen. Boot clocks run at most ``DRIFT_PPM`` fast or slow.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from instrument_agent.core.anchors import DRIFT_PPM, Anchor, Quality, Sights, Utc

_PARTS = 1_000_000 // DRIFT_PPM


@dataclass(frozen=True, slots=True)
class Boot:
    """One boot: when on its clock the agent was first and last known to be there."""

    boot_id: str
    first_ns: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class Moment:
    """What is known of a moment: UTC (ns since 1970) is not before and not after these; None: nothing bounds it."""

    earliest_ns: int | None
    latest_ns: int | None

    @property
    def utc(self) -> Utc | None:
        """The middle of the bounds and how far it may be off; None without bounds on both sides."""
        if self.earliest_ns is None or self.latest_ns is None:
            return None
        middle_ns = (self.earliest_ns + self.latest_ns) // 2
        return Utc(middle_ns, self.latest_ns - middle_ns)

    @property
    def quality(self) -> Quality:
        """How well this is known."""
        return Quality.UNKNOWN if self.utc is None else self.utc.quality


class Chronology:
    """The boots of a box, oldest first, and every sight of UTC in them."""

    def __init__(self, boots: Sequence[Boot], anchors: Iterable[Anchor]) -> None:
        of_boot: dict[str, list[Anchor]] = defaultdict(list)
        for anchor in anchors:
            of_boot[anchor.boot_id].append(anchor)
        self._sights = {boot_id: Sights(known) for boot_id, known in of_boot.items()}
        self._boots = {boot.boot_id: boot for boot in boots}
        self._not_before = self._earliest_starts(boots)
        self._not_after = self._latest_ends(boots)

    def utc(self, boot_id: str, boottime_ns: int) -> Utc | None:
        """Return the UTC of a moment from the anchors of its own boot, or else from bounds on both sides."""
        sights = self._sights.get(boot_id)
        return self.moment(boot_id, boottime_ns).utc if sights is None else sights.utc(boottime_ns)

    def moment(self, boot_id: str, boottime_ns: int) -> Moment:
        """Return between which moments in UTC a moment of a boot lies."""
        sights = self._sights.get(boot_id)
        if sights is not None:
            utc = sights.utc(boottime_ns)
            return Moment(utc.utc_ns - utc.error_ns, utc.utc_ns + utc.error_ns)
        boot = self._boots.get(boot_id)
        if boot is None:
            return Moment(None, None)
        start_ns, end_ns = self._not_before[boot_id], self._not_after[boot_id]
        earliest_ns = None if start_ns is None else start_ns + _at_least(boottime_ns - boot.first_ns)
        latest_ns = None if end_ns is None else end_ns - _at_least(boot.last_ns - boottime_ns)
        if earliest_ns is not None and latest_ns is not None and earliest_ns > latest_ns:
            # Neighbours that contradict each other (a copied card, a false anchor) leave all between them open.
            return Moment(latest_ns, earliest_ns)
        return Moment(earliest_ns, latest_ns)

    def _earliest_starts(self, boots: Sequence[Boot]) -> dict[str, int | None]:
        """Return the UTC before which each boot cannot have been first seen; None if no earlier boot knows the time."""
        found: dict[str, int | None] = {}
        reached_ns: int | None = None
        for boot in boots:
            found[boot.boot_id] = reached_ns
            sights = self._sights.get(boot.boot_id)
            if sights is not None:
                end = sights.utc(boot.last_ns)
                reached_ns = end.utc_ns - end.error_ns
            elif reached_ns is not None:
                reached_ns += _at_least(boot.last_ns - boot.first_ns)
        return found

    def _latest_ends(self, boots: Sequence[Boot]) -> dict[str, int | None]:
        """Return the UTC after which each boot cannot have been last seen; None if no later boot knows the time."""
        found: dict[str, int | None] = {}
        reached_ns: int | None = None
        for boot in reversed(boots):
            found[boot.boot_id] = reached_ns
            sights = self._sights.get(boot.boot_id)
            if sights is not None:
                start = sights.utc(boot.first_ns)
                reached_ns = start.utc_ns + start.error_ns
            elif reached_ns is not None:
                reached_ns -= _at_least(boot.last_ns - boot.first_ns)
        return found


def _at_least(boot_ns: int) -> int:
    """Return how much time has passed at least while a boot clock counted so much (negative: so much back at most)."""
    return boot_ns - -(-abs(boot_ns) // _PARTS)
