"""What is learned from a trace nobody has explained, and the runs the product then finds in it."""

import pytest
from shapes import (
    CENTRIFUGE,
    FURNACE,
    LEVEL,
    SMALL_RISE,
    Phase,
    check_books,
    decided,
    near,
    runs_of,
    sampled,
    true_runs,
)

from instrument_agent.commission.findings import Profile
from instrument_agent.commission.learning import learn
from instrument_agent.commission.verdict import Certainty
from instrument_agent.sandbox.loads import bench_loads

DAY_S = 86_400.0
SHAPES = {
    "level": (sampled(LEVEL, relative=0.01), true_runs(LEVEL), Profile.LEVEL),
    "furnace": (sampled(FURNACE, relative=0.01), true_runs(FURNACE), Profile.DUTY_CYCLE),
    "centrifuge": (sampled(CENTRIFUGE, relative=0.01), true_runs(CENTRIFUGE), Profile.LEVEL),
    "small rise": (sampled(SMALL_RISE, sigma=45), true_runs(SMALL_RISE), Profile.ALWAYS_ON_DELTA),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_runs_of_an_instrument_are_found_with_what_was_learned_from_it(name: str):
    samples, wanted, profile = SHAPES[name]
    proposal = learn(samples)
    assert (proposal.profile, proposal.refusals) == (profile, ())
    events = decided(samples, proposal)
    assert near(runs_of(events), wanted, 15)
    check_books(events)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(("scale", "add"), [(10.0, 0.0), (1.0, 200.0), (0.1, 0.0), (10.0, 300.0)])
def test_a_factor_and_a_constant_load_move_no_boundary(name: str, scale: float, add: float):
    samples, _wanted, _profile = SHAPES[name]
    changed = [(at_s, value * scale + add) for at_s, value in samples]
    before, after = runs_of(decided(samples, learn(samples))), runs_of(decided(changed, learn(changed)))
    assert near(after, before, 5)


@pytest.mark.parametrize("index", range(5))
def test_the_instruments_of_the_bench_are_learned_from_a_day(index: int):
    load = bench_loads(DAY_S)[index]
    samples = [(10.0 * number, load.power_w(10.0 * number)) for number in range(8640)]
    told = {"XRD-01": "idle_cycling", "FURN-01": "duty_cycle"}.get(load.instrument_id)  # a pause of 41 min, a chiller
    wanted = [(start_s, end_s) for start_s, end_s in load.true_sessions(DAY_S) if end_s is not None]
    assert near(runs_of(decided(samples, learn(samples, told))), wanted, 20)


def test_the_levels_are_told_with_the_thresholds_between_them():
    proposal = learn(SHAPES["centrifuge"][0])
    assert proposal.off is not None
    assert proposal.standby is not None
    assert proposal.running is not None
    assert proposal.run_above is not None
    assert proposal.run_below is not None
    assert proposal.off.high < proposal.off_below < proposal.standby.low
    assert proposal.standby.high < proposal.run_below < proposal.run_above < proposal.running.low
    assert proposal.certainty is not Certainty.REFUSED


def test_single_disturbances_do_not_make_a_run_nor_part_one():
    samples = list(SHAPES["level"][0])
    for index in (300, 900, 2200, 4000):
        samples[index] = (samples[index][0], 0.0 if index == 2200 else 9000.0)
    assert near(runs_of(decided(samples, learn(samples))), SHAPES["level"][1], 15)


def test_a_silence_too_long_to_bridge_parts_a_run():
    samples = [row for row in SHAPES["level"][0] if not 11_000 <= row[0] < 11_900]
    events = decided(samples, learn(samples))
    assert len(runs_of(events)) == 3
    check_books(events)


def test_pulses_of_a_single_reading_keep_a_run_going_where_they_are_common():
    job = [(40, 900, True), *((phase) for _ in range(9) for phase in ((20, 15, True), (4, 900, True)))]
    phases = [(9000, 15, False), *job, (9000, 15, False), *job, (9000, 15, False)]
    samples = sampled(phases, sigma=0.5, every_s=4)
    proposal = learn(samples)
    assert proposal.single_readings
    assert near(runs_of(decided(samples, proposal)), true_runs(phases), 8)
    assert not near(runs_of(decided(samples, proposal, single=False)), true_runs(phases), 60)
    samples[400] = (samples[400][0], 900.0)  # a disturbance long before the first job
    assert near(runs_of(decided(samples, learn(samples))), true_runs(phases), 8)


def test_an_iterator_that_could_be_read_once_is_not_taken():
    with pytest.raises(TypeError, match="several times"):
        learn(iter(SHAPES["level"][0]))


def test_runs_far_longer_than_the_pulses_of_an_idle_chiller_are_found_over_them():
    idle = [*((phase) for _ in range(20) for phase in ((200.0, 1050.0, False), (900.0, 350.0, False)))]
    run = [*((phase) for _ in range(12) for phase in ((300.0, 2600.0, True), (500.0, 1900.0, True)))]
    phases = [*idle, *run, *idle, *run, *idle]
    samples = sampled(phases, relative=0.02)
    assert near(runs_of(decided(samples, learn(samples))), true_runs(phases), 15)


DISHES: list[Phase] = [
    *((300.0, 75.0, True), (900.0, 2050.0, True), (1500.0, 75.0, True), (800.0, 2050.0, True), (1400.0, 75.0, True)),
]


def test_a_stage_of_some_minutes_between_pulses_of_a_programme_is_no_standby():
    phases: list[Phase] = [(20_000.0, 1.0, False), *DISHES[:4], (500.0, 75.0, True), (30_000.0, 1.0, False)]
    samples = sampled(phases, relative=0.02)
    assert near(runs_of(decided(samples, learn(samples))), true_runs(phases), 15)


def test_equal_runs_of_half_an_hour_one_after_the_other_are_no_pulses_of_a_thermostat():
    queue: list[Phase] = [*((phase) for _ in range(9) for phase in ((1700.0, 1300.0, True), (300.0, 400.0, False)))]
    phases: list[Phase] = [(20_000.0, 400.0, False), *queue, (20_000.0, 400.0, False)]
    samples = sampled(phases, relative=0.01)
    assert near(runs_of(decided(samples, learn(samples))), true_runs(phases), 10)


def test_equal_times_do_not_hide_a_small_rise():
    samples = [(at_s - at_s % 20, value) for at_s, value in SHAPES["small rise"][0]]
    assert near(runs_of(decided(samples, learn(samples))), SHAPES["small rise"][1], 25)


PUMP_S, APART_S = 60.0, 1200.0


def _with_pump(phases: list[Phase]) -> list[tuple[float, float]]:
    """Beside the load a pump runs for a minute every twenty."""
    return [
        (at_s, value + (330.0 if at_s % APART_S < PUMP_S else 0.0)) for at_s, value in sampled(phases, relative=0.005)
    ]


MICROSCOPE: list[Phase] = [
    *((9500.0, 1000.0, False), (5000.0, 1320.0, True), (9000.0, 1000.0, False), (4400.0, 1320.0, True)),
    (9500.0, 1000.0, False),
]


def test_pulses_of_an_idle_pump_as_high_as_a_run_are_told_from_it_by_their_length():
    samples = _with_pump(MICROSCOPE)
    proposal = learn(samples)
    assert (proposal.profile, proposal.certainty) == (Profile.IDLE_CYCLING, Certainty.DOUBTFUL)
    assert near(runs_of(decided(samples, proposal)), true_runs(MICROSCOPE), PUMP_S + 5)


def test_a_long_pulse_with_which_pulses_begin_is_no_run_beside_an_idle_machine():
    furnace: list[Phase] = [(2400.0, 1320.0, True), (60_000.0, 1000.0, False)]
    assert learn(_with_pump(furnace)).refusals


def test_a_stage_that_varies_as_much_as_its_own_height_is_no_standby():
    phases: list[Phase] = [(20_000.0, 1.0, False), *DISHES, (30_000.0, 1.0, False), *DISHES, (9000.0, 1.0, False)]
    samples = [(at_s, value + (at_s * 37 % 211 - 105) / 3 if value > 50 else value) for at_s, value in sampled(phases)]
    assert near(runs_of(decided(samples, learn(samples))), true_runs(phases), 15)


def test_what_lasts_for_minutes_in_a_marked_run_is_no_standby():
    dishes: list[Phase] = [(700.0, 75.0, True), *DISHES[1:]]
    phases: list[Phase] = [(20_000.0, 1.0, False), *dishes, (30_000.0, 1.0, False), *dishes, (9000.0, 1.0, False)]
    samples = sampled(phases, relative=0.02)
    assert not near(runs_of(decided(samples, learn(samples))), true_runs(phases), 15)  # it could be a standby
    proposal = learn(samples, standby=(30_000.0, 50_000.0), running=(21_000.0, 24_000.0))
    assert near(runs_of(decided(samples, proposal)), true_runs(phases), 15)
