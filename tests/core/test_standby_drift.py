"""Slow drift of the standby level is followed within bounds, by records, and learned from standby only."""

from itertools import pairwise

import pytest
from metered import HOUR_S, Power, nothing_seen
from played import rules

from instrument_agent.core.activity import Rules
from instrument_agent.core.drift import Drift, Moved, in_force, standing
from instrument_agent.core.ledger import Interval
from instrument_agent.core.observing import next_boot
from instrument_agent.core.readings import NS_PER_S, Activity, Observation
from instrument_agent.core.records import configured, event_facts
from instrument_agent.core.sessions import RunSession

DAY_S = 24 * HOUR_S


def with_standby(level: float | None = 2100.0, **thresholds: float) -> Rules:
    given = rules(200, 2260, 2190)
    return Rules(**{name: getattr(given, name) for name in Rules.__slots__} | {"standby_level": level} | thresholds)


FOLLOWED = with_standby()


def read(load: Power, seconds: float, start_s: float = 1000.0, every_s: int = 50):
    times_s = range(round(start_s), round(start_s + seconds), every_s)
    return [Observation(at_s * NS_PER_S, {"power_w": load(at_s - start_s)}) for at_s in times_s]


def rising(watts_a_day: float, base: float = 2100.0) -> Power:
    return lambda at_s: base + watts_a_day * at_s / DAY_S + 40 * ((at_s * 0.618034) % 1 - 0.5)


def level_of(seen) -> float:
    assert seen.state.drift is not None
    return seen.state.drift.level


def test_a_run_over_a_standby_that_rose_is_found_as_before():
    def worked(at_s: float) -> float:
        return rising(25)(at_s) + (252 if at_s % DAY_S > 20 * HOUR_S else 0)

    without = nothing_seen().see(with_standby(None), read(worked, 6 * DAY_S))
    seen = nothing_seen().see(FOLLOWED, read(worked, 6 * DAY_S))
    runs = [event for event in seen.events if isinstance(event, RunSession)]
    assert [round((run.end_ns - run.start_ns) / NS_PER_S / HOUR_S, 1) for run in runs] == [4.0] * 5
    assert len([event for event in without.events if isinstance(event, RunSession)]) < 5


def test_each_move_is_a_record_with_the_thresholds_it_sets():
    seen = nothing_seen().see(FOLLOWED, read(rising(25), 6 * DAY_S))
    facts = [fact.data for fact in event_facts("boot", "lcms-1", 0, tuple(seen.moves))]
    assert [fact["event"] for fact in facts] == ["drift"] * len(facts)
    assert len(facts) >= 2
    for fact in facts:
        assert float(fact["rules"]["run_above"]) - float(fact["level"]) == pytest.approx(160)
        assert float(fact["rules"]["run_below"]) - float(fact["level"]) == pytest.approx(90)
    assert in_force(FOLLOWED, seen.state.drift) == seen.moves[-1].rules


def test_thresholds_move_once_a_day_at_most_and_by_more_than_2_percent():
    seen = nothing_seen().see(FOLLOWED, read(rising(60), 6 * DAY_S))
    times_s = [1000.0, *(move.at_ns / NS_PER_S for move in seen.moves)]
    levels = [2100.0, *(move.level for move in seen.moves)]
    assert all(later - earlier >= DAY_S for earlier, later in pairwise(times_s))
    assert all(abs(later - earlier) > 42 for earlier, later in pairwise(levels))
    assert seen.moves


def test_a_level_that_jumps_is_followed_by_1_percent_an_hour():
    seen = nothing_seen().see(FOLLOWED, read(lambda _s: 2100.0, HOUR_S))
    seen.see(FOLLOWED, read(lambda _s: 1500.0, 5 * HOUR_S, start_s=1000 + HOUR_S))
    assert level_of(seen) == pytest.approx(2100 * 0.95, rel=0.001)


def test_no_more_than_20_percent_is_ever_followed():
    seen = nothing_seen().see(FOLLOWED, read(lambda _s: 1000.0, 3 * DAY_S))
    assert level_of(seen) == pytest.approx(0.8 * 2100)
    assert in_force(FOLLOWED, seen.state.drift).run_below == pytest.approx(2190 - 420)


@pytest.mark.parametrize(("watts", "activity"), [(2300.0, Activity.RUNNING), (150.0, Activity.OFF)])
def test_neither_a_run_nor_off_teaches_anything(watts: float, activity: Activity):
    seen = nothing_seen().see(FOLLOWED, read(lambda _s: 2100.0, HOUR_S))
    seen.see(FOLLOWED, read(lambda _s: watts, DAY_S, start_s=1000 + HOUR_S))
    assert [event.activity for event in seen.events if isinstance(event, Interval)][-1] is Activity.STANDBY
    assert seen.state.line.open.activity is activity
    assert level_of(seen) == pytest.approx(2100)


def test_the_pauses_of_a_run_teach_nothing():
    seen = nothing_seen().see(FOLLOWED, read(lambda _s: 2100.0, HOUR_S))
    pausing = read(lambda at_s: 2400.0 if at_s % 200 < 100 else 1700.0, DAY_S, start_s=1000 + HOUR_S, every_s=20)
    seen.see(FOLLOWED, pausing)
    assert seen.state.open_run is not None
    assert level_of(seen) == pytest.approx(2100, rel=0.001)


def test_pulses_that_are_no_run_teach_nothing():
    given = with_standby(min_on_ns=600 * NS_PER_S)
    seen = nothing_seen().see(given, read(lambda at_s: 2400.0 if at_s % 900 > 450 else 2100.0, DAY_S))
    assert level_of(seen) == pytest.approx(2100, rel=0.001)


def test_off_never_moves_and_run_never_falls_to_it():
    moved = in_force(with_standby(off_below=2050.0), Drift(2100.0, 2260.0, 1700.0, 1700.0))
    assert (moved.off_below, moved.run_below, moved.run_above) == (2050.0, 2050.0, 2050.0)


def test_a_new_boot_goes_on_where_the_one_before_was_and_new_rules_begin_anew():
    seen = nothing_seen().see(FOLLOWED, read(rising(25), 5 * DAY_S))
    before = seen.state.drift
    assert before is not None
    assert before.judged != before.commissioned
    seen.state = next_boot(seen.state, "next", None)
    assert seen.state.drift is not None
    assert (seen.state.drift.level, seen.state.drift.judged) == (before.level, before.judged)
    assert standing(FOLLOWED, seen.state.drift, 5) == Moved(5, before.judged, in_force(FOLLOWED, before))
    for other in (with_standby(2150.0), with_standby(run_above=2300.0)):
        anew = nothing_seen(0.0)
        anew.state = next_boot(seen.state, "next", None)
        assert in_force(other, anew.state.drift) is other
        anew.see(other, read(lambda _s: 2150.0, 60, start_s=10, every_s=10))
        assert anew.state.drift is not None
        assert anew.state.drift.judged == other.standby_level


def test_days_of_many_boots_count_together():
    seen = nothing_seen().see(FOLLOWED, read(lambda _s: 2180.0, 16 * HOUR_S))
    assert seen.moves == []
    seen.state = next_boot(seen.state, "next", None)
    seen.see(FOLLOWED, read(lambda _s: 2180.0, 16 * HOUR_S, start_s=10))
    assert len(seen.moves) == 1


def test_a_box_that_is_killed_at_every_reading_follows_the_same():
    readings = read(lambda at_s: 2180.0 if at_s % 7200 < 5000 else 2400.0, 40 * HOUR_S, every_s=50)
    once, killed = nothing_seen().see(FOLLOWED, readings), nothing_seen().see(FOLLOWED, readings, resumed=True)
    assert (once.state, once.events) == (killed.state, killed.events)
    assert once.moves


def test_the_commissioned_level_is_told_with_the_rules():
    assert configured({}, "modbus", FOLLOWED, 1000)["rules"]["standby_level"] == "2100.0"
    assert "standby_level" not in configured({}, "modbus", with_standby(None), 1000)["rules"]
