"""Time counted once: hours per instrument from the sessions of all boxes that ever watched it.

A key makes a record unique; it does not make a second unique. A copied card, a restored card or two boxes of one
name write new records about seconds that others have reported. So sessions are compared per instrument: within a boot
on its own clock, between boots in UTC. What came first is counted; of what came later, the part that certainly lies
inside it is kept and shown as doubled, and not summed. UTC of two boots is known to some error each: an overlap
that is no longer than both errors together is no proof and is summed.

An instrument is the one of its platform code, whichever box watches it; without a code, it is that of its box.
"""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from instrument_agent.core.anchors import Anchor, Sights
from instrument_agent.core.readings import NS_PER_MS

COUNTED = {"run_session": "running_ms", "power_session": "powered_ms"}

_Piece = tuple[int, int]  # start and end, ms


@dataclass(frozen=True, slots=True)
class Doubled:
    """A session that reports time which another one has reported: ``doubled_ms`` of it are not summed."""

    box_id: str
    epoch: str
    seq: int
    doubled_ms: int


@dataclass(slots=True)
class Spent:
    """The sum of one kind of session of one instrument.

    ``undated_ms`` is the part of ``counted_ms`` from boots without a sight of UTC, which cannot be compared.
    """

    counted_ms: int = 0
    doubled_ms: int = 0
    undated_ms: int = 0
    doubled: list[Doubled] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Instrument:
    """Whose time it is: the platform code, or where there is none the box and its name for the instrument."""

    platform_code: str
    box_id: str
    instrument_id: str


@dataclass(slots=True)
class Hours:
    """What one instrument ran, and had power for."""

    instrument: Instrument
    running: Spent = field(default_factory=Spent)
    powered: Spent = field(default_factory=Spent)


def hours(records: Iterable[Mapping[str, Any]]) -> list[Hours]:
    """Return the hours of each instrument from records in order of arrival, each key once."""
    listed = list(records)
    clocks = boot_clocks(listed)
    gaps: dict[tuple[str, str, str], list[_Piece]] = defaultdict(list)  # of a box, instrument and boot, so far
    codes: dict[tuple[str, str], str] = {}
    found: dict[Instrument, Hours] = {}
    taken: dict[tuple[Instrument, str], _Taken] = defaultdict(_Taken)
    for record in listed:
        where = record["box_id"], record.get("instrument_id", "")
        if record["type"] == "lifecycle_event" and "identity" in record["data"]:
            codes[where] = str(record["data"]["identity"].get("platform_code", ""))
        if record["type"] == "observation_gap":
            # A session comes after the gaps in it. What comes later, from a card that was put back, unsees nothing.
            _add(gaps[*where, record["boot_id"]], (record["data"]["start_ms"], record["data"]["end_ms"]))
        if record["type"] not in COUNTED:
            continue
        code = codes.get(where, "")
        whose = Instrument(code, "", "") if code else Instrument("", *where)
        seen = _without((record["data"]["start_ms"], record["data"]["end_ms"]), gaps[*where, record["boot_id"]])
        doubled_ms = taken[whose, record["type"]].add(record["boot_id"], seen, clocks.get(record["boot_id"]))
        mine = found.setdefault(whose, Hours(whose))
        _count(mine.running if record["type"] == "run_session" else mine.powered, record, doubled_ms, clocks)
    return list(found.values())


def boot_clocks(records: Iterable[Mapping[str, Any]]) -> dict[str, Sights]:
    """Return the sights of UTC of each boot that has any."""
    anchors: dict[str, list[Anchor]] = defaultdict(list)
    for record in records:
        if record["type"] == "time_anchor":
            data, boot_id = record["data"], record["boot_id"]
            at_ns, utc_ns, error_ns = (data[name] * NS_PER_MS for name in ("boottime_ms", "utc_ms", "error_ms"))
            anchors[boot_id].append(Anchor(boot_id, at_ns, utc_ns, error_ns, data["source"]))
    return {boot_id: Sights(known) for boot_id, known in anchors.items()}


def _count(spent: Spent, record: Mapping[str, Any], doubled_ms: int, clocks: Mapping[str, Sights]) -> None:
    data = record["data"]
    # Exactly the box's own figure where nothing is doubled.
    doubled_ms = min(doubled_ms, data[COUNTED[record["type"]]])
    counted_ms = data[COUNTED[record["type"]]] - doubled_ms
    spent.counted_ms += counted_ms
    spent.doubled_ms += doubled_ms
    if record["boot_id"] not in clocks:
        spent.undated_ms += counted_ms
    if doubled_ms:
        spent.doubled.append(Doubled(record["box_id"], record["epoch"], record["seq"], doubled_ms))


def _add(holes: list[_Piece], hole: _Piece) -> None:
    """Put a hole among others, which are sorted and apart from each other, and make one of those that touch."""
    start, end = hole
    first = bisect_left(holes, (start, start))
    first -= first > 0 and holes[first - 1][1] >= start
    last = first
    while last < len(holes) and holes[last][0] <= end:
        start, end = min(start, holes[last][0]), max(end, holes[last][1])
        last += 1
    holes[first:last] = [(start, end)]


def _joined(pieces: list[_Piece]) -> list[_Piece]:
    """Return pieces sorted, with those that overlap made one."""
    joined: list[_Piece] = []
    for start, end in sorted(pieces):
        if joined and start <= joined[-1][1]:
            start, end = joined[-1][0], max(end, joined.pop()[1])  # noqa: PLW2901  # the two are one now
        joined.append((start, end))
    return joined


def _without(span: _Piece, holes: list[_Piece]) -> list[_Piece]:
    """Return what is left of a span without its holes, which are sorted and apart from each other."""
    pieces, (start, end) = [], span
    for at in range(max(0, bisect_left(holes, (start, start)) - 1), len(holes)):
        low, high = holes[at]
        if low >= end:
            break
        if low > start:
            pieces.append((start, low))
        start = max(start, high)
    return [*pieces, (start, end)] if start < end else pieces


class _Taken:
    """The time of one instrument that is counted already."""

    def __init__(self) -> None:
        self._of_boot: dict[str, list[_Piece]] = defaultdict(list)
        self._in_utc: dict[str, list[tuple[int, int, int]]] = defaultdict(list)  # start, end, error
        self._reach: dict[str, _Piece] = {}  # of each boot in UTC, so that years of boots are passed over quickly

    def add(self, boot_id: str, pieces: list[_Piece], clock: Sights | None) -> int:
        """Count pieces of a boot's time; return how many milliseconds of them are counted already."""
        doubled_ms, new = 0, []
        for piece in pieces:
            rest = _without(piece, self._of_boot[boot_id])
            doubled_ms += piece[1] - piece[0] - sum(end - start for start, end in rest)
            new += rest
        for piece in new:
            insort(self._of_boot[boot_id], piece)
            if clock is not None:
                doubled_ms += self._add_utc(boot_id, _in_utc(piece, clock))
        return doubled_ms

    def _add_utc(self, boot_id: str, piece: tuple[int, int, int]) -> int:
        start, end, error = piece
        certain = []
        near = [other for other, reach in self._reach.items() if reach[0] < end and reach[1] > start]
        for listed in (self._in_utc[other] for other in near if other != boot_id):
            for at in range(max(0, bisect_left(listed, (start, 0, 0)) - 1), len(listed)):
                low, high, its_error = listed[at]
                if low >= end:
                    break
                both = max(start, low), min(end, high)
                if both[1] - both[0] > error + its_error:
                    certain.append(both)
        insort(self._in_utc[boot_id], piece)
        low, high = self._reach.get(boot_id, (start, end))
        self._reach[boot_id] = min(low, start), max(high, end)
        left = _without((start, end), _joined(certain))
        return end - start - sum(high - low for low, high in left)


def _in_utc(piece: _Piece, clock: Sights) -> tuple[int, int, int]:
    """Return a piece in UTC ms, with the larger error of its ends."""
    ends = [clock.utc(moment_ms * NS_PER_MS) for moment_ms in piece]
    return ends[0].utc_ns // NS_PER_MS, ends[1].utc_ns // NS_PER_MS, max(end.in_ms()[1] for end in ends)
