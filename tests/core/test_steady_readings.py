"""The short way of a reading that changes nothing leads where the long way leads."""

from hypothesis import example, given, settings
from hypothesis import strategies as st
from played import CHANNEL, RULES, held, rules

from instrument_agent.core import step as core_step
from instrument_agent.core.activity import Rules, Sample
from instrument_agent.core.observing import ended, observe, played
from instrument_agent.core.readings import NS_PER_S, FailedRead, Observation, Reading, UnknownReason
from instrument_agent.core.step import Event, State, begin, steadily, step

# Long steady stretches, their ends on and beside the thresholds of RULES, and silences and failures between them.
VALUES = st.sampled_from([0.0, 9.0, 10.0, 79.0, 80.0, 99.0, 100.0, 500.0]) | st.none() | st.sampled_from(UnknownReason)
STEPS_S = st.sampled_from([0, 1, 5, 5, 30, 60, 61, 200, 301])
HELD = st.lists(st.tuples(STEPS_S, VALUES, st.integers(1, 40)), min_size=1, max_size=12)
NUMBERS = st.lists(
    st.tuples(STEPS_S, st.sampled_from([-50.0, 0.0, 9.0, 10.0, 79.0, 80.0, 99.0, 100.0, 500.0]), st.integers(1, 40)),
    min_size=1,
    max_size=12,
)
GIVEN = st.sampled_from([RULES, rules(min_on_s=0, min_off_s=0, off_settle_s=0), rules(min_on_s=7, min_off_s=400)])


def long_way(given_rules: Rules, state: State, reading: Reading) -> tuple[State, tuple[Event, ...]]:
    """Do what ``step`` does with a number, without its short cut."""
    if not isinstance(reading, Observation) or not isinstance(value := reading.values[CHANNEL], float):
        return step(given_rules, state, reading)
    sample = Sample(reading.at_ns, value)
    return core_step._account(given_rules, state, core_step._see(given_rules, state, sample))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(GIVEN, HELD)
@example(RULES, [(5, 79.0, 20), (5, 100.0, 3), (5, 80.0, 20)])  # what may be a run is seen between the thresholds
@example(RULES, [(5, 500.0, 20), (5, 79.0, 3), (5, 99.0, 40)])
def test_the_short_way_leads_where_the_long_way_leads(given_rules: Rules, shape) -> None:
    state, now_ns = begin("boot", 0), 0
    for step_s, value, times in shape:
        for _ in range(times):
            now_ns += step_s * NS_PER_S
            failed = isinstance(value, UnknownReason)
            reading = FailedRead(now_ns, value) if failed else Observation(now_ns, {CHANNEL: value})
            short = step(given_rules, state, reading)
            assert short == long_way(given_rules, state, reading)
            state = short[0]


def test_a_steady_stretch_goes_the_short_way() -> None:
    state = begin("boot", 0)
    for reading in held(1, 100, 500.0):
        state, _events = step(RULES, state, reading)
    numbers = iter([(second * NS_PER_S, 500.0 if second < 200 else 5.0) for second in range(100, 300)])
    state, after = steadily(RULES, state, numbers)
    assert after == (201 * NS_PER_S, 5.0)  # the median lets a single reading pass
    assert state.latest_ns == 200 * NS_PER_S
    assert next(numbers) == (202 * NS_PER_S, 5.0)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(GIVEN, NUMBERS)
@example(
    RULES, [(5, 500.0, 30), (5, -50.0, 1), (5, 500.0, 30), (5, -50.0, 200), (5, 500.0, 30)]
)  # a clamp turned round
def test_many_readings_at_once_make_what_each_of_them_makes(given_rules: Rules, shape) -> None:
    numbers, now_ns = [], 0
    for step_s, value, times in shape:
        for _ in range(times):
            now_ns += step_s * NS_PER_S
            numbers.append((now_ns, value))
    state, each = begin("boot", numbers[0][0]), []
    for at_ns, value in numbers:
        state, events = observe(given_rules, state, Observation(at_ns, {CHANNEL: value}))
        each += events
    assert list(played(given_rules, "boot", numbers)) == [*each, *ended(given_rules, state)[1]]
