"""A whole trace as a person looks at it: columns of values, and what the rules make of it. In bounded memory.

However long the trace is, it becomes a given number of columns, each with the lowest and the highest value read in it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import inf

from instrument_agent.core.activity import Rules, judged_number
from instrument_agent.core.ledger import Interval
from instrument_agent.core.observing import ended, observe
from instrument_agent.core.readings import NS_PER_S, Activity, Observation, Reading
from instrument_agent.core.sessions import RunSession
from instrument_agent.core.step import Event, State, begin

Readings = Callable[[], Iterable[Reading]]
"""The readings of a trace, from the start each time they are asked for."""
Column = tuple[float, float] | None
"""The lowest and the highest value of a stretch of time; None if nothing was read."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What the instrument did from ``start_s`` to ``end_s``."""

    start_s: float
    end_s: float
    activity: Activity


@dataclass(slots=True)
class Seen:
    """What a trace shows, in seconds of its own clock; ``lowest`` is over ``highest`` if it has no number."""

    start_s: float = 0.0
    end_s: float = 0.0
    readings: int = 0
    lowest: float = inf
    highest: float = -inf
    columns: list[Column] = field(default_factory=list)
    stretches: list[Stretch] = field(default_factory=list)
    runs: list[tuple[float, float]] = field(default_factory=list)

    def spent_s(self, activity: Activity) -> float:
        """Return the seconds of an activity."""
        return sum(item.end_s - item.start_s for item in self.stretches if item.activity is activity)


def seen(readings: Readings, rules: Rules, width: int) -> Seen:
    """Look at a trace twice: play it through the rules, then put its values into ``width`` columns."""
    found = _played(readings(), rules)
    found.columns = [None] * width
    span_s = (found.end_s - found.start_s) or 1.0
    for reading in readings():
        value = _number(reading, rules)
        if value is not None:
            at = min(width - 1, int((reading.at_ns / NS_PER_S - found.start_s) / span_s * width))
            low, high = found.columns[at] or (value, value)
            found.columns[at] = (min(low, value), max(high, value))
    return found


def _played(readings: Iterable[Reading], rules: Rules) -> Seen:
    found = Seen()
    state: State | None = None
    events: list[Event] = []
    for reading in readings:
        if state is None:
            state = begin("trace", reading.at_ns)
            found.start_s = reading.at_ns / NS_PER_S
        state, some = observe(rules, state, reading)
        events += some
        found.end_s = reading.at_ns / NS_PER_S
        found.readings += 1
        value = _number(reading, rules)
        if value is not None:
            found.lowest, found.highest = min(found.lowest, value), max(found.highest, value)
    if state is not None:
        events += ended(rules, state)[1]
    for event in events:
        if isinstance(event, Interval):
            found.stretches.append(Stretch(event.start_ns / NS_PER_S, event.end_ns / NS_PER_S, event.activity))
        elif isinstance(event, RunSession):
            found.runs.append((event.start_ns / NS_PER_S, event.end_ns / NS_PER_S))
    return found


def _number(reading: Reading, rules: Rules) -> float | None:
    if not isinstance(reading, Observation) or rules.channel not in reading.values:
        return None
    return judged_number(rules, reading.values[rules.channel])
