"""Holds every session and every gap against the intervals it was made of.

One that its intervals do not give is a difference. It is "not proven" only if intervals that it needs can be missing:
they are older than all that pruning left, or a damaged file, of which a later record tells, has lost them.
"""

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any

from instrument_agent.buffer.books import epochs
from instrument_agent.buffer.reader import Readable
from instrument_agent.buffer.verify_days import READABLE, Books
from instrument_agent.core.errors import StoreDamaged
from instrument_agent.core.ledger import Interval, totals_ns
from instrument_agent.core.readings import NS_PER_MS, Activity, UnknownReason
from instrument_agent.core.sessions import POWERED, RUNNING
from instrument_agent.i18n import _

if TYPE_CHECKING:
    from instrument_agent.buffer.verify import Report

CUT_MS = 2
"""Start, end and unseen time are each cut to a millisecond."""
COUNTED = {"run_session": ("running_ms", RUNNING), "power_session": ("powered_ms", POWERED)}
GAP = "observation_gap"


class SessionProof:
    """Takes the records of sessions and gaps in the order of the log, and says in the report what it finds."""

    def __init__(self, source: Readable, books: Books, report: "Report") -> None:
        self._books, self._report = books, report
        self._order: dict[str, int] = {}
        try:
            for epoch in epochs(source):
                self._order.setdefault(epoch.boot_id, epoch.number)
        except StoreDamaged:
            pass  # the proof of the days says so
        # Pruning begins with the oldest, and takes only what a destination has acknowledged.
        acked = source.rows("select coalesce(max(acked_id), 0) from destinations")[0][0] > 0
        self._rooted = acked and bool(source.rows("select 1 from roots limit 1"))
        self._acked = acked
        damage = (
            f"select coalesce(max(id), 0) from ({READABLE})"  # noqa: S608  # a constant
            " where type = 'fault' and json_extract(body, '$.data.kind') = ?"
        )
        self._damaged_before_id: int = source.rows(damage, ("database_damaged",))[0][0]
        watched = (
            "select instrument_id, json_extract(body, '$.boot_id'), json_extract(body, '$.at_ms'), min(id)"  # noqa: S608
            f" from ({READABLE}) where type = 'lifecycle_event' group by instrument_id"
        )
        self._watched_from = {name: (boot_id, at_ms) for name, boot_id, at_ms, _id in source.rows(watched)}
        self._oldest: dict[str, str] = {}
        for name, boot_id in sorted(books, key=lambda key: self._order.get(key[1], 0)):
            self._oldest.setdefault(name, boot_id)
        self._ended: dict[tuple[str, str, str], int] = {}

    def judge(self, id_: int, record: dict[str, Any]) -> None:
        """Take a ``run_session``, ``power_session`` or ``observation_gap`` record."""
        kind = "gaps" if record["type"] == GAP else "sessions"
        chain = self._books.get((record["instrument_id"], record["boot_id"]), [])
        if self._can_be_missing(id_, record, chain):
            self._report.unproven[kind] += 1
            return
        why = _gap_is_wrong(record["data"], chain) if kind == "gaps" else _session_is_wrong(record, chain)
        why = why or self._counted_again(record)
        if why:
            place = _("record {seq} of epoch {epoch}: {why}")
            self._report.differs(place.format(seq=record["seq"], epoch=record["epoch"], why=why))
        else:
            self._report.proven[kind] += 1

    def _counted_again(self, record: dict[str, Any]) -> str:
        """Return why a time is counted a second time; empty if it is not."""
        data, key = record["data"], (record["type"], record["instrument_id"], record["boot_id"])
        again: bool = data["start_ms"] < self._ended.get(key, data["start_ms"])
        self._ended[key] = data["end_ms"]
        if not again:
            return ""
        return _("it begins before the one recorded before it ended")

    def _can_be_missing(self, id_: int, record: dict[str, Any], chain: list[Interval]) -> bool:
        """Say whether intervals that this needs were there once and may be missing now."""
        data, boot_id = record["data"], record["boot_id"]
        if data["start_ms"] < 0 or data["end_ms"] < data["start_ms"]:
            return False
        begins_before = not chain or data["start_ms"] < chain[0].start_ns // NS_PER_MS
        if id_ < self._damaged_before_id:
            ends_after = not chain or data["end_ms"] > chain[-1].end_ns // NS_PER_MS
            lost = any(item.reason is UnknownReason.STORAGE_FAULT for item in _touched(data, chain))
            return begins_before or ends_after or lost
        return begins_before and self._pruned_from(record["instrument_id"], boot_id, data["start_ms"])

    def _pruned_from(self, name: str, boot_id: str, at_ms: int) -> bool:
        """Say whether pruning may have taken what an instrument did at a time before its intervals of a boot begin."""
        first_boot, first_ms = self._watched_from.get(name, ("", 0))
        oldest = self._oldest.get(name)
        if not self._acked or boot_id not in self._order or (boot_id == first_boot and at_ms < first_ms):
            return False  # such intervals were never there
        if oldest is None:
            return self._rooted
        begun = oldest, self._books[name, oldest][0].start_ns // NS_PER_MS
        cut_off = self._rooted or begun != (first_boot, first_ms)
        return cut_off and self._order[boot_id] <= self._order.get(oldest, 0)


def _touched(data: dict[str, Any], chain: list[Interval]) -> list[Interval]:
    """Return the intervals of which at least a millisecond lies in a record's time."""
    first = bisect_right(chain, data["start_ms"], key=lambda item: item.end_ns // NS_PER_MS)
    after = bisect_left(chain, data["end_ms"], lo=first, key=lambda item: item.start_ns // NS_PER_MS)
    return chain[first:after]


def _span_ms(item: Interval) -> tuple[int, int]:
    return item.start_ns // NS_PER_MS, item.end_ns // NS_PER_MS


def _gap_is_wrong(data: dict[str, Any], chain: list[Interval]) -> str:
    """Return why a gap is not one of the unknown intervals; empty if it is."""
    span = data["start_ms"], data["end_ms"]
    first = bisect_left(chain, span[0], key=lambda item: item.start_ns // NS_PER_MS)
    after = bisect_right(chain, span[0], lo=first, key=lambda item: item.start_ns // NS_PER_MS)
    same = [item for item in chain[first:after] if _span_ms(item) == span and item.activity is Activity.UNKNOWN]
    if not same:
        return _("the intervals know no such gap")
    if data["reason"] in {item.reason.value for item in same if item.reason is not None}:
        return ""
    return _("the interval gives another reason")


def _session_is_wrong(record: dict[str, Any], chain: list[Interval]) -> str:
    """Return why a session is not what its intervals give, to the millisecond; empty if it is."""
    data, (name, members) = record["data"], COUNTED[record["type"]]
    first = bisect_left(chain, data["start_ms"], key=lambda item: item.start_ns // NS_PER_MS)
    after = bisect_right(chain, data["end_ms"], lo=first, key=lambda item: item.end_ns // NS_PER_MS)
    inside = chain[first:after]
    # What is shorter than a millisecond at either end is a neighbour and not a part of it.
    while inside and inside[0].activity not in members and _span_ms(inside[0])[1] == data["start_ms"]:
        del inside[0]
    while inside and inside[-1].activity not in members and _span_ms(inside[-1])[0] == data["end_ms"]:
        del inside[-1]
    ends = (_span_ms(inside[0])[0], _span_ms(inside[-1])[1]) if inside else None
    if ends != (data["start_ms"], data["end_ms"]):
        return _("no intervals begin and end as it does")
    spent = totals_ns(inside)
    found_ms = sum(spent[activity] for activity in members) // NS_PER_MS
    if data["unseen_ms"] != spent[Activity.UNKNOWN] // NS_PER_MS or abs(data[name] - found_ms) > CUT_MS:
        return _("{said} ms were recorded, the intervals give {found} ms").format(said=data[name], found=found_ms)
    if not {inside[0].activity, inside[-1].activity} <= members or any(
        item.activity not in members and item.activity is not Activity.UNKNOWN for item in inside
    ):
        return _("its intervals say something else")
    return ""
