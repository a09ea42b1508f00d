"""What holds for the books whatever is read: any values, any failures, any spacing."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from played import CHANNEL, RULES, at, rules

from instrument_agent.core import checkpoint
from instrument_agent.core.activity import Rules
from instrument_agent.core.ledger import Interval, totals_ns
from instrument_agent.core.readings import NS_PER_S, Activity, FailedRead, Observation, Reading, UnknownReason
from instrument_agent.core.sessions import RunSession
from instrument_agent.core.step import Event, State, begin, end, step

# The values stand on, just beside and far from the thresholds of RULES (10, 80 and 100).
NUMBERS = st.sampled_from([0.0, 9.0, 10.0, 50.0, 79.0, 80.0, 90.0, 99.0, 100.0, 500.0])
VALUES = NUMBERS | st.none() | st.just("absent") | st.sampled_from(UnknownReason)
# The steps stand around poll, off_settle, gap, min_on, min_off and bridge.
STEPS_S = st.sampled_from([0, 1, 1, 1, 5, 5, 10, 30, 59, 60, 61, 119, 120, 200, 299, 300, 301, 1000])
HELD = st.tuples(STEPS_S, VALUES, st.integers(1, 8))
SEQUENCES = st.lists(HELD, min_size=1, max_size=30)
GIVEN = st.sampled_from([RULES, rules(min_on_s=0, min_off_s=0, off_settle_s=0), rules(min_on_s=7, min_off_s=400)])

many = settings(max_examples=100, deadline=None, derandomize=True)


def readings(shape: list[tuple[int, object, int]]) -> list[Reading]:
    """Repeat each value at its own spacing."""
    now_ns = 1_000 * NS_PER_S
    found: list[Reading] = []
    for step_s, value, times in shape:
        for _ in range(times):
            now_ns += step_s * NS_PER_S
            if isinstance(value, UnknownReason):
                found.append(FailedRead(now_ns, value))
            else:
                found.append(Observation(now_ns, {} if value == "absent" else {CHANNEL: value}))
    return found


START_NS = 1_000 * NS_PER_S


def walk(given_rules: Rules, sequence: list[Reading], *, ended: bool = True) -> tuple[State, list[Event]]:
    state = begin("boot", START_NS)
    events: list[Event] = []
    for reading in sequence:
        state, some = step(given_rules, state, reading)
        events += some
    if ended:
        state, some = end(given_rules, state)
        events += some
    return state, events


def chain_of(events: list[Event]) -> list[Interval]:
    return [event for event in events if isinstance(event, Interval)]


def runs_of(events: list[Event]) -> list[RunSession]:
    return [event for event in events if isinstance(event, RunSession)]


@many
@given(GIVEN, SEQUENCES)
def test_the_closed_intervals_and_the_open_one_are_an_unbroken_chain(given_rules: Rules, shape):
    state, events = walk(given_rules, readings(shape), ended=False)
    chain = [*chain_of(events), state.line.open]
    assert chain[0].start_ns == START_NS
    for before, after in pairwise(chain):
        assert before.end_ns == after.start_ns
        assert before.start_ns < before.end_ns
        assert (before.activity, before.reason) != (after.activity, after.reason)
    assert sum(totals_ns(chain).values()) == state.line.settled_ns - START_NS
    for interval in chain:
        assert (interval.reason is None) == (interval.activity is not Activity.UNKNOWN)


@many
@given(GIVEN, SEQUENCES)
def test_at_the_end_every_second_up_to_the_last_sight_is_accounted_for(given_rules: Rules, shape):
    sequence = readings(shape)
    chain = chain_of(walk(given_rules, sequence)[1])
    seen_ns = [
        item.at_ns for item in sequence if isinstance(item, Observation) and item.values.get(CHANNEL) is not None
    ]
    last_ns = max(seen_ns, default=START_NS)
    accounted_ns = sum(totals_ns(chain).values())
    assert last_ns - START_NS <= accounted_ns <= sequence[-1].at_ns - START_NS


@many
@given(GIVEN, SEQUENCES)
def test_a_silence_longer_than_gap_is_unknown_and_a_shorter_one_is_not(given_rules: Rules, shape):
    sequence = readings(shape)
    chain = chain_of(walk(given_rules, sequence)[1])
    seen_ns = [
        item.at_ns for item in sequence if isinstance(item, Observation) and item.values.get(CHANNEL) is not None
    ]
    unknown_ns = sum(b - a for a, b in pairwise(seen_ns) if b - a > given_rules.gap_ns)
    counted_ns = sum(
        max(0, min(item.end_ns, seen_ns[-1]) - max(item.start_ns, seen_ns[0])) if seen_ns else 0
        for item in chain
        if item.activity is Activity.UNKNOWN
    )
    assert counted_ns == unknown_ns


@many
@given(GIVEN, SEQUENCES)
def test_sessions_never_overlap_nor_span_a_long_silence_and_begin_and_end_running(given_rules: Rules, shape):
    _state, events = walk(given_rules, readings(shape))
    runs, chain = runs_of(events), chain_of(events)
    assert all(before.end_ns <= after.start_ns for before, after in pairwise(runs))
    starts = {item.start_ns for item in chain if item.activity is Activity.RUNNING}
    ends = {item.end_ns for item in chain if item.activity is Activity.RUNNING}
    for run in runs:
        assert run.start_ns in starts
        assert run.end_ns in ends
        inside = [item for item in chain if run.start_ns <= item.start_ns and item.end_ns <= run.end_ns]
        assert {item.activity for item in inside} <= {Activity.RUNNING, Activity.UNKNOWN}
        unseen_ns = totals_ns(inside)[Activity.UNKNOWN]
        assert unseen_ns == run.unseen_ns
        assert all(
            item.end_ns - item.start_ns <= given_rules.bridge_ns for item in inside if item.activity is Activity.UNKNOWN
        )


@many
@given(GIVEN, SEQUENCES)
def test_the_running_time_of_all_sessions_is_that_of_the_ledger(given_rules: Rules, shape):
    _state, events = walk(given_rules, readings(shape))
    of_sessions_ns = sum(run.end_ns - run.start_ns - run.unseen_ns for run in runs_of(events))
    assert of_sessions_ns == totals_ns(chain_of(events))[Activity.RUNNING]


@many
@given(GIVEN, SEQUENCES)
def test_a_run_is_never_shorter_than_min_on_unless_a_silence_cut_it(given_rules: Rules, shape):
    _state, events = walk(given_rules, readings(shape))
    unknown_edges = {
        edge for item in chain_of(events) if item.activity is Activity.UNKNOWN for edge in (item.start_ns, item.end_ns)
    }
    for run in runs_of(events):
        if not {run.start_ns, run.end_ns} & unknown_edges:
            assert run.end_ns - run.start_ns - run.unseen_ns >= given_rules.min_on_ns


@many
@given(SEQUENCES, st.data())
def test_being_killed_and_resumed_anywhere_changes_nothing(shape, data: st.DataObject):
    sequence = readings(shape)
    kills = data.draw(st.sets(st.integers(0, len(sequence) - 1)))
    state, events = begin("boot", START_NS), []
    for index, reading in enumerate(sequence):
        if index in kills:
            state = checkpoint.read_back(*checkpoint.written(state))
        state, some = step(RULES, state, reading)
        events += some
    assert (state, events) == walk(RULES, sequence, ended=False)


@many
@given(SEQUENCES, st.sampled_from([1, 200, 100_000]))
def test_adding_the_same_to_all_values_and_thresholds_moves_no_boundary(shape, add: int):
    sequence = readings(shape)
    lifted = [
        replace(item, values={CHANNEL: item.values[CHANNEL] + add})
        if isinstance(item, Observation) and item.values.get(CHANNEL) is not None
        else item
        for item in sequence
    ]
    higher = replace(
        RULES, off_below=RULES.off_below + add, run_above=RULES.run_above + add, run_below=RULES.run_below + add
    )
    assert walk(higher, lifted)[1] == walk(RULES, sequence)[1]


@many
@given(SEQUENCES, st.integers(1, 10**18))
def test_the_length_of_the_boot_before_it_moves_no_boundary(shape, later_ns: int):
    sequence = readings(shape)
    state, late = begin("boot", START_NS + later_ns), []
    for reading in sequence:
        state, some = step(RULES, state, replace(reading, at_ns=reading.at_ns + later_ns))
        late += some
    early = walk(RULES, sequence, ended=False)[1]
    back = [replace(item, start_ns=item.start_ns - later_ns, end_ns=item.end_ns - later_ns) for item in late]
    assert back == early


@many
@given(SEQUENCES)
def test_what_was_certain_is_never_taken_back(shape):
    sequence = readings(shape)
    whole = walk(RULES, sequence)[1]
    for cut in range(0, len(sequence), 7):
        some = walk(RULES, sequence[:cut], ended=False)[1]
        assert whole[: len(some)] == some


def test_a_changed_checkpoint_is_refused():
    state, _events = walk(RULES, [at(2000, 5.0)], ended=False)
    text, sha256 = checkpoint.written(state)
    with pytest.raises(ValueError, match="checksum"):
        checkpoint.read_back(text.replace("5.0", "6.0"), sha256)
