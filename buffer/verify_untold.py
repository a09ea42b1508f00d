"""Looks the other way: what the tables say happened must be told in a record, or somebody took the record out.

Judged are the intervals of which no record can be missing for a reason that the log itself gives: those that began
after everything that was pruned, and after the epoch in which the last loss was told.
"""

from bisect import bisect_right
from typing import TYPE_CHECKING, Any

from instrument_agent.buffer.books import announced, epochs
from instrument_agent.buffer.reader import Readable
from instrument_agent.buffer.verify_days import Books
from instrument_agent.buffer.verify_sessions import GAP
from instrument_agent.core.errors import StoreDamaged
from instrument_agent.core.ledger import Interval
from instrument_agent.core.readings import NS_PER_MS, Activity
from instrument_agent.core.sessions import POWERED, RUNNING
from instrument_agent.core.step import State
from instrument_agent.i18n import _

if TYPE_CHECKING:
    from instrument_agent.buffer.verify import Report

SESSIONS = {"run_session": RUNNING, "power_session": POWERED}
LOSSES = ("database_damaged", "tail_lost")

Span = tuple[int, int]


class Told:
    """Remembers what the records tell, and compares the tables with it at the end."""

    def __init__(self) -> None:
        self._spans: dict[tuple[str, str, str], list[Span]] = {}
        self._configured: dict[str, str] = {}

    def take(self, record: dict[str, Any]) -> None:
        """Take a record that verifies.

        Raises:
            KeyError, TypeError: it fits its hash, but is not what this agent writes.
        """
        data, name = record["data"], record.get("instrument_id", "")
        if record["type"] in SESSIONS or record["type"] == GAP:
            key = record["type"], name, record["boot_id"]
            if not all(isinstance(data[edge], int) for edge in ("start_ms", "end_ms")):
                raise TypeError(key)
            self._spans.setdefault(key, []).append((data["start_ms"], data["end_ms"]))
        elif record["type"] == "lifecycle_event" and data.get("event") == "configured":
            self._configured[name] = announced(data)

    def settle(self, source: Readable, books: Books, resumed: dict[str, State], report: "Report") -> None:
        """Say in the report what no record tells; ``resumed`` is what each instrument goes on with."""
        if not report.lossy:
            self._compare_configured(source, report)
        # A record that is not what was written is a difference already, and so is not missing as well.
        from_boot = None if report.broken else _judged_from(source, report)
        if from_boot is None:
            return
        order, first = from_boot
        for (name, boot_id), chain in books.items():
            state = resumed.get(name)
            here = state if state is not None and state.boot_id == boot_id else None
            if order.get(boot_id, -1) < order[first[0]]:
                continue
            begun_ns = first[1] if boot_id == first[0] else 0
            closed = [item for item in (chain[:-1] if here else chain) if item.start_ns >= begun_ns]
            self._compare(name, boot_id, closed, here, report)

    def _compare(self, name: str, boot_id: str, chain: list[Interval], state: State | None, report: "Report") -> None:
        gaps = set(self._spans.get((GAP, name, boot_id), []))
        for kind, members in SESSIONS.items():
            told = sorted(self._spans.get((kind, name, boot_id), []))
            growing = state and (state.open_run if kind == "run_session" else state.open_power)
            if growing:
                told.append((growing.start_ns // NS_PER_MS, growing.seen_to_ns // NS_PER_MS))
            for item in (item for item in chain if item.activity in members and not _within(told, _span_ms(item))):
                self._untold(report, name, boot_id, kind, item)
        for item in chain:
            if item.activity is Activity.UNKNOWN and _span_ms(item) not in gaps:
                self._untold(report, name, boot_id, GAP, item)

    def _untold(self, report: "Report", name: str, boot_id: str, kind: str, item: Interval) -> None:
        sentence = _("{instrument}, boot {boot}: no {kind} record tells of the interval from {start} to {end} ms")
        start_ms, end_ms = _span_ms(item)
        report.differs(sentence.format(instrument=name, boot=boot_id, kind=kind, start=start_ms, end=end_ms))

    def _compare_configured(self, source: Readable, report: "Report") -> None:
        there = dict(source.rows("select instrument_id, data from configured"))
        for name in sorted(there.keys() | self._configured.keys()):
            if there.get(name) != self._configured.get(name):
                sentence = _("{instrument}: its configuration is not that of its last record")
                report.differs(sentence.format(instrument=name))


def _judged_from(source: Readable, report: "Report") -> tuple[dict[str, int], tuple[str, int]] | None:
    """Return the order of the boots, and the boot and its time from which on no record can be missing.

    None if there is no such time.
    """
    try:
        known = epochs(source)
    except StoreDamaged:
        return None  # the proof of the days says so
    order: dict[str, int] = {}
    for epoch in known:
        order.setdefault(epoch.boot_id, epoch.number)
    losses = {fault["in_epoch"] for fault in report.faults if fault.get("kind") in LOSSES}
    from_number = 0
    for epoch in known:
        if epoch.epoch in report.roots:
            from_number = epoch.number + 1
        elif epoch.epoch in losses:
            from_number = epoch.number
    first = next((epoch for epoch in known if epoch.number >= from_number), None)
    if first is None:
        return None
    # The very first epoch begins before the instruments are watched; all others, where the one before it ended.
    return order, (first.boot_id, first.started_ns if from_number else 0)


def _span_ms(item: Interval) -> Span:
    return item.start_ns // NS_PER_MS, item.end_ns // NS_PER_MS


def _within(told: list[Span], span: Span) -> bool:
    """Say whether a span lies within one of these, which are in order."""
    before = bisect_right(told, (span[0], FAR_MS)) - 1
    return before >= 0 and told[before][1] >= span[1]


FAR_MS = 1 << 62
