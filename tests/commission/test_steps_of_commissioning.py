"""A step of commissioning is believed only if what was read fits what the instrument was put through."""

from dataclasses import replace
from pathlib import Path

import pytest
from shapes import LEVEL, sampled

from instrument_agent.commission.learning import learn
from instrument_agent.commission.proposing import lesson
from instrument_agent.commission.recorded import Recording
from instrument_agent.commission.report import limit_text, limits
from instrument_agent.commission.steps import (
    Measured,
    Outcome,
    Step,
    instruction,
    judged,
    measured,
    outcome_text,
    steps_of,
)
from instrument_agent.commission.thresholds import keys, rounded, told_off
from instrument_agent.commission.walk import cut_out
from instrument_agent.config import load_config
from instrument_agent.core.readings import Channel

OFF = Measured(60, 0, 0.8, 1.0, 1.2)
STANDBY = Measured(60, 0, 295, 300, 305)
RUN = Measured(60, 0, 305, 1400, 1500)
WELL = {Step.OFF: OFF, Step.STANDBY: STANDBY, Step.RUN: RUN}


def at(low: float, middle: float, high: float) -> Measured:
    return Measured(60, 0, low, middle, high)


@pytest.mark.parametrize(
    ("step", "here", "expected"),
    [
        (Step.OFF, OFF, Outcome.OK),
        (Step.OFF, at(-0.5, -0.2, -0.1), Outcome.OK),
        (Step.OFF, Measured(9, 0, 1, 1, 1), Outcome.NOT_READ),
        (Step.OFF, Measured(0, 60), Outcome.NOT_READ),
        (Step.STANDBY, STANDBY, Outcome.OK),
        (Step.STANDBY, Measured(90, 10, 295, 300, 305), Outcome.OK),
        (Step.STANDBY, Measured(89, 11, 295, 300, 305), Outcome.UNRELIABLE),
        (Step.STANDBY, at(-305, -300, -295), Outcome.NEGATIVE),
        (Step.STANDBY, at(1.1, 300, 305), Outcome.LIKE_OFF),
        (Step.RUN, RUN, Outcome.OK),
        (Step.RUN, at(1, 1, 1.2), Outcome.LIKE_OFF),
        (Step.RUN, at(295, 305, 315), Outcome.LIKE_STANDBY),
        (Step.RUN, at(295, 305, 316), Outcome.OK),
        (Step.STANDBY_AGAIN, at(400, 500, 600), Outcome.OK),
        (Step.STANDBY_AGAIN, at(600, 601, 605), Outcome.NOT_BACK),
        (Step.STANDBY_AGAIN, at(1, 1, 1), Outcome.LIKE_OFF),
    ],
)
def test_the_verdict_follows_from_the_steps_before(step: Step, here: Measured, expected: Outcome):
    before = {name: found for name, found in WELL.items() if list(Step).index(name) < list(Step).index(step)}
    assert judged(step, {**before, step: here}) is expected


def test_a_standby_that_was_taken_for_off_is_not_believed():
    assert judged(Step.STANDBY, {Step.OFF: at(795, 800, 805), Step.STANDBY: at(2390, 2400, 2410)}) is Outcome.OFF_DRAWS
    assert judged(Step.STANDBY, {Step.OFF: at(55, 57, 59), Step.STANDBY: STANDBY}) is Outcome.OK


def test_without_the_steps_before_a_reading_is_taken_as_it_is():
    assert judged(Step.RUN, {Step.RUN: RUN}) is Outcome.OK
    assert judged(Step.STANDBY_AGAIN, {Step.STANDBY_AGAIN: STANDBY, Step.STANDBY: STANDBY}) is Outcome.OK


def test_whatever_is_not_ok_says_what_to_do():
    for outcome in Outcome:
        assert outcome.good or len(outcome_text(outcome)) > 40
    assert all(instruction(step) for step in steps_of(None))
    assert steps_of("powered_only") == [Step.OFF, Step.STANDBY]


def test_of_a_recording_the_quantiles_and_the_failures_are_looked_at(tmp_path: Path):
    rows = [f"{number},{number if number < 100 else 9999}," for number in range(101)]
    text = "\n".join(["timestamp_s,power_w,failure", *rows, "200,?,", "201,,driver_unavailable", "202,,"])
    (tmp_path / "step.csv").write_text(text, encoding="utf-8")
    assert measured(tmp_path / "step.csv", "power_w") == Measured(101, 3, 5, 50, 95)


def test_a_window_is_cut_out_of_either_kind_of_trace_from_zero_on(tmp_path: Path):
    plain, wide = tmp_path / "plain.csv", tmp_path / "wide.csv"
    plain.write_text("timestamp_s,value\n5,1\n10,2\n20,3\n21,4\n", encoding="utf-8")
    wide.write_text("timestamp_s,power_w,failure\n5,1,\n10,2,\n20,,driver_unavailable\n21,4,\n", encoding="utf-8")
    cut_out(plain, (10, 20), "power_w", tmp_path / "a.csv")
    cut_out(wide, (10, 20), "power_w", tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == "timestamp_s,power_w,failure\n0,2.0,\n10,3.0,\n"
    assert (tmp_path / "b.csv").read_text(encoding="utf-8") == (
        "timestamp_s,power_w,failure\n0,2.0,\n10,,driver_unavailable\n"
    )


def test_off_that_somebody_saw_to_decides_its_threshold():
    learned = rounded(learn(sampled(LEVEL, 20)))
    assert learned.off_below > 100
    seen = told_off(learned, (2.0, 202.0))
    assert seen.off_below == 42
    assert told_off(seen, (2.0, 202.0)) is seen
    assert told_off(learned, None) is learned


def test_rounding_keeps_thresholds_in_order_between_the_levels():
    for scale in (0.001, 1.0, 37.0):
        for base in (0.0, 200_000.0):
            rows = [(at_s, scale * watts + base) for at_s, watts in sampled(LEVEL, 20)]
            found = rounded(learn(rows))
            new = keys(found, None, Channel("power_w", "W", -1e9, 1e9))
            assert found.standby is not None
            assert found.running is not None
            high, low = found.standby.high, found.running.low
            assert 0 < new["off_below"] <= new["standby_level"] < new["run_below"] <= new["run_above"]
            assert high < new["run_below"]
            assert new["run_above"] < low


def test_off_never_reaches_over_the_end_of_a_run_by_rounding():
    learned = learn(sampled(LEVEL, 20))
    assert learned.run_below is not None
    close = rounded(replace(learned, off_below=944.0, run_below=944.0))
    assert close.run_below == 940
    assert close.off_below == 940


def test_limits_are_told_in_words(tmp_path: Path):
    text = (
        '[box]\nid = "b"\n[[instrument]]\nid = "sem-1"\n[instrument.driver]\nname = "mock"\nscript = [1]\n'
        'channel = "current_a"\nunit = "A"\n[instrument.activity]\nchannel = "current_a"\noff_below = 1\nrun_above = 5'
    )
    (tmp_path / "box.toml").write_text(text, encoding="utf-8")
    (tmp_path / "t.csv").write_text(
        "timestamp_s,value\n" + "".join(f"{at_s},{watts}\n" for at_s, watts in sampled(LEVEL, 20)), encoding="utf-8"
    )
    [instrument] = load_config(tmp_path / "box.toml").instruments
    found = lesson(instrument, Recording(tmp_path / "t.csv", "current_a"))
    assert limits(found, None, {Step.OFF: Outcome.OK}) == ["not_effective_hours", "current_only"]
    assert "apparent current, not power" in limit_text("current_only")
    assert "off_not_seen" in limits(found, None, {Step.OFF: Outcome.SKIPPED})


def test_the_level_that_drift_is_followed_from_is_as_exact_as_itself():
    furnace = [(9000, 15.4, False), (5000, 6000, True), (4000, 15.4, False), (5000, 6000, True), (9000, 15.4, False)]
    written = keys(rounded(learn(sampled(furnace, 0.3))), None, Channel("power_w", "W", -1e9, 1e9))
    assert written["standby_level"] == pytest.approx(15.4, abs=0.1)  # not 20, the hundredth of what a run adds
