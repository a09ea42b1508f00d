"""A sensor that cannot be right is not believed, and what it reads is never "off"; a doubt is told twice in all."""

import json
from dataclasses import replace
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metered import HOUR_S, Meter, Power, nothing_seen, steady
from played import rules

from instrument_agent.core.checkpoint import checksum, read_back, written
from instrument_agent.core.ledger import Interval
from instrument_agent.core.observing import next_boot
from instrument_agent.core.readings import NS_PER_S, Activity, FailedRead, Observation, UnknownReason, Value
from instrument_agent.core.records import sensor_fault
from instrument_agent.core.sanity import Finding
from instrument_agent.core.step import live

RULES = rules(off_below=20, run_above=1000, run_below=800)
STANDBY, RUNNING = steady(400), steady(2000)


def off(at_s: float) -> float:
    return 3 + (at_s * 0.31) % 0.4


def reversed_clamp(_at_s: float, values: dict[str, Value]) -> dict[str, Value]:
    return values | {"power_w": -float(values["power_w"] or 0)}


def dead(_at_s: float, values: dict[str, Value]) -> dict[str, Value]:
    return values | {"power_w": 0.0, "apparent_power_va": 0.0}


def stuck_at(watts: float):
    return lambda _at_s, values: values | {"power_w": watts}


def without_apparent(_at_s: float, values: dict[str, Value]) -> dict[str, Value]:
    return {name: value for name, value in values.items() if name != "apparent_power_va"}


def doubted(seen, of: Meter) -> tuple[Activity, UnknownReason | None]:
    now = live(RULES, seen.state, round(of.begun_s * NS_PER_S))
    return now.activity, now.reason


SUSPECT = (Activity.UNKNOWN, UnknownReason.SENSOR_SUSPECT)


def test_a_clamp_the_wrong_way_round_is_unknown_at_once_and_told_after_ten_minutes():
    meter = Meter()
    seen = nothing_seen().see(RULES, meter.readings(STANDBY, 595, reversed_clamp))
    assert doubted(seen, meter) == SUSPECT
    assert seen.doubts == []
    seen.see(RULES, meter.readings(RUNNING, 3000, reversed_clamp))
    assert seen.doubts == [("sensor_reversed", "begin")]
    seen.see(RULES, meter.readings(STANDBY, 300))
    assert seen.doubts[1:] == [("sensor_reversed", "end")]
    assert doubted(seen, meter) == (Activity.STANDBY, None)
    assert not [event for event in seen.events if isinstance(event, Interval) and event.activity is Activity.OFF]


def test_an_instrument_that_is_off_is_off_though_its_clamp_is_the_wrong_way_round():
    meter = Meter()
    seen = nothing_seen().see(RULES, meter.readings(STANDBY, 1200, reversed_clamp))
    seen.see(RULES, meter.readings(off, 600, reversed_clamp))
    assert doubted(seen, meter) == (Activity.OFF, None)


def test_a_moment_in_which_power_flows_back_is_nothing():
    meter = Meter()
    seen = nothing_seen().see(RULES, meter.readings(RUNNING, 600))
    seen.see(RULES, meter.readings(steady(300), 30, reversed_clamp)).see(RULES, meter.readings(RUNNING, 600))
    assert seen.doubts == []
    assert doubted(seen, meter) == (Activity.RUNNING, None)


@pytest.mark.parametrize("count_kwh", [0.001, 0.01])
def test_a_meter_that_reads_off_while_its_counter_counts_is_not_believed(count_kwh: float):
    meter = Meter(count_kwh)
    seen = nothing_seen().see(RULES, meter.readings(RUNNING, 2 * HOUR_S))
    seen.see(RULES, meter.readings(STANDBY, 12 * HOUR_S, dead))
    assert seen.doubts == [("sensor_blind", "begin")]
    assert doubted(seen, meter) == SUSPECT
    seen.see(RULES, meter.readings(STANDBY, 600))
    assert seen.doubts[1:] == [("sensor_blind", "end")]
    assert doubted(seen, meter) == (Activity.STANDBY, None)


def test_off_is_believed_again_when_the_counter_stands_still():
    meter = Meter()
    seen = nothing_seen().see(RULES, meter.readings(RUNNING, 2 * HOUR_S))
    seen.see(RULES, meter.readings(STANDBY, 12 * HOUR_S, dead))
    seen.see(RULES, meter.readings(lambda _s: 0.0, 4 * HOUR_S))
    assert seen.doubts == [("sensor_blind", "begin"), ("sensor_blind", "end")]
    assert doubted(seen, meter) == (Activity.OFF, None)


def test_a_doubt_outlives_the_boot():
    meter = Meter()
    seen = nothing_seen().see(RULES, meter.readings(RUNNING, 2 * HOUR_S))
    seen.see(RULES, meter.readings(STANDBY, 12 * HOUR_S, dead))
    seen.state = next_boot(seen.state, "next", None)
    meter.begun_s = 10.0
    seen.see(RULES, meter.readings(STANDBY, 600, dead))
    assert doubted(seen, meter) == SUSPECT
    seen.see(RULES, meter.readings(STANDBY, 600))
    ends = seen.events[-1]
    assert isinstance(ends, Finding)
    assert sensor_fault(ends) == {"kind": "sensor_blind", "phase": "end", "since_ms": 0}


def test_a_value_that_stands_still_above_the_apparent_power_is_stuck():
    meter = Meter()
    seen = nothing_seen().see(RULES, meter.readings(RUNNING, 600))
    seen.see(RULES, meter.readings(off, 720, stuck_at(2000.0)))
    assert seen.doubts == [("sensor_stuck", "begin")]
    assert doubted(seen, meter) == SUSPECT
    seen.see(RULES, meter.readings(off, 600))
    assert seen.doubts[1:] == [("sensor_stuck", "end")]
    assert doubted(seen, meter) == (Activity.OFF, None)


@pytest.mark.parametrize(("stuck_w", "load"), [(2000.0, STANDBY), (400.0, RUNNING), (2000.0, off)])
def test_a_value_that_stands_still_while_the_counter_says_another_is_stuck(stuck_w: float, load: Power):
    meter = Meter()
    fault = stuck_at(stuck_w)
    seen = nothing_seen().see(RULES, meter.readings(RUNNING, 2 * HOUR_S, without_apparent))
    seen.see(RULES, meter.readings(load, 4 * HOUR_S, lambda s, v: without_apparent(s, fault(s, v))))
    assert seen.doubts == [("sensor_stuck", "begin")]
    assert doubted(seen, meter) == SUSPECT


def test_a_counter_on_another_scale_is_told_and_doubts_no_activity():
    meter = Meter()

    def tenfold(_at_s: float, values: dict[str, Value]) -> dict[str, Value]:
        return values | {"energy_import_kwh": 10 * float(values["energy_import_kwh"] or 0)}

    seen = nothing_seen().see(RULES, meter.readings(RUNNING, 6 * HOUR_S, tenfold))
    assert seen.doubts == [("energy_disagrees", "begin")]
    told = sensor_fault(seen.events[-1])
    assert told["counted_wh"] == pytest.approx(10 * told["read_wh"], rel=0.03)
    seen.see(RULES, meter.readings(off, 2 * HOUR_S, tenfold))
    assert doubted(seen, meter) == (Activity.OFF, None)
    meter.joules *= 10
    seen.see(RULES, meter.readings(RUNNING, 6 * HOUR_S))
    assert seen.doubts[1:] == [("energy_disagrees", "end")]


def test_a_counter_that_never_fitted_does_not_make_off_unknown():
    meter = Meter(poll_s=50.0)

    def in_wh(_at_s: float, values: dict[str, Value]) -> dict[str, Value]:
        return values | {"energy_import_kwh": 1000 * float(values["energy_import_kwh"] or 0)}

    seen = nothing_seen().see(RULES, meter.readings(RUNNING, HOUR_S, in_wh))
    seen.see(RULES, meter.readings(off, 100 * HOUR_S, in_wh))
    assert seen.doubts == [("energy_disagrees", "begin")]
    assert doubted(seen, meter) == (Activity.OFF, None)


@pytest.mark.parametrize("fitted", [True, False])
def test_an_apparent_power_that_is_wrong_does_not_doubt_the_power(fitted: bool):
    meter = Meter()

    def without_any(_at_s: float, values: dict[str, Value]) -> dict[str, Value]:
        return values | {"apparent_power_va": 0.0}

    seen = nothing_seen()
    if fitted:
        seen.see(RULES, meter.readings(STANDBY, 600)).see(RULES, meter.readings(STANDBY, 2 * HOUR_S, without_any))
    else:
        seen.see(RULES, meter.readings(lambda _s: 400.0, 2 * HOUR_S, without_any))
    assert seen.doubts == []


def test_without_another_channel_nothing_but_its_sign_is_doubted():
    readings = (Observation(second * NS_PER_S, {"power_w": 2000.0}) for second in range(1000, 200_000, 20))
    assert nothing_seen().see(RULES, readings).doubts == []


def test_a_code_below_zero_is_a_code():
    given_rules = replace(rules(off_below=0.5, run_above=1.5, run_below=1.5), states={"-1": Activity.RUNNING})
    coded = [Observation(second * NS_PER_S, {"power_w": -1.0}) for second in range(1000, 1100)]
    assert live(given_rules, nothing_seen().see(given_rules, coded).state, 1099 * NS_PER_S).activity is Activity.RUNNING


def test_a_checkpoint_of_the_version_before_knows_of_no_doubt():
    text, _sha256 = written(nothing_seen().state)
    older = json.dumps({name: part for name, part in json.loads(text).items() if name not in {"senses", "drift"}})
    assert read_back(older, checksum(older)) == nothing_seen().state


PIECES = st.tuples(
    st.sampled_from([off, STANDBY, RUNNING]),
    st.sampled_from([reversed_clamp, dead, stuck_at(2000.0), stuck_at(400.0), without_apparent, None]),
    st.sampled_from([300, 700, 3600, 5000]),
)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(st.lists(PIECES, min_size=1, max_size=5), st.sampled_from([None, 50.0]))
def test_a_box_that_is_killed_after_every_reading_comes_to_the_same(pieces, standby_level: float | None):
    def readings():
        meter = Meter(0.001, poll_s=10.0)
        for load, fault, seconds in pieces:
            yield meter.readings(load, seconds, *([] if fault is None else [fault]))
            meter.begun_s += 70
            yield [FailedRead(round(meter.begun_s * NS_PER_S), UnknownReason.DRIVER_ERROR)]

    given_rules = rules(off_below=20, run_above=1000, run_below=800)
    once = nothing_seen().see(given_rules, chain.from_iterable(readings()))
    killed = nothing_seen().see(given_rules, chain.from_iterable(readings()), resumed=True)
    assert (once.state, once.events) == (killed.state, killed.events)
