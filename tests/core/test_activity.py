"""From numbers to off, standby and running, while the instrument is seen all the time."""

import pytest
from played import OFF, RULES, RUN, STANDBY, at, held, played, rules, so_far, steps

from instrument_agent.core.readings import NS_PER_S, Activity
from instrument_agent.core.step import begin, live, step


def test_a_run_begins_and_ends_at_the_first_sample_beyond_the_threshold():
    books = played([*held(0, 100, STANDBY), *held(100, 200, RUN), *held(200, 401, STANDBY)])
    assert books.intervals == [(0, 100, "standby"), (100, 200, "running"), (200, 400, "standby")]
    assert books.runs == [(100, 200, 0)]


def test_between_the_thresholds_the_side_last_seen_goes_on():
    inside = 90.0
    books = played([*held(0, 100, inside), *held(100, 200, RUN), *held(200, 500, inside), *held(500, 701, STANDBY)])
    assert books.runs == [(100, 500, 0)]


@pytest.mark.parametrize(("value", "ran"), [(100.0, True), (99.9, False)])
def test_a_run_begins_at_exactly_the_upper_threshold(value: float, ran: bool):
    assert bool(played(held(0, 100, value)).runs) is ran


@pytest.mark.parametrize(("value", "ended_s"), [(80.0, 500), (79.9, 200)])
def test_a_run_ends_only_under_the_lower_threshold(value: float, ended_s: int):
    assert played([*held(0, 200, RUN), *held(200, 501, value)]).runs == [(0, ended_s, 0)]


@pytest.mark.parametrize(("length_s", "runs"), [(59, []), (60, [(100, 160, 0)])])
def test_a_pulse_shorter_than_min_on_is_no_run(length_s: int, runs: list[tuple[float, ...]]):
    pulse_end = 100 + length_s
    books = played([*held(0, 100, STANDBY), *held(100, pulse_end, RUN), *held(pulse_end, 500, STANDBY)])
    assert books.runs == runs


@pytest.mark.parametrize(("length_s", "runs"), [(119, [(0, 600, 0)]), (120, [(0, 300, 0), (420, 600, 0)])])
def test_a_pause_shorter_than_min_off_does_not_end_a_run(length_s: int, runs: list[tuple[float, ...]]):
    pause_end = 300 + length_s
    books = played([*held(0, 300, RUN), *held(300, pause_end, STANDBY), *held(pause_end, 601, RUN)])
    assert books.runs == runs


def test_the_pulses_of_a_furnace_are_one_run():
    pulses = [reading for start in range(0, 3600, 90) for reading in held(start, start + 30, RUN)]
    pauses = [reading for start in range(0, 3600, 90) for reading in held(start + 30, start + 90, STANDBY)]
    shape = sorted([*pulses, *pauses], key=lambda reading: reading.at_ns) + held(3600, 4001, STANDBY)
    assert played(shape, rules(min_on_s=20, min_off_s=120)).runs == [(0, 3540, 0)]


def test_the_pulses_of_a_chiller_are_no_run():
    shape = [at(second, RUN if second % 300 < 59 else STANDBY) for second in range(7200)]
    books = played(shape)
    assert books.runs == []
    assert books.intervals == [(0, 7199, "standby")]


def test_short_pulses_do_not_add_up_to_a_run():
    shape = [*held(0, 50, RUN), *held(50, 52, STANDBY), *held(52, 100, RUN), *held(100, 300, STANDBY)]
    assert played(shape).runs == []


@pytest.mark.parametrize(("length_s", "state"), [(9, "standby"), (10, "off")])
def test_a_dip_shorter_than_off_settle_is_not_off(length_s: int, state: str):
    dip_end = 100 + length_s
    books = played([*held(0, 100, STANDBY), *held(100, dip_end, OFF), *held(dip_end, 200, STANDBY)])
    assert (state == "off") == ((100, dip_end, "off") in books.intervals)
    assert len(books.intervals) == (3 if state == "off" else 1)


def test_a_dip_that_is_still_going_on_at_the_end_is_not_off_before_off_settle():
    assert played([*held(0, 100, STANDBY), *held(100, 110, OFF)]).intervals == [(0, 109, "standby")]
    assert played([*held(0, 100, STANDBY), *held(100, 111, OFF)]).intervals == [(0, 100, "standby"), (100, 110, "off")]


def test_power_is_on_from_the_first_sample_at_the_threshold():
    books = played([*held(0, 30, OFF), *held(30, 60, 10.0)])
    assert books.intervals == [(0, 30, "off"), (30, 59, "standby")]


def test_running_wins_over_off():
    """A run that pauses at zero power is one run, although the power switch says off meanwhile."""
    books = played([*held(0, 100, RUN), *held(100, 160, OFF), *held(160, 300, RUN)])
    assert books.intervals == [(0, 299, "running")]


def test_a_switched_off_instrument_is_off_from_the_end_of_its_run():
    books = played([*held(0, 100, RUN), *held(100, 400, OFF)])
    assert books.intervals == [(0, 100, "running"), (100, 399, "off")]


@pytest.mark.parametrize("usual", [OFF, STANDBY, RUN])
@pytest.mark.parametrize("glitch", [OFF, STANDBY, RUN, 1e9, -1e9])
def test_a_single_wrong_sample_never_shows(usual: float, glitch: float):
    immediate = rules(min_on_s=0, min_off_s=0, off_settle_s=0)
    steady = held(0, 600, usual, every_s=10)
    shape = [at(300, glitch) if reading.at_ns == 300 * NS_PER_S else reading for reading in steady]
    assert played(shape, immediate) == played(steady, immediate)


def test_two_wrong_samples_do_show():
    immediate = rules(min_on_s=0, min_off_s=0, off_settle_s=0)
    books = played([*held(0, 10, STANDBY), *held(10, 12, RUN), *held(12, 20, STANDBY)], immediate)
    assert books.runs == [(10, 12, 0)]


def test_samples_of_the_same_time_are_taken_in_their_order():
    shape = [at(0, STANDBY), at(10, STANDBY), at(10, RUN), at(10, RUN), at(70, RUN), at(70, STANDBY), at(300, STANDBY)]
    books = played(shape, rules(gap_s=1000))
    assert books.intervals == [(0, 10, "standby"), (10, 70, "running"), (70, 300, "standby")]


def test_many_samples_of_one_time_take_no_time():
    books = played([at(5, value) for value in (OFF, RUN, RUN, OFF, OFF, STANDBY, STANDBY)])
    assert books.intervals == []
    assert books.runs == []


def test_a_value_holds_until_the_next_one():
    books = played([at(0, STANDBY), at(50, STANDBY), at(100, RUN), at(150, RUN), at(200, STANDBY), at(250, STANDBY)])
    assert books.intervals == [(0, 100, "standby"), (100, 200, "running"), (200, 250, "standby")]


def test_nothing_is_certain_while_it_may_still_be_dated_back():
    shape = [*held(0, 100, STANDBY), *held(100, 200, RUN)]
    assert so_far(shape).intervals == [(0, 100, "standby")]
    state, _events = steps([*shape, *held(200, 300, STANDBY)])
    assert state.line.settled_ns == 200 * NS_PER_S
    assert state.line.open.activity is Activity.RUNNING


def test_time_that_goes_backwards_is_an_error():
    state, _events = step(RULES, begin("boot", 0), at(10, RUN))
    with pytest.raises(ValueError, match="backwards"):
        step(RULES, state, at(9, RUN))


def test_a_reading_before_the_beginning_is_an_error():
    with pytest.raises(ValueError, match="backwards"):
        step(RULES, begin("boot", 10 * NS_PER_S), at(9, RUN))


def test_live_says_what_it_does_and_since_when():
    state, _events = steps([*held(0, 100, STANDBY), *held(100, 180, RUN)])
    now = live(RULES, state, 180 * NS_PER_S)
    assert (now.activity, now.since_ns, now.reason) == (Activity.RUNNING, 100 * NS_PER_S, None)


def test_live_is_unknown_before_the_first_value():
    assert live(RULES, begin("boot", 0), 1).activity is Activity.UNKNOWN
