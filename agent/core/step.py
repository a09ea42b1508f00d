"""One reading in, the next state and what became certain out.

``step`` is the whole decision of the product. It is pure, its state is frozen and can be written down after any
reading (core/checkpoint.py), so that a box that is killed goes on where it stopped.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from instrument_agent.core.across import Across, Counted
from instrument_agent.core.activity import (
    Change,
    Rules,
    Sample,
    Switch,
    combined,
    filtered,
    judged_number,
    power_band,
    resolve,
    run_band,
    turn,
)
from instrument_agent.core.drift import Drift, Moved
from instrument_agent.core.ledger import Interval, Timeline, settle
from instrument_agent.core.readings import WITHOUT_AGENT, Activity, FailedRead, Observation, Reading, UnknownReason
from instrument_agent.core.sanity import UNDOUBTED, Finding, Senses
from instrument_agent.core.sessions import (
    POWERED,
    Earlier,
    OpenRun,
    PowerSession,
    RunSession,
    follow,
    power_session,
    run_session,
)
from instrument_agent.core.steady import Number, stretch

Event = Interval | RunSession | PowerSession | Finding | Moved | Counted
"""What became certain: an interval closed, a session ended, a doubt began or ended, the thresholds moved, what was
counted in a gap."""


@dataclass(frozen=True, slots=True)
class State:
    """All that is known of one instrument in one boot.

    Before the first value ``last_seen_ns`` is when accounting began. ``window`` holds the last two samples, of
    which the newest is not judged yet. ``held_ns`` is the last sight before a silence that is being bridged.
    ``silence`` holds the failed reads since the last value, one for each change of reason. ``before`` is the run that
    was open when the boot before ended, until it is known how this boot begins. ``senses``, ``drift`` and
    ``across`` are kept for ``observe`` (core/observing.py).
    """

    boot_id: str
    line: Timeline
    last_seen_ns: int
    latest_ns: int
    window: tuple[Sample, ...] = ()
    power: Switch | None = None
    run: Switch | None = None
    held_ns: int | None = None
    silence: tuple[FailedRead, ...] = ()
    open_run: OpenRun | None = None
    open_power: OpenRun | None = None
    before: Earlier | None = None
    senses: Senses = UNDOUBTED
    drift: Drift | None = None
    across: Across | None = None


@dataclass(frozen=True, slots=True)
class Live:
    """What an instrument is doing now, as far as is known; may still be dated back or revoked."""

    activity: Activity
    since_ns: int
    reason: UnknownReason | None = None


def begin(boot_id: str, start_ns: int, before: Earlier | None = None) -> State:
    """Return the state of an instrument whose accounting begins at ``start_ns`` of this boot."""
    nothing = Interval(start_ns, start_ns, Activity.UNKNOWN, UnknownReason.NOT_POLLED)
    return State(boot_id, Timeline(nothing), start_ns, start_ns, before=before)


def step(rules: Rules, state: State, reading: Reading) -> tuple[State, tuple[Event, ...]]:
    """Take one reading.

    Raises:
        ValueError: the reading is older than the one before it.
    """
    if reading.at_ns < state.latest_ns:
        raise ValueError(f"time went backwards: {reading.at_ns} ns after {state.latest_ns} ns")
    if isinstance(reading, Observation):
        if rules.channel not in reading.values and not (state.silence and state.silence[-1].reason in WITHOUT_AGENT):
            state = replace(state, latest_ns=reading.at_ns)
            return _account(rules, state, _silent(rules, state, reading.at_ns))
        number = judged_number(rules, reading.values.get(rules.channel))
        if number is not None and rules.calibrated:
            steady, left = steadily(rules, state, iter(((reading.at_ns, number),)))
            if left is None:
                return steady, ()
            return _account(rules, state, _see(rules, state, Sample(reading.at_ns, number)))
        nonsense, meaningless = UnknownReason.IMPLAUSIBLE_READING, UnknownReason.NOT_CALIBRATED
        useless = nonsense if number is None else meaningless
        reading = FailedRead(reading.at_ns, useless if rules.channel in reading.values else UnknownReason.NOT_POLLED)
    state = replace(state, latest_ns=reading.at_ns)
    return _account(rules, state, _fail(rules, state, reading))


def end(rules: Rules, state: State, end_uncertainty_ns: int = 0) -> tuple[State, tuple[Event, ...]]:
    """Close the books of a boot (or a trace) at its last sight: nothing of it will be seen again.

    ``end_uncertainty_ns`` is how long it may have gone on unseen.
    """
    last = _give_up(_flush(rules, state)) if state.power is not None else (state, ())
    ended, events = _account(rules, state, last)
    closing: list[Event] = list(events)
    if ended.line.open.start_ns < ended.line.open.end_ns:
        closing.append(ended.line.open)
    if ended.open_run is not None:
        closing.append(run_session(ended.open_run, end_uncertainty_ns))
    if ended.open_power is not None:
        closing.append(power_session(ended.open_power))
    return replace(ended, open_run=None, open_power=None), tuple(closing)


def live(rules: Rules, state: State, now_ns: int) -> Live:
    """Return what is known now, without waiting for minimum times to pass."""
    if state.power is None or now_ns - state.last_seen_ns > rules.gap_ns:
        reason = state.silence[-1].reason if state.silence else UnknownReason.NOT_POLLED
        since_ns = state.last_seen_ns
        if state.line.open.activity is Activity.UNKNOWN and state.line.settled_ns >= since_ns:
            since_ns = state.line.open.start_ns
        return Live(Activity.UNKNOWN, since_ns, reason)
    newest = settle(state.line, state.last_seen_ns)[0].open
    return Live(newest.activity, newest.start_ns, newest.reason)


def steadily(rules: Rules, state: State, numbers: Iterator[Number]) -> tuple[State, Number | None]:
    """Take numbers as long as all that happens is that time goes on; return the first that may be more, if any.

    It is taken out of ``numbers`` and not out of the books. This is the way through ``_see`` and ``_account`` with
    everything left out that changes nothing.
    """
    line, power, run, window = state.line, state.power, state.run, state.window
    running, powered, grown = state.open_run, state.open_power, line.open
    if power is None or run is None or not window or window[-1].at_ns != state.last_seen_ns:
        return state, next(numbers, None)
    settled = power.candidate_ns is None and run.candidate_ns is None
    settled = settled and grown.start_ns < grown.end_ns <= state.last_seen_ns
    waiting = line.power_changes or line.run_changes or line.silences or state.held_ns is not None
    followed = (running is not None) is run.on and (powered is not None) is (power.on or run.on)
    if not settled or waiting or not followed or grown.activity is not combined(power.on, run.on):
        return state, next(numbers, None)
    seen, rest = stretch(rules, (power.on, run.on), window, numbers)
    if seen is window:
        return state, rest
    at_ns = seen[-1].at_ns
    if running is not None:
        running = OpenRun(running.start_ns, at_ns, running.unseen_ns, running.continues)
    if powered is not None:
        powered = OpenRun(powered.start_ns, at_ns, powered.unseen_ns, powered.continues)
    line = Timeline(Interval(grown.start_ns, at_ns, grown.activity), line.powered, line.running)
    boot_id, kept = state.boot_id, (state.senses, state.drift, state.across)
    return State(boot_id, line, at_ns, at_ns, seen, power, run, None, (), running, powered, None, *kept), rest


Settled = tuple[State, tuple[Interval, ...]]


def _account(rules: Rules, before: State, settled: Settled) -> tuple[State, tuple[Event, ...]]:
    """Follow the sessions through what was settled."""
    state, closed = settled
    if not closed and state.line.open == before.line.open:
        return state, ()
    events: list[Event] = []
    run, power, earlier = state.open_run, state.open_power, state.before
    for interval in (*closed, state.line.open):
        run, ended_run = follow(run, interval, rules.bridge_ns)
        power, ended_power = follow(power, interval, rules.bridge_ns, POWERED)
        if interval.activity is not Activity.UNKNOWN:
            run, earlier = _linked(run, earlier), None
        if interval is not state.line.open:
            events.append(interval)
        events += [run_session(ended_run)] if ended_run is not None else []
        events += [power_session(ended_power)] if ended_power is not None else []
    return replace(state, open_run=run, open_power=power, before=earlier), tuple(events)


def _linked(run: OpenRun | None, earlier: Earlier | None) -> OpenRun | None:
    """Link the run with which a boot begins to the one with which the boot before ended."""
    return run if run is None or earlier is None else replace(run, continues=earlier)


def _see(rules: Rules, state: State, sample: Sample) -> Settled:
    silent_ns = sample.at_ns - state.last_seen_ns
    closed: tuple[Interval, ...] = ()
    if silent_ns > rules.gap_ns:
        state, closed = _silent(rules, state, sample.at_ns)
    if state.power is None or silent_ns > rules.gap_ns:
        state = _resume(state, sample.at_ns)
    if state.window:
        state = _judge(rules, state, filtered(state.window, sample))
    state = replace(
        state, window=(*state.window[-1:], sample), last_seen_ns=sample.at_ns, latest_ns=sample.at_ns, silence=()
    )
    state, more = _settle(state, sample.at_ns)
    return state, closed + more


def _resume(state: State, at_ns: int) -> State:
    """Come back from a silence that may be bridged, or begin anew: the silence itself stays unknown."""
    silences = (*state.line.silences, *silent_intervals(state, at_ns))
    state = replace(state, line=replace(state.line, silences=silences))
    if state.power is None:
        return replace(state, power=Switch(), run=Switch(), held_ns=None)
    return replace(state, held_ns=state.last_seen_ns)


def _fail(rules: Rules, state: State, failed: FailedRead) -> Settled:
    if not state.silence or state.silence[-1].reason is not failed.reason:
        state = replace(state, silence=(*state.silence, failed))
    return _silent(rules, state, failed.at_ns)


def _silent(rules: Rules, state: State, at_ns: int) -> Settled:
    """Let time pass without a value: after ``gap_ns`` it is unknown, after ``bridge_ns`` the run is over."""
    if at_ns - state.last_seen_ns <= rules.gap_ns:
        return state, ()
    state, closed = _settle(_flush(rules, state), state.last_seen_ns)
    if state.power is not None:
        if at_ns - state.last_seen_ns <= rules.bridge_ns:
            return state, closed
        state, more = _give_up(state)
        closed += more
    line = replace(state.line, silences=silent_intervals(state, at_ns))
    line, more = settle(line, at_ns)
    return replace(state, line=line, silence=state.silence[-1:]), closed + more


def _flush(rules: Rules, state: State) -> State:
    """Judge the newest sample without waiting for its neighbour."""
    if not state.window:
        return state
    return replace(_judge(rules, state, filtered(state.window, None)), window=())


def _give_up(state: State) -> Settled:
    """Decide what was still open at the last sight, and forget the switches."""
    if state.power is None or state.run is None:
        return state, ()
    # A dip that was not proven is not off: the power switch stays as it is.
    line = replace(state.line, run_changes=state.line.run_changes + resolve(state.run))
    line, closed = settle(line, state.last_seen_ns)
    line = replace(line, powered=False, running=False, power_changes=(), run_changes=())
    return replace(state, line=line, power=None, run=None, held_ns=None), closed


def _judge(rules: Rules, state: State, sample: Sample) -> State:
    if state.power is None or state.run is None:
        return state
    held_ns = sample.at_ns if state.held_ns is None else state.held_ns
    power, powered = turn(state.power, power_band(rules), sample, held_ns)
    as_it_is = rules.single_readings and state.run.on
    run, ran = turn(state.run, run_band(rules), state.window[-1] if as_it_is else sample, held_ns)
    if powered or ran:
        state = replace(state, line=_changed(state.line, powered, ran))
    if power is not state.power or run is not state.run or state.held_ns is not None:
        state = replace(state, power=power, run=run, held_ns=None)
    return state


def _changed(line: Timeline, powered: tuple[Change, ...], ran: tuple[Change, ...]) -> Timeline:
    return replace(line, power_changes=line.power_changes + powered, run_changes=line.run_changes + ran)


def _settle(state: State, seen_ns: int) -> Settled:
    """Settle as far as no switch can date anything back."""
    candidates = [s.candidate_ns for s in (state.power, state.run) if s is not None and s.candidate_ns is not None]
    line, closed = settle(state.line, min([seen_ns, *candidates]))
    return (state if line is state.line else replace(state, line=line)), closed


def silent_intervals(state: State, at_ns: int) -> tuple[Interval, ...]:
    """Return the silence since the last sight, cut where its reason changed."""
    failures = state.silence or (FailedRead(at_ns, UnknownReason.NOT_POLLED),)
    starts = [state.last_seen_ns, *(failed.at_ns for failed in failures[1:])]
    ends = [*starts[1:], at_ns]
    return tuple(
        Interval(start, stop, Activity.UNKNOWN, failed.reason)
        for start, stop, failed in zip(starts, ends, failures, strict=True)
        if start < stop
    )
