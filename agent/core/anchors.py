"""Where boot clocks touch UTC.

An anchor says: at this boot-clock time it was this time UTC, within this error. Quartz drifts by ``DRIFT_PPM`` at
most, so for any other moment of the same boot each anchor allows a span of UTC that widens with the distance. While
the anchors agree, the truth lies in all of their spans: UTC is the middle of what they have in common, and its error
half of that. Between two anchors this interpolates, outside it extrapolates, and it never runs backwards.

If they do not agree, one of them is wrong and nobody can tell which. Then UTC is the middle of everything the
nearest anchors of each source allow, and its error reaches to the ends of that.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from instrument_agent.core.readings import NS_PER_MS, NS_PER_S

DRIFT_PPM = 100
"""Worst drift assumed of a Pi's quartz between two sights of UTC."""
EXACT_NS = NS_PER_S
GOOD_NS = 60 * NS_PER_S
NTP = "ntp"
PLATFORM = "platform:"
"""The source of a platform's anchors is this and the name of the destination."""
DAY_NS = 86_400 * NS_PER_S
BUILT_UTC_NS = 1_767_225_600 * NS_PER_S
"""2026-01-01: before this software was written, so before any moment it can have seen."""
LATEST_UTC_NS = BUILT_UTC_NS + 15 * 366 * DAY_NS
"""Longer than a box lives: a clock that says so is mistaken."""

_PARTS = 1_000_000 // DRIFT_PPM  # drift is one part in so many
_Line = tuple[int, int]  # lowest and highest UTC at boot-clock zero, in ns times _PARTS


class Quality(StrEnum):
    """How well a moment is known: to 1 s, to 60 s, between two bounds, or not at all."""

    EXACT = "exact"
    GOOD = "good"
    BOUNDED = "bounded"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Anchor:
    """One sight of UTC: ``utc_ns`` (since 1970) at ``boottime_ns`` of boot ``boot_id``, true to ``error_ns``."""

    boot_id: str
    boottime_ns: int
    utc_ns: int
    error_ns: int
    source: str


@dataclass(frozen=True, slots=True)
class Utc:
    """A moment in UTC (nanoseconds since 1970) and how far it may be off."""

    utc_ns: int
    error_ns: int

    @property
    def quality(self) -> Quality:
        """How well this is known."""
        if self.error_ns <= EXACT_NS:
            return Quality.EXACT
        return Quality.GOOD if self.error_ns <= GOOD_NS else Quality.BOUNDED

    def in_ms(self) -> tuple[int, int]:
        """Return the moment and its error in whole milliseconds, the error rounded up until it holds the truth."""
        at_ms = self.utc_ns // NS_PER_MS
        return at_ms, -(-(self.error_ns + self.utc_ns - at_ms * NS_PER_MS) // NS_PER_MS)


class Sights:
    """The anchors of one boot, ready to be asked for many moments."""

    def __init__(self, anchors: Iterable[Anchor]) -> None:
        """Take the anchors of one boot, in any order.

        Raises:
            ValueError: there is none.
        """
        self._anchors = sorted(credible(anchors), key=lambda anchor: anchor.boottime_ns)
        if not self._anchors:
            raise ValueError("a boot without a sight of UTC")
        self._times_ns = [anchor.boottime_ns for anchor in self._anchors]
        self._best_ns = min(anchor.error_ns for anchor in self._anchors)
        # What all anchors up to one, or from one on, allow together. Their lines are parallel, so the ends can be
        # compared once for all moments.
        self._behind = _narrowed([_line(anchor, 1) for anchor in self._anchors])
        self._ahead = _narrowed([_line(anchor, -1) for anchor in reversed(self._anchors)])[::-1]

    def utc(self, boottime_ns: int) -> Utc:
        """Return the UTC of a moment of this boot; never better known than the best anchor."""
        behind = bisect_right(self._times_ns, boottime_ns)
        spans = [_span(self._behind[behind - 1], boottime_ns, 1)] if behind else []
        spans += [_span(self._ahead[behind], boottime_ns, -1)] if behind < len(self._anchors) else []
        earliest_ns, latest_ns = max(low for low, _high in spans), min(high for _low, high in spans)
        if earliest_ns > latest_ns:
            spans = [_span_of(anchor, boottime_ns) for anchor in self._nearest(boottime_ns)]
            earliest_ns, latest_ns = min(low for low, _high in spans), max(high for _low, high in spans)
        middle_ns = (earliest_ns + latest_ns) // 2
        return Utc(middle_ns, max(latest_ns - middle_ns, self._best_ns))

    def _nearest(self, boottime_ns: int) -> Iterable[Anchor]:
        """Return the last anchor before the moment and the first one after it, of each source."""
        before = {anchor.source: anchor for anchor in self._anchors if anchor.boottime_ns <= boottime_ns}
        after = {anchor.source: anchor for anchor in reversed(self._anchors) if anchor.boottime_ns > boottime_ns}
        return [*before.values(), *after.values()]


def utc_of(anchors: Iterable[Anchor], boot_id: str, boottime_ns: int) -> Utc | None:
    """Return the UTC of a moment of a boot, from the anchors of that boot; None without one."""
    of_boot = [anchor for anchor in anchors if anchor.boot_id == boot_id]
    return Sights(of_boot).utc(boottime_ns) if of_boot else None


def plausible(utc_ns: int, platform_utc_ns: int | None = None) -> bool:
    """Say whether a clock can be right, given what a platform's clock says at the same moment, if that is known."""
    latest_ns = LATEST_UTC_NS if platform_utc_ns is None else platform_utc_ns + DAY_NS
    return BUILT_UTC_NS <= utc_ns <= latest_ns


def credible(anchors: Iterable[Anchor]) -> list[Anchor]:
    """Return the anchors of one boot without those that the platforms' own show to be more than a day late.

    An NTP server that spoke before any platform did is found out only afterwards.
    """
    known = list(anchors)
    starts_ns = [anchor.utc_ns - anchor.boottime_ns for anchor in known if anchor.source.startswith(PLATFORM)]
    return [
        anchor
        for anchor in known
        if not starts_ns
        or anchor.source.startswith(PLATFORM)
        or plausible(anchor.utc_ns, max(starts_ns) + anchor.boottime_ns)
    ]


def in_whole_ms(anchor: Anchor) -> Anchor:
    """Return the anchor as its record will say it: whole milliseconds, with what that costs added to the error."""
    boottime_ns = anchor.boottime_ns // NS_PER_MS * NS_PER_MS
    moved = Utc(anchor.utc_ns - (anchor.boottime_ns - boottime_ns), anchor.error_ns)
    at_ms, error_ms = moved.in_ms()
    return Anchor(anchor.boot_id, boottime_ns, at_ms * NS_PER_MS, error_ms * NS_PER_MS, anchor.source)


def contradict(one: Anchor, other: Anchor) -> bool:
    """Say whether two anchors of one boot cannot both be right."""
    first, second = _span_of(one, other.boottime_ns), (other.utc_ns - other.error_ns, other.utc_ns + other.error_ns)
    return first[0] > second[1] or second[0] > first[1]


def _line(anchor: Anchor, side: int) -> _Line:
    """Return what an anchor allows on the side after it (1) or before it (-1)."""
    zero_ns = (anchor.utc_ns - anchor.boottime_ns) * _PARTS
    margin_ns = anchor.error_ns * _PARTS - side * anchor.boottime_ns
    return zero_ns - margin_ns, zero_ns + margin_ns


def _span(line: _Line, boottime_ns: int, side: int) -> tuple[int, int]:
    """Return the earliest and latest UTC at a moment, rounded outwards."""
    low, high = line
    return (
        (low + (_PARTS - side) * boottime_ns) // _PARTS,
        -(-(high + (_PARTS + side) * boottime_ns) // _PARTS),
    )


def _span_of(anchor: Anchor, boottime_ns: int) -> tuple[int, int]:
    side = 1 if boottime_ns >= anchor.boottime_ns else -1
    return _span(_line(anchor, side), boottime_ns, side)


def _narrowed(lines: Sequence[_Line]) -> list[_Line]:
    """Return for each line what it and all lines before it have in common."""
    found: list[_Line] = []
    for low, high in lines:
        before = found[-1] if found else (low, high)
        found.append((max(low, before[0]), min(high, before[1])))
    return found
