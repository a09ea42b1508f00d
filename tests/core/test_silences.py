"""Time in which nothing is seen: held, bridged, or unknown with its reason."""

import pytest
from played import OFF, RULES, RUN, STANDBY, absent, at, failed, held, played, rules, so_far, steps

from instrument_agent.core.readings import NS_PER_S, Activity, Reading, UnknownReason
from instrument_agent.core.step import begin, live

UNAVAILABLE, ERROR, HUNG = UnknownReason.DRIVER_UNAVAILABLE, UnknownReason.DRIVER_ERROR, UnknownReason.DRIVER_HUNG
CRASHED = UnknownReason.AGENT_CRASHED


def test_a_silence_of_gap_is_held():
    books = played([*held(0, 101, STANDBY), *held(160, 200, STANDBY)])
    assert books.intervals == [(0, 199, "standby")]


def test_a_glitch_before_a_held_silence_does_not_show_although_a_read_failed_at_its_very_end():
    immediate = rules(min_on_s=0, min_off_s=0, off_settle_s=0)
    books = played([*held(0, 100, STANDBY), at(100, RUN), failed(160), *held(160, 200, STANDBY)], immediate)
    assert books.intervals == [(0, 199, "standby")]


def test_a_silence_longer_than_gap_is_unknown_from_the_last_sight():
    books = played([*held(0, 101, STANDBY), *held(161, 200, STANDBY)])
    assert books.intervals == [(0, 100, "standby"), (100, 161, "unknown: not_polled"), (161, 199, "standby")]


def test_failed_reads_within_gap_do_nothing():
    steady = [*held(0, 101, RUN), *held(160, 200, RUN)]
    failing = [*held(0, 101, RUN), *(failed(second) for second in range(101, 160)), *held(160, 200, RUN)]
    assert played(failing) == played(steady)


def test_a_silence_has_the_reason_of_its_failed_reads_from_the_last_sight_on():
    books = played([*held(0, 101, STANDBY), failed(120), failed(170), *held(180, 200, STANDBY)])
    assert books.intervals[1] == (100, 180, "unknown: driver_unavailable")


@pytest.mark.parametrize("back_s", [300, 900])
def test_a_silence_is_cut_where_its_reason_changes(back_s: int):
    shape: list[Reading] = held(0, 101, STANDBY)
    shape += [failed(110, UNAVAILABLE), failed(150, UNAVAILABLE), failed(200, ERROR), failed(250, HUNG)]
    books = played([*shape, *held(back_s, back_s + 10, STANDBY)])
    assert books.intervals[1:-1] == [
        (100, 200, "unknown: driver_unavailable"),
        (200, 250, "unknown: driver_error"),
        (250, back_s, "unknown: driver_hung"),
    ]


def test_the_reason_of_a_failed_read_is_forgotten_when_a_value_comes():
    books = played([*held(0, 101, STANDBY), failed(110), at(120, STANDBY), *held(300, 310, STANDBY)])
    assert books.intervals[1] == (120, 300, "unknown: not_polled")


def test_a_reason_that_comes_after_bridge_changes_nothing_before_it():
    shape = [*held(0, 101, STANDBY), failed(110, UNAVAILABLE), failed(500, UNAVAILABLE), failed(600, ERROR)]
    books = played([*shape, failed(700, ERROR), *held(800, 810, STANDBY)])
    assert books.intervals[1:-1] == [(100, 600, "unknown: driver_unavailable"), (600, 800, "unknown: driver_error")]


@pytest.mark.parametrize("nonsense", [None, "ERR 7", float("nan"), float("inf")])
def test_what_is_no_number_is_an_implausible_reading(nonsense: float | str | None):
    books = played([*held(0, 101, RUN), *(at(second, nonsense) for second in range(101, 300)), *held(300, 310, RUN)])
    assert books.intervals[1] == (100, 300, "unknown: implausible_reading")


def test_an_absent_channel_is_nothing_read():
    books = played([*held(0, 101, RUN), *(absent(second) for second in range(101, 300)), *held(300, 310, RUN)])
    assert books.intervals[1] == (100, 300, "unknown: not_polled")


def test_an_absent_channel_leaves_the_reason_of_the_failed_read_before_it():
    books = played([*held(0, 101, RUN), failed(110, HUNG), absent(150), absent(200), *held(201, 210, RUN)])
    assert books.intervals[1] == (100, 201, "unknown: driver_hung")


def test_an_absent_channel_ends_the_time_without_an_agent():
    books = played([*held(0, 101, RUN), failed(101, CRASHED), absent(150), absent(200), *held(201, 210, RUN)])
    assert books.intervals[1:-1] == [(100, 150, "unknown: agent_crashed"), (150, 201, "unknown: not_polled")]


def test_a_value_that_is_absent_now_and_then_does_not_cut_unknown_time_into_pieces():
    shape = [reading for second in range(101, 300, 2) for reading in (at(second, None), absent(second + 1))]
    books = played([*held(0, 101, RUN), *shape, *held(301, 310, RUN)])
    assert books.intervals[1:-1] == [(100, 301, "unknown: implausible_reading")]


def test_nonsense_is_never_zero_nor_off():
    for reading in (failed, absent, lambda second: at(second, None)):
        books = played([*held(0, 101, STANDBY), *(reading(second) for second in range(101, 2000))])
        assert {state for _start, _end, state in books.intervals[1:]} == {books.intervals[1][2]}
        assert books.intervals[1][2].startswith("unknown: ")


def test_a_short_silence_in_a_run_is_bridged_and_stays_unknown_in_the_ledger():
    books = played([*held(0, 101, RUN), *held(400, 501, RUN), *held(501, 700, STANDBY)])
    assert books.runs == [(0, 501, 300)]
    assert books.intervals[:3] == [(0, 100, "running"), (100, 400, "unknown: not_polled"), (400, 501, "running")]


def test_a_silence_longer_than_bridge_ends_the_run_at_its_last_sight():
    books = played([*held(0, 101, RUN), *held(401, 501, RUN), *held(501, 700, STANDBY)])
    assert books.runs == [(0, 100, 0), (401, 501, 0)]


def test_the_run_is_over_as_soon_as_the_silence_is_too_long():
    shape = [*held(0, 101, RUN), *(failed(second) for second in range(101, 401))]
    assert so_far(shape).runs == []
    assert so_far([*shape, failed(401)]).runs == [(0, 100, 0)]


def test_after_a_long_silence_a_run_must_be_proven_again():
    books = played([*held(0, 101, RUN), *held(500, 559, RUN), *held(559, 800, STANDBY)])
    assert books.runs == [(0, 100, 0)]


def test_two_bridged_silences_add_up_in_their_session():
    books = played([*held(0, 101, RUN), *held(200, 301, RUN), *held(500, 561, RUN), *held(561, 800, STANDBY)])
    assert books.runs == [(0, 561, 100 + 200)]


def test_a_silence_is_not_bridged_if_it_does_not_run_on_the_other_side():
    books = played([*held(0, 101, RUN), *held(300, 500, STANDBY)])
    assert books.runs == [(0, 100, 0)]
    assert books.intervals == [(0, 100, "running"), (100, 300, "unknown: not_polled"), (300, 499, "standby")]


def test_the_last_sample_before_a_silence_counts_as_it_stands():
    """So a pause that begins with it is counted from it."""
    books = played([*held(0, 101, RUN), at(101, STANDBY), *held(300, 350, STANDBY), *held(350, 500, RUN)])
    assert books.runs == [(0, 101, 0), (350, 499, 0)]


def test_a_bridged_run_need_not_be_proven_again_but_one_that_was_silent_for_longer_must_be():
    pulse = [*held(400, 430, RUN), *held(430, 700, STANDBY)]
    assert played([*held(0, 101, RUN), failed(399), failed(400), *pulse]).runs == [(0, 430, 300)]
    assert played([*held(0, 100, RUN), failed(399), failed(400), *pulse]).runs == [(0, 99, 0)]


@pytest.mark.parametrize(("before", "last", "after"), [(STANDBY, RUN, STANDBY), (OFF, STANDBY, OFF), (OFF, RUN, OFF)])
def test_what_was_seen_only_at_the_last_sight_is_not_carried_over_a_long_silence(
    before: float, last: float, after: float
):
    immediate = rules(min_on_s=0, min_off_s=0, off_settle_s=0)
    books = played([*held(0, 101, before), at(101, last), *held(900, 1000, after)], immediate)
    assert books.intervals[0][2] == books.intervals[2][2]
    assert books.intervals[1] == (101, 900, "unknown: not_polled")
    assert books.runs == []


def test_a_silence_before_a_run_does_not_belong_to_it():
    books = played([*held(0, 101, STANDBY), *held(300, 500, RUN)])
    assert books.runs == [(300, 499, 0)]


def test_a_pulse_before_a_silence_is_no_run_however_long_the_silence():
    for back_s in (162, 400, 900):
        books = played([*held(0, 101, STANDBY), *held(101, 111, RUN), *held(back_s + 10, back_s + 100, STANDBY)])
        assert books.runs == []


def test_a_silence_between_two_pulses_does_not_make_them_a_run():
    books = played([*held(0, 101, STANDBY), *held(101, 111, RUN), *held(310, 320, RUN), *held(320, 700, STANDBY)])
    assert books.runs == []
    assert "running" not in {state for _start, _end, state in books.intervals}


def test_the_seen_parts_on_both_sides_of_a_bridged_silence_prove_a_run_together():
    books = played([*held(0, 101, STANDBY), *held(101, 141, RUN), *held(300, 321, RUN), *held(321, 700, STANDBY)])
    assert books.runs == [(101, 321, 160)]  # 39 s before and 21 s after the silence: 60 s were seen
    shorter = played([*held(0, 101, STANDBY), *held(101, 141, RUN), *held(300, 320, RUN), *held(320, 700, STANDBY)])
    assert shorter.runs == []


@pytest.mark.parametrize("back", [[*held(300, 304, OFF), *held(304, 500, STANDBY)], held(300, 500, STANDBY)])
def test_a_silence_after_a_dip_does_not_make_it_off(back: list[Reading]):
    books = played([*held(0, 101, STANDBY), *held(101, 105, OFF), *back])
    assert "off" not in {state for _start, _end, state in books.intervals}


def test_a_silence_too_long_to_bridge_does_not_make_a_dip_off():
    books = played([*held(0, 101, STANDBY), *held(101, 105, OFF), *held(900, 1000, STANDBY)])
    assert books.intervals == [(0, 104, "standby"), (104, 900, "unknown: not_polled"), (900, 999, "standby")]


def test_a_pause_whose_end_was_not_seen_ends_the_run_where_it_began():
    books = played([*held(0, 101, RUN), *held(101, 111, STANDBY), *held(900, 1000, STANDBY)])
    assert books.runs == [(0, 101, 0)]


def test_a_pause_counts_on_through_a_bridged_silence():
    books = played([*held(0, 101, RUN), *held(101, 111, STANDBY), *held(300, 310, STANDBY), *held(310, 500, RUN)])
    assert books.runs == [(0, 101, 0), (310, 499, 0)]


def test_what_was_not_seen_before_the_first_value_is_unknown():
    books = played([failed(40), *held(50, 60, STANDBY)], start_s=0)
    assert books.intervals == [(0, 50, "unknown: driver_unavailable"), (50, 59, "standby")]


def test_an_instrument_that_never_answers_is_unknown_from_the_start():
    books = played([failed(second) for second in range(1, 500)], start_s=0)
    assert books.intervals == [(0, 499, "unknown: driver_unavailable")]


def test_a_bridge_shorter_than_gap_bridges_nothing_that_is_not_held():
    short = rules(gap_s=60, bridge_s=10)
    books = played([*held(0, 101, RUN), *held(160, 301, RUN), *held(362, 500, RUN)], short)
    assert books.runs == [(0, 300, 0), (362, 499, 0)]


def test_live_becomes_unknown_after_gap_with_the_reason():
    state, _events = steps([*held(0, 101, RUN), failed(120, HUNG)])
    assert live(RULES, state, 160 * NS_PER_S).activity is Activity.RUNNING
    now = live(RULES, state, 161 * NS_PER_S)
    assert (now.activity, now.since_ns, now.reason) == (Activity.UNKNOWN, 100 * NS_PER_S, HUNG)


def test_live_without_any_reading_is_not_polled():
    now = live(RULES, begin("boot", 5 * NS_PER_S), 100 * NS_PER_S)
    assert (now.activity, now.since_ns, now.reason) == (Activity.UNKNOWN, 5 * NS_PER_S, UnknownReason.NOT_POLLED)


def test_live_stays_unknown_at_a_start_within_gap_until_the_first_value():
    state, _events = steps([failed(30)], start_s=0)
    now = live(RULES, state, 31 * NS_PER_S)
    assert (now.activity, now.since_ns, now.reason) == (Activity.UNKNOWN, 0, UNAVAILABLE)
