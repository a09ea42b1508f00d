"""The whole way of a reading: may it be believed, what follows, what standby draws by now, what a gap hid.

Pure, like ``step``, which it uses; all it remembers lies in the state.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain

from instrument_agent.core.across import Across, before_gap, counted
from instrument_agent.core.activity import Rules
from instrument_agent.core.drift import followed, in_force
from instrument_agent.core.drift import next_boot as drift_of_next_boot
from instrument_agent.core.ledger import Interval, Timeline
from instrument_agent.core.readings import Activity, Observation, Reading, UnknownReason
from instrument_agent.core.sanity import next_boot as senses_of_next_boot
from instrument_agent.core.sanity import vetted
from instrument_agent.core.sessions import Earlier
from instrument_agent.core.steady import Number
from instrument_agent.core.step import Event, State, begin, end, silent_intervals, steadily, step


def observe(rules: Rules, state: State, reading: Reading) -> tuple[State, tuple[Event, ...]]:
    """Take one reading, unless its sensor is in doubt: then it is taken as a failed one.

    Raises:
        ValueError: the reading is older than the one before it.
    """
    after, events = _taken(rules, state, reading)
    if state.across is None and reading.at_ns - state.last_seen_ns <= rules.bridge_ns:
        return after, events
    return _with_energy(rules, replace(after, across=_across(rules, state, after)), events)


def _taken(rules: Rules, state: State, reading: Reading) -> tuple[State, tuple[Event, ...]]:
    if not rules.calibrated:  # without thresholds nothing tells what a sensor should show
        return step(rules, state, reading)
    senses, reading, findings = vetted(rules, state.senses, reading)
    if senses is not state.senses:
        state = replace(state, senses=senses)
    if rules.standby_level is None:
        state, events = step(rules, state, reading)
        return state, findings + events if findings else events
    now = in_force(rules, state.drift)
    state, events = step(now, state, reading)
    drift, moved = followed(rules, state.drift, reading.at_ns, _standby(now, state, reading))
    if drift is not state.drift:
        state = replace(state, drift=drift)
    return state, (*findings, *events, *(() if moved is None else (moved,)))


def played(rules: Rules, boot_id: str, numbers: Iterable[Number]) -> Iterator[Event]:
    """Yield what becomes certain while numbers of one channel are read, one after the other, and at their end.

    It is what ``observe`` says of each of them, without a state for each. Nothing at all if there are none.
    """
    left, state = iter(numbers), None
    while (number := next(left, None)) is not None:
        state = state or begin(boot_id, number[0])
        rest: Number | None = number
        if _nothing_else(rules, state):
            state, rest = steadily(rules, state, chain((number,), left))
        if rest is not None:
            state, events = observe(rules, state, Observation(rest[0], {rules.channel: rest[1]}))
            yield from events
    if state is not None:
        yield from ended(rules, state)[1]


def _nothing_else(rules: Rules, state: State) -> bool:
    """Say whether nothing but the number itself is looked at: no raw states, no doubt, no drift, no gap."""
    plain = rules.calibrated and rules.states is None and rules.standby_level is None and state.across is None
    return plain and not state.senses.held and state.senses.negative is None


def ended(rules: Rules, state: State, end_uncertainty_ns: int = 0) -> tuple[State, tuple[Event, ...]]:
    """Close the books of a boot, like ``end``, by the rules as they stood."""
    return _with_energy(rules, *end(in_force(rules, state.drift), state, end_uncertainty_ns))


def cut(rules: Rules, state: State, at_ns: int) -> tuple[State, tuple[Event, ...]]:
    """Close the books at ``at_ns`` and begin new ones there: no session and no interval lies on both sides.

    What was learned of the sensor goes on, but no energy is counted over the cut.

    Raises:
        ValueError: the books reach beyond that already.
    """
    if at_ns < state.latest_ns:
        raise ValueError(f"the books reach to {state.latest_ns} ns, beyond {at_ns} ns")
    closed, events = ended(rules, state)
    settled_ns = closed.line.settled_ns
    unseen = (replace(item, start_ns=max(item.start_ns, settled_ns)) for item in silent_intervals(state, at_ns))
    rest = tuple(item for item in unseen if item.start_ns < item.end_ns)
    senses = replace(state.senses, window=None)
    return replace(begin(state.boot_id, at_ns), senses=senses, drift=state.drift), (*events, *rest)


def left(state: State) -> State:
    """Return books that were cut as those of an instrument that is not watched from there on."""
    return _unwatched(state, state.latest_ns)


def is_left(state: State) -> bool:
    """Say whether an instrument is not watched since its books were written last."""
    growing = state.line.open
    empty = growing.start_ns == growing.end_ns
    return empty and growing.reason is UnknownReason.NOT_WATCHED and not state.silence


def left_until(state: State, boot_id: str, at_ns: int) -> State:
    """Return the books of an instrument that is not watched, at ``at_ns`` of the present boot."""
    return _unwatched(state if state.boot_id == boot_id else next_boot(state, boot_id, None), at_ns)


def _unwatched(state: State, at_ns: int) -> State:
    # Books are closed on a whole millisecond, which may not be over yet.
    at_ns = max(at_ns, state.line.settled_ns)
    since = Interval(state.line.settled_ns, at_ns, Activity.UNKNOWN, UnknownReason.NOT_WATCHED)
    return replace(state, line=Timeline(since), last_seen_ns=at_ns, latest_ns=at_ns)


def next_boot(state: State, boot_id: str, before: Earlier | None) -> State:
    """Return the state in which the boot after that of ``state`` begins; ``before`` is the run that was open."""
    last = before_gap(state.boot_id, state.last_seen_ns, state.senses.window)
    return replace(
        begin(boot_id, 0, before),
        senses=senses_of_next_boot(state.senses),
        drift=drift_of_next_boot(state.drift, state.latest_ns),
        across=state.across if state.senses.window is None else last,
    )


def _across(rules: Rules, before: State, after: State) -> Across | None:
    """Return what is known of the counter at a gap, after a reading; whole once both sides of it are."""
    known, window = before.across, after.senses.window
    waiting = known is not None and known.to_ns is None
    seen, read = after.last_seen_ns > before.last_seen_ns, window is not before.senses.window
    if not seen and not (waiting and read):
        return known
    if not waiting and after.last_seen_ns - before.last_seen_ns <= rules.bridge_ns:
        return known
    since = known or before_gap(before.boot_id, before.last_seen_ns, before.senses.window)
    # Only what is read with the first sight tells of the gap alone.
    useless = None if waiting else known
    if since is None or window is None or not seen:
        return useless
    if after.senses.held or not after.senses.counter_fits or window.kwh < since.to_kwh:
        return useless
    if since.boot_id == after.boot_id and window.at_ns - since.from_ns <= rules.bridge_ns:
        return useless  # the counter was seen all along
    return replace(since, to_kwh=window.kwh, to_ns=window.at_ns)


def _with_energy(rules: Rules, state: State, events: tuple[Event, ...]) -> tuple[State, tuple[Event, ...]]:
    """Tell what was counted together with the end of the gap: it gets no commit of its own."""
    across, count_kwh = state.across, state.senses.count_kwh
    if not events or across is None or across.to_ns is None or count_kwh is None:
        return state, events
    now = in_force(rules, state.drift)
    told = counted(now, across, across.to_ns, state.boot_id, count_kwh)
    return replace(state, across=None), (*events, told)


def _standby(rules: Rules, state: State, reading: Reading) -> float | None:
    """Return what was read, if it was standby: a run is not over before its minimum pause is."""
    power, run = state.power, state.run
    if not isinstance(reading, Observation) or power is None or run is None or not power.on or run.on:
        return None
    value = reading.values.get(rules.channel)
    return value if isinstance(value, int | float) and rules.off_below <= value < rules.run_below else None
