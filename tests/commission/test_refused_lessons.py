"""Where no run can be told none is claimed, and it is said why."""

import itertools
import math
import random
from collections.abc import Callable, Sequence

import pytest
from shapes import COMPRESSOR, LEVEL, decided, near, runs_of, sampled, true_runs

from instrument_agent.commission.learning import learn
from instrument_agent.commission.pulses import Pulse, Train
from instrument_agent.commission.timing import anchored, timed
from instrument_agent.commission.verdict import Certainty

SOURCE = random.Random(3)


def wandering() -> Callable[[float], float]:
    value = 500.0

    def next_value(_at_s: float) -> float:
        nonlocal value
        value += SOURCE.gauss(0, 1) + (500 - value) * 0.0005
        return value

    return next_value


NO_RUN: dict[str, Callable[[float], float]] = {
    "nothing": lambda _at_s: 0.0,
    "one value": lambda _at_s: 230.0,
    "noise": lambda _at_s: SOURCE.gauss(800, 15),
    "a meter that flickers": lambda _at_s: float(SOURCE.choice((0, 0, 0, 2))),
    "a coarse meter at a constant load": lambda _at_s: float(round(SOURCE.gauss(7, 0.42))),
    "a meter that seldom flickers": lambda _at_s: float(SOURCE.random() < 0.04),
    "drift": lambda at_s: 500 + at_s / 200 + SOURCE.gauss(0, 3),
    "day and night": lambda at_s: 500 + 40 * math.sin(at_s / 13_000) + SOURCE.gauss(0, 3),
    "an hourly swing": lambda at_s: 500 + 40 * math.sin(at_s / 570) + SOURCE.gauss(0, 3),
    "wandering": wandering(),
    "noise with a long tail": lambda _at_s: 500 + SOURCE.expovariate(1) * SOURCE.choice((3, 3, 3, 20)),
    "disturbances": lambda _at_s: SOURCE.gauss(300, 3) + (2000 if SOURCE.random() < 0.001 else 0),
}


@pytest.mark.parametrize("name", NO_RUN)
def test_no_run_is_invented(name: str):
    samples = [(5.0 * number, NO_RUN[name](5.0 * number)) for number in range(8000)]
    proposal = learn(samples)
    assert proposal.certainty is Certainty.REFUSED
    assert proposal.activity() is None
    assert "record" in proposal.refusals[0]
    assert runs_of(decided(samples, proposal)) == []


def test_equal_pulses_in_equal_steps_are_asked_about_and_not_counted():
    samples = sampled(COMPRESSOR, sigma=1)
    proposal = learn(samples)
    assert "--activity-profile idle_cycling" in proposal.refusals[0]
    assert runs_of(decided(samples, proposal)) == []
    assert runs_of(decided(samples, learn(samples, "idle_cycling"))) == []


def test_pulses_of_an_idle_machine_are_standby_and_a_longer_run_is_not():
    run = (4000.0, 900.0, True)
    idle = [(seconds, watts, False) for seconds, watts, _running in COMPRESSOR]
    phases = [*idle, (300.0, 100.0, False), run, *idle]
    samples = sampled(phases, sigma=1)
    assert near(runs_of(decided(samples, learn(samples, "idle_cycling"))), true_runs(phases), 10)


def test_a_load_that_drifts_from_one_step_of_its_meter_to_the_next_does_not_run():
    source = random.Random(3)
    watts = [8.5 + 0.4 * math.sin(at / 1500) + source.gauss(0, 0.05) for at in range(8640)]
    watts[400] = 6.0  # one reading shows that the meter could tell smaller steps than a run would be
    samples = [(10.0 * at, float(round(value))) for at, value in enumerate(watts)]
    samples[4000:4004] = [(40_000.0 + 10 * at, 10.0) for at in range(4)]
    assert learn(samples).refusals


def test_powered_only_claims_no_run():
    samples = sampled(LEVEL, sigma=5)
    proposal = learn(samples, "powered_only")
    assert proposal.run_above is None
    assert runs_of(decided(samples, proposal)) == []


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        ([], "too little"),
        ([(0.0, 1.0)] * 500, "too little"),
        ([(float(at), 500.0 * (at > 200)) for at in range(400)], "too little"),
        ([(90.0 * at, 500.0 * (at % 100 > 50)) for at in range(400)], "too far apart"),
    ],
)
def test_too_little_to_learn_from_is_said(samples: list[tuple[float, float]], said: str):
    assert said in learn(samples).refusals[0]


TURNED = [(seconds, -watts) for seconds, watts, _running in LEVEL]


def noisy(phases: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    source = random.Random(4)
    watts = itertools.chain.from_iterable(itertools.repeat(watts, int(seconds / 5)) for seconds, watts in phases)
    return [(5.0 * number, value + source.gauss(0, 5)) for number, value in enumerate(watts)]


@pytest.mark.parametrize("phases", [TURNED, [(600, 0), *TURNED]])
@pytest.mark.parametrize("profile", [None, "duty_cycle"])
def test_with_a_clamp_turned_around_standby_is_no_run(phases: Sequence[tuple[float, float]], profile: str | None):
    proposal = learn(noisy(phases), profile)
    assert proposal.activity() is None
    assert proposal.certainty is Certainty.REFUSED
    assert "turn the clamp around" in proposal.refusals[0]


def test_some_time_with_the_clamp_turned_around_does_not_hide_the_runs_after_it():
    activity = learn(noisy([(1800, -300), *((seconds, watts) for seconds, watts, _running in LEVEL)])).activity()
    assert activity is not None
    assert activity.off_below is not None
    assert activity.run_below is not None
    assert 0 < activity.off_below < 800 < activity.run_below < 2000


def test_a_profile_that_does_not_exist_is_an_error():
    with pytest.raises(ValueError, match="nonsense"):
        learn(sampled(LEVEL), "nonsense")


def test_powered_only_takes_a_low_level_for_off_even_if_it_reads_some_watts():
    phases = [(9000.0, 12.0, False), (9000.0, 800.0, False), (9000.0, 2400.0, False), (9000.0, 12.0, False)]
    proposal = learn(sampled(phases, relative=0.01), "powered_only")
    assert proposal.off is not None
    assert 12.5 < proposal.off_below < 780


def test_a_pulse_that_ends_as_its_filtered_one_begins_is_no_run():
    read, smooth = Pulse(0.0, 10.0, 1), [Pulse(10.0, 40.0, 3)]
    assert anchored([Train((read,))], smooth) == []
    assert timed(smooth, [read]).min_on_s <= 60
