"""What a technician marks decides where a trace alone does not."""

from shapes import CENTRIFUGE, COMPRESSOR, LEVEL, decided, near, runs_of, sampled, true_runs

from instrument_agent.commission.learning import learn


def test_a_marked_run_makes_equal_pulses_runs():
    samples = sampled(COMPRESSOR, sigma=1)
    proposal = learn(samples, standby=(200, 1200), running=(1510, 1610))
    assert near(runs_of(decided(samples, proposal)), true_runs(COMPRESSOR), 10)


def test_marked_standby_is_not_running_even_if_it_is_short():
    # No standby beside the runs, so the trace alone would take the 90 W for a stage of a programme.
    phases = [(9000, 1, False), (900, 90, False), (3000, 700, True), (100, 90, False), (9000, 1, False)]
    samples = sampled(phases, relative=0.01)
    assert not near(runs_of(decided(samples, learn(samples))), true_runs(phases), 10)
    proposal = learn(samples, standby=(9100, 9800))
    assert near(runs_of(decided(samples, proposal)), true_runs(phases), 10)


def test_the_longest_pause_in_a_marked_run_belongs_to_runs():
    job = [(300, 2000, True), (900, 50, True), (300, 2000, True), (700, 50, True), (300, 2000, True)]
    phases = [(9000, 50, False), *job, (9000, 50, False), *job, (5000, 50, False)]
    samples = sampled(phases, relative=0.01)
    proposal = learn(samples, running=(9010, 11_400))
    assert near(runs_of(decided(samples, proposal)), true_runs(phases), 10)


def test_pulses_in_the_marked_standby_are_no_runs():
    pulsing = [*((phase) for _ in range(5) for phase in ((800.0, 1000.0, False), (90.0, 1350.0, False)))]
    phases = [*pulsing, (900.0, 1330.0, True), *pulsing, *pulsing[:3], (5000.0, 1330.0, True), *pulsing]
    samples = sampled(phases, relative=0.005)
    proposal = learn(samples, standby=(6000, 9500), running=(12_500, 14_500))
    assert near(runs_of(decided(samples, proposal)), true_runs(phases), 95)


def test_a_pause_as_long_as_the_one_with_the_marked_standby_ends_a_run():
    jobs = [*((phase) for _ in range(9) for phase in ((400.0, 1400.0, True), (350.0, 300.0, False)))]
    phases = [(3000, 300, False), *jobs, (9000, 300, False)]
    samples = sampled(phases, relative=0.005)
    assert not near(runs_of(decided(samples, learn(samples))), true_runs(phases), 10)  # a thermostat's, perhaps
    proposal = learn(samples, standby=(3450, 3700), running=(3050, 3350))
    assert near(runs_of(decided(samples, proposal)), true_runs(phases), 10)


def test_windows_that_are_alike_are_refused():
    samples = sampled(LEVEL, relative=0.01)
    assert "as high as" in learn(samples, standby=(1000, 3000), running=(5000, 8000)).refusals[0]
    assert "as high as" in learn(samples, standby=(10_000, 13_000), running=(1000, 5000)).refusals[0]


def test_a_window_with_hardly_a_reading_is_not_used_and_one_outside_the_trace_is_refused():
    samples = sampled(CENTRIFUGE)
    short = learn(samples, standby=(100, 120))
    assert "fewer than ten" in short.doubts[-1]
    assert short.run_above == learn(samples).run_above
    assert "outside the trace" in learn(samples, running=(1e6, 2e6)).refusals[0]
