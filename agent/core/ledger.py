"""An unbroken chain of intervals per instrument: every nanosecond has one activity, unknown ones a reason.

The chain is settled up to ``settled_ns``. Behind that point nothing changes any more; before it, the switches may
still date a change back. Sessions and sums are made from the chain and from nothing else.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

from instrument_agent.core.activity import Change, combined
from instrument_agent.core.readings import Activity, UnknownReason


@dataclass(frozen=True, slots=True)
class Interval:
    """``activity`` from ``start_ns`` (included) to ``end_ns`` (not included), boot clock; unknown has a reason."""

    start_ns: int
    end_ns: int
    activity: Activity
    reason: UnknownReason | None = None


@dataclass(frozen=True, slots=True)
class Timeline:
    """What is settled, and what the switches and silences have said about the time after it.

    ``open`` is the interval that is still growing; it ends where the settled part ends. ``powered`` and
    ``running`` are the switches' values at that point, the changes and silences lie after it.
    """

    open: Interval
    powered: bool = False
    running: bool = False
    power_changes: tuple[Change, ...] = ()
    run_changes: tuple[Change, ...] = ()
    silences: tuple[Interval, ...] = ()

    @property
    def settled_ns(self) -> int:
        """Up to where the chain is final."""
        return self.open.end_ns


def settle(line: Timeline, to_ns: int) -> tuple[Timeline, tuple[Interval, ...]]:
    """Settle the chain up to ``to_ns``; return it with the intervals that closed on the way."""
    start_ns = line.settled_ns
    if to_ns <= start_ns:
        return line, ()
    cuts = {change.at_ns for change in line.power_changes + line.run_changes}
    cuts |= {edge for silence in line.silences for edge in (silence.start_ns, silence.end_ns)}
    edges = [start_ns, *sorted(cut for cut in cuts if start_ns < cut < to_ns), to_ns]
    pieces = [_piece(line, a, b) for a, b in pairwise(edges)]
    chain = joined([line.open, *pieces])
    ahead = replace(
        line,
        open=chain[-1],
        powered=_value(line.powered, line.power_changes, to_ns - 1),
        running=_value(line.running, line.run_changes, to_ns - 1),
        power_changes=tuple(change for change in line.power_changes if change.at_ns >= to_ns),
        run_changes=tuple(change for change in line.run_changes if change.at_ns >= to_ns),
        silences=tuple(silence for silence in line.silences if silence.end_ns > to_ns),
    )
    return ahead, tuple(chain[:-1])


def joined(intervals: Iterable[Interval]) -> list[Interval]:
    """Return the chain with equal neighbours made one and empty intervals left out.

    Raises:
        ValueError: two intervals do not touch, so a second would be lost or counted twice.
    """
    chain: list[Interval] = []
    for item in intervals:
        if chain and chain[-1].end_ns != item.start_ns:
            raise ValueError(f"the ledger has a hole or an overlap at {item.start_ns} ns")
        if chain and chain[-1].start_ns == chain[-1].end_ns:
            chain.pop()
        if chain and (chain[-1].activity, chain[-1].reason) == (item.activity, item.reason):
            chain[-1] = replace(chain[-1], end_ns=item.end_ns)
        else:
            chain.append(item)
    return chain


def totals_ns(intervals: Iterable[Interval]) -> dict[Activity, int]:
    """Return the nanoseconds spent in each activity."""
    sums = dict.fromkeys(Activity, 0)
    for item in intervals:
        sums[item.activity] += item.end_ns - item.start_ns
    return sums


def _piece(line: Timeline, start_ns: int, end_ns: int) -> Interval:
    for silence in line.silences:
        if silence.start_ns <= start_ns < silence.end_ns:
            return Interval(start_ns, end_ns, Activity.UNKNOWN, silence.reason)
    powered = _value(line.powered, line.power_changes, start_ns)
    running = _value(line.running, line.run_changes, start_ns)
    return Interval(start_ns, end_ns, combined(powered, running))


def _value(at_start: bool, changes: tuple[Change, ...], at_ns: int) -> bool:
    value = at_start
    for change in changes:
        if change.at_ns <= at_ns:
            value = change.on
    return value
