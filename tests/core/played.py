"""Plays readings through the core and gives back its books in seconds, as a person would write them down."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from instrument_agent.core.activity import Rules
from instrument_agent.core.checkpoint import read_back, written
from instrument_agent.core.ledger import Interval
from instrument_agent.core.readings import NS_PER_S, FailedRead, Observation, Reading, UnknownReason
from instrument_agent.core.sessions import PowerSession, RunSession
from instrument_agent.core.step import Event, State, begin, end, step

CHANNEL = "power_w"
OFF, STANDBY, RUN = 0.0, 50.0, 500.0


def rules(
    off_below: float = 10.0,
    run_above: float = 100.0,
    run_below: float = 80.0,
    *,
    min_on_s: float = 60,
    min_off_s: float = 120,
    off_settle_s: float = 10,
    gap_s: float = 60,
    bridge_s: float = 300,
) -> Rules:
    seconds = (min_on_s, min_off_s, off_settle_s, gap_s, bridge_s)
    return Rules(CHANNEL, off_below, run_above, run_below, *(round(item * NS_PER_S) for item in seconds))


RULES = rules()


def at(second: float, value: float | str | None) -> Observation:
    return Observation(round(second * NS_PER_S), {CHANNEL: value})


def absent(second: float) -> Observation:
    return Observation(round(second * NS_PER_S), {})


def failed(second: float, reason: UnknownReason = UnknownReason.DRIVER_UNAVAILABLE) -> FailedRead:
    return FailedRead(round(second * NS_PER_S), reason)


def held(start_s: int, end_s: int, value: float | None, every_s: int = 1) -> list[Reading]:
    """Read the same value from ``start_s`` until just before ``end_s``."""
    return [at(second, value) for second in range(start_s, end_s, every_s)]


@dataclass
class Books:
    """What became certain, in seconds."""

    intervals: list[tuple[float, float, str]]
    runs: list[tuple[float, float, float]]  # start, end, unseen
    powers: list[tuple[float, float, float]] = field(default_factory=list)  # likewise


def steps(readings: Iterable[Reading], given: Rules = RULES, start_s: float | None = None) -> tuple[State, list[Event]]:
    """Take all readings; the box is killed and resumed after every one, which must not change anything."""
    readings = list(readings)
    state = begin("boot", readings[0].at_ns if start_s is None else round(start_s * NS_PER_S))
    events: list[Event] = []
    for reading in readings:
        state, some = step(given, read_back(*written(state)), reading)
        events += some
    return state, events


def books_of(events: Iterable[Event]) -> Books:
    books = Books([], [])
    for event in events:
        start_s, end_s = event.start_ns / NS_PER_S, event.end_ns / NS_PER_S
        if isinstance(event, PowerSession):
            books.powers.append((start_s, end_s, event.unseen_ns / NS_PER_S))
        elif isinstance(event, RunSession):
            books.runs.append((start_s, end_s, event.unseen_ns / NS_PER_S))
        else:
            books.intervals.append((start_s, end_s, word(event)))
    return books


def word(interval: Interval) -> str:
    return interval.activity.value if interval.reason is None else f"{interval.activity.value}: {interval.reason.value}"


def played(readings: Iterable[Reading], given: Rules = RULES, start_s: float | None = None) -> Books:
    """Return the books after the last reading and the end of the boot."""
    state, events = steps(readings, given, start_s)
    return books_of([*events, *end(given, state)[1]])


def so_far(readings: Iterable[Reading], given: Rules = RULES, start_s: float | None = None) -> Books:
    """Return what was certain after the last reading, before the end of the boot."""
    return books_of(steps(readings, given, start_s)[1])
