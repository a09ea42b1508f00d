"""When a window of power and counted energy says something, and what."""

import pytest

from instrument_agent.core.energy import Verdict, Window, grown, is_full, is_quiet, judged, smallest_step
from instrument_agent.core.readings import NS_PER_S

HOUR_S = 3600
OFF_BELOW = 20.0
COUNT_KWH = 0.01


def window(
    seconds: float, read_w: float, counted_kwh: float, *, low_w: float | None = None, rough: float = 0.0
) -> Window:
    """Return a window in which so many watts were read on average."""
    end_ns = round(seconds * NS_PER_S)
    low_w, integral_ws = read_w if low_w is None else low_w, read_w * seconds
    return Window(0, end_ns, end_ns, read_w, 7.0, 7.0 + counted_kwh, low_w, read_w, integral_ws, rough * integral_ws)


@pytest.mark.parametrize(
    ("seconds", "read_w", "counted_kwh", "full"),
    [
        (HOUR_S, 0, 1.001, True),
        (HOUR_S, 1001, 0, True),
        (HOUR_S, 900, 0.99, False),
        (1199, 9000, 3, False),
        (1200, 9000, 3, True),
        (24 * HOUR_S - 1, 0, 0, False),
        (24 * HOUR_S, 0, 0, True),
    ],
)
def test_a_window_is_100_counts_of_either_in_20_minutes_to_a_day(
    seconds: float, read_w: float, counted_kwh: float, full: bool
):
    assert is_full(window(seconds, read_w, counted_kwh), COUNT_KWH) is full


def test_without_a_count_a_window_lasts_a_day():
    assert not is_full(window(24 * HOUR_S - 1, 5000, 0), None)
    assert is_full(window(24 * HOUR_S, 5000, 0), None)


@pytest.mark.parametrize(
    ("read_w", "counted_kwh", "verdict"),
    [
        (2000, 10.0, Verdict.AGREES),
        (2000, 10.63, Verdict.AGREES),  # 5 % of the greater, two counts and 20 W for five hours
        (2000, 10.70, Verdict.DISAGREES),
        (2000, 9.39, Verdict.AGREES),
        (2000, 9.35, Verdict.DISAGREES),
        (10, 0.16, Verdict.AGREES),
        (10, 0.19, Verdict.BLIND),
        (10, 0.0, Verdict.AGREES),
    ],
)
def test_5_percent_two_counts_and_what_is_off_are_no_difference(read_w: float, counted_kwh: float, verdict: Verdict):
    assert judged(window(5 * HOUR_S, read_w, counted_kwh, low_w=0.0), COUNT_KWH, OFF_BELOW) is verdict


@pytest.mark.parametrize(
    ("counted_kwh", "verdict"),
    [
        (0.0, Verdict.STUCK),
        (4.9, Verdict.STUCK),
        (5.1, Verdict.DISAGREES),
        (19.9, Verdict.DISAGREES),
        (20.1, Verdict.STUCK),
    ],
)
def test_a_value_that_stands_still_is_stuck_if_it_is_wrong_by_half(counted_kwh: float, verdict: Verdict):
    assert judged(window(5 * HOUR_S, 2000, counted_kwh), COUNT_KWH, OFF_BELOW) is verdict


def test_a_load_that_jumps_between_readings_says_nothing():
    assert judged(window(5 * HOUR_S, 2000, 20, low_w=0.0, rough=0.05), COUNT_KWH, OFF_BELOW) is None


@pytest.mark.parametrize(("at_s", "kwh"), [(61.0, 7.0), (10.0, 6.9)])
def test_after_a_silence_or_a_new_counter_a_window_begins(at_s: float, kwh: float):
    begun = grown(grown(None, 0, 100, 6.0), NS_PER_S, 100, 7.0)
    after = grown(begun, NS_PER_S + round(at_s * NS_PER_S), 300.0, kwh)
    assert (after.start_ns, after.counted_ws, after.integral_ws) == (after.at_ns, 0.0, 0.0)


def test_what_flows_back_is_not_in_the_integral():
    seen = grown(grown(grown(None, 0, 100.0, 7.0), 10 * NS_PER_S, 100.0, 7.0), 20 * NS_PER_S, -300.0, 7.0)
    assert (seen.integral_ws, seen.rough_ws, seen.low_w) == (1500.0, 500.0, -300.0)


def test_a_count_is_the_smallest_step_that_was_seen():
    before = grown(None, 0, 100, 7.0)
    assert smallest_step(None, 7.0, None) is None
    assert smallest_step(before, 7.0, None) is None
    assert smallest_step(before, 7.25, None) == 0.25
    assert smallest_step(before, 7.25, 0.125) == 0.125
    assert smallest_step(before, 6.0, 0.5) == 0.5


def test_a_counter_is_quiet_once_it_stands_still_for_long():
    moved = grown(grown(None, 0, 10.0, 7.0), 10 * NS_PER_S, 10.0, 7.01)

    def still(seconds: int) -> bool:
        seen = Window(0, (10 + seconds) * NS_PER_S, moved.moved_ns, 0.0, 7.0, 7.01, 0.0, 10.0)
        return is_quiet(seen, COUNT_KWH, OFF_BELOW)

    assert (still(3600), still(3601)) == (False, True)
