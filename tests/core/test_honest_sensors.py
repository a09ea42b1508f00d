"""No honest instrument is ever doubted: a wrong doubt takes hours away from a lab."""

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from metered import HOUR_S, Fault, Meter, Power, honest, steady
from played import rules

from instrument_agent.core.activity import Rules
from instrument_agent.core.readings import NS_PER_S, Observation, Value
from instrument_agent.core.sanity import UNDOUBTED, vetted
from instrument_agent.sandbox.loads import Load, bench_loads
from instrument_agent.sandbox.traces import PowerTrace

SHARED = Path(__file__).parents[3] / "shared" / "detection" / "traces"
RULES = rules(off_below=5, run_above=500, run_below=400)
LOADS = bench_loads(6 * HOUR_S)


def doubted(given: Rules, meter: Meter, load: Power, seconds: float, fault: Fault = honest) -> list[str]:
    """Return what is said against a meter, and every reading that is not believed."""
    senses, said, full = UNDOUBTED, [], 0
    for reading in meter.readings(load, seconds, fault):
        before = senses.window
        senses, taken, findings = vetted(given, senses, reading)
        said += [finding.doubt.value for finding in findings]
        said += [] if taken is reading else ["not believed"]
        full += before is not None and senses.window is not None and senses.window.start_ns > before.start_ns
    assert full >= 3, "nothing was compared"
    return said


@pytest.mark.parametrize("load", LOADS, ids=[load.instrument_id for load in LOADS])
def test_days_of_an_honest_instrument_raise_no_doubt(load: Load):
    given = rules(load.off_below, load.run_above, load.run_below)
    assert doubted(given, Meter(0.001, 20.0), lambda at_s: load.power_w(at_s % (6 * HOUR_S)), 48 * HOUR_S) == []


def pulsing(period_s: float, share: float) -> Power:
    return lambda at_s: 6000.0 if at_s % period_s < share * period_s else 0.0


def behind(delay_s: float) -> Callable[[], Fault]:
    """Return a counter that is brought up to date only so often."""

    def fault() -> Fault:
        shown: list[tuple[float, Value]] = [(-math.inf, 0.0)]

        def late(at_s: float, values: dict[str, Value]) -> dict[str, Value]:
            if at_s - shown[0][0] >= delay_s:
                shown[0] = (at_s, values["energy_import_kwh"])
            return values | {"energy_import_kwh": shown[0][1]}

        return late

    return fault


@pytest.mark.parametrize(
    ("load", "meter"),
    [
        (pulsing(7, 0.2), Meter(0.01, 5.0)),
        (pulsing(30, 0.5), Meter(0.01, 20.0)),
        (pulsing(2400, 0.3), Meter(0.01, 5.0)),
        (steady(12.4), Meter(0.001, 20.0, digits=0)),
        (steady(64.9), Meter(0.001, 20.0, digits=-1)),
        (steady(-3), Meter(0.001, 20.0)),
    ],
    ids=["short pulses", "as long as a poll", "long pulses", "coarse", "very coarse", "below zero"],
)
def test_loads_and_meters_of_many_kinds_raise_no_doubt(load: Power, meter: Meter):
    def then_at_work(at_s: float) -> float:
        return load(at_s) if at_s < 24 * HOUR_S else 2000.0 + at_s % 7

    assert doubted(RULES, meter, then_at_work, 28 * HOUR_S) == []


def test_a_counter_a_minute_behind_raises_no_doubt():
    late = behind(60)()
    assert doubted(RULES, Meter(0.001), lambda at_s: 3000.0 if at_s % 1800 < 900 else 50.0, 24 * HOUR_S, late) == []


def test_what_ran_while_nothing_was_read_raises_no_doubt():
    meter, senses, said = Meter(0.01), UNDOUBTED, []
    for hour in range(20):
        ran_unseen = hour > 5 and hour % 2 == 0
        load = steady(2000) if hour < 5 or ran_unseen else steady(1)
        for reading in meter.readings(load, HOUR_S):
            if not ran_unseen:
                senses, _taken, findings = vetted(RULES, senses, reading)
                said += findings
    assert senses.counter_fits
    assert said == []


def test_a_counter_that_was_replaced_raises_no_doubt():
    def replaced(at_s: float, values: dict[str, Value]) -> dict[str, Value]:
        number = int(at_s / (5.01 * HOUR_S))
        return values | {"energy_import_kwh": float(values["energy_import_kwh"] or 0) + (500, 0, 90_000, 7)[number]}

    assert doubted(RULES, Meter(0.01), steady(2000), 20 * HOUR_S, replaced) == []


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the recorded traces are not here")
@pytest.mark.parametrize("path", sorted(SHARED.glob("*.csv")), ids=lambda path: path.stem)
def test_recorded_traces_raise_no_doubt(path: Path):
    trace = PowerTrace.from_csv(path)
    senses, joules, said = UNDOUBTED, 0.0, []
    samples = zip(trace._times_s, trace._powers_w, strict=True)
    for number, ((before_s, before_w), (at_s, watts)) in enumerate(pairwise(samples)):
        joules += before_w * (at_s - before_s)
        if number % 5:
            continue
        values: dict[str, Value] = {
            "power_w": watts,
            "apparent_power_va": round(1.5 * watts),
            "energy_import_kwh": joules / 3_600_000 // 0.0001 * 0.0001,
        }
        reading = Observation(round(at_s * NS_PER_S), values)
        senses, taken, findings = vetted(RULES, senses, reading)
        said += [*findings, *([] if taken is reading else [at_s])]
    assert said == []
