"""The truth of the bench: the loads hold what they promise, and their own settings decide them rightly."""

from itertools import pairwise
from statistics import median

import pytest

from instrument_agent.core.readings import Activity
from instrument_agent.sandbox.loads import Load, Phase, bench_loads

SPANS_S = [20.0, 21.5, 37.0, 60.0, 100.0, 600.0, 3600.0, 86400.0]


def poll_s(span_s: float) -> float:
    return max(1.0, span_s / 600)


def decided_runs(load: Load, span_s: float, first_poll_s: float) -> list[tuple[float, float]]:
    """Decide the polled load in the plainest way: median, hysteresis, join short pauses, drop short pulses."""
    times = [first_poll_s + k * poll_s(span_s) for k in range(int((span_s - first_poll_s) / poll_s(span_s)) + 1)]
    powers = [load.power_w(t) for t in times]
    powers = [powers[0], *(median(powers[k - 1 : k + 2]) for k in range(1, len(powers) - 1)), powers[-1]]
    edges: list[float] = []
    for t, power in zip(times, powers, strict=True):
        running = len(edges) % 2 == 1
        if (not running and power >= load.run_above) or (running and power < load.run_below):
            edges.append(t)
    assert len(edges) % 2 == 0, "the load must not run at the end"
    runs: list[tuple[float, float]] = []
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if runs and start - runs[-1][1] < load.min_off_s:
            runs[-1] = (runs[-1][0], end)
        else:
            runs.append((start, end))
    return [(start, end) for start, end in runs if end - start >= load.min_on_s]


@pytest.mark.parametrize("span_s", SPANS_S)
@pytest.mark.parametrize("phase", [0.0, 0.01, 0.37, 0.5, 0.99])
def test_its_own_settings_find_every_true_session_to_within_two_polls(span_s: float, phase: float) -> None:
    for load in bench_loads(span_s):
        decided = decided_runs(load, span_s, phase * poll_s(span_s))
        true = load.true_sessions(span_s)
        assert len(decided) == len(true), load.instrument_id
        for (start, end), (true_start, true_end) in zip(decided, true, strict=True):
            assert true_end is not None
            assert start == pytest.approx(true_start, abs=2 * poll_s(span_s)), load.instrument_id
            assert end == pytest.approx(true_end, abs=2 * poll_s(span_s)), load.instrument_id


@pytest.mark.parametrize("span_s", SPANS_S)
def test_off_below_separates_off_from_on_at_every_moment(span_s: float) -> None:
    for load in bench_loads(span_s):
        for k in range(2000):
            t = k * span_s / 2000
            assert (load.power_w(t) < load.off_below) == (load.activity(t) is Activity.OFF), (load.instrument_id, t)


@pytest.mark.parametrize("span_s", SPANS_S)
def test_each_load_stands_by_runs_and_does_not_run_at_the_end(span_s: float) -> None:
    loads = bench_loads(span_s)
    for load in loads:
        activities = {activity for _start, _end, activity in load.true_intervals(span_s)}
        assert {Activity.STANDBY, Activity.RUNNING} <= activities
        assert load.activity(span_s) is not Activity.RUNNING
        assert load.true_sessions(span_s)
        assert sum(phase.seconds for phase in load.timeline) == pytest.approx(span_s)
    assert any(load.activity(0.0) is Activity.OFF for load in loads)
    assert len({load.instrument_id for load in loads}) == len(loads) == 5


@pytest.mark.parametrize("span_s", SPANS_S)
def test_no_phase_is_too_short_to_be_polled(span_s: float) -> None:
    for load in bench_loads(span_s):
        for phase in load.timeline:
            assert phase.seconds >= max(4.0, span_s / 20) - 1e-9, load.instrument_id


@pytest.mark.parametrize("span_s", SPANS_S)
def test_minimum_times_stand_clear_of_what_they_separate_on_both_sides(span_s: float) -> None:
    poll = poll_s(span_s)
    for load in bench_loads(span_s):
        ended = [(start, end) for start, end in load.true_sessions(span_s) if end is not None]
        runs = [end - start for start, end in ended]
        next_starts = [*(start for start, _end in ended[1:]), span_s]
        pauses = [start - end for start, (_start, end) in zip(next_starts, ended, strict=True)]
        step = span_s / 40_000
        above = [load.power_w(k * step) >= load.run_above for k in range(40_000)]
        pulses = stretches_s(above, of=True, step_s=step)
        dips = stretches_s(above[above.index(True) :], of=False, step_s=step)
        if load.min_on_s:
            longest = max(pulse for pulse in pulses if pulse < load.min_on_s)
            assert load.min_on_s >= max(longest + 3 * poll, 1.3 * longest) - 2 * step
            assert min(runs) >= load.min_on_s + 3 * poll
        if load.min_off_s:
            longest = max(dip for dip in dips if dip < load.min_off_s)
            assert load.min_off_s >= max(longest + 3 * poll, 1.3 * longest) - 2 * step
            assert min(pauses) >= load.min_off_s + 3 * poll - 1e-9


def stretches_s(flags: list[bool], *, of: bool, step_s: float) -> list[float]:
    """Return the lengths of the closed stretches in which ``flags`` is ``of``."""
    changes = [k for k, (before, after) in enumerate(pairwise([not flags[0], *flags])) if before != after]
    return [(end - start) * step_s for start, end in pairwise(changes) if flags[start] is of]


def test_the_chiller_alone_reaches_higher_than_the_tube() -> None:
    xrd = bench_loads(60.0)[0]
    standby = [xrd.power_w(k / 10) for k in range(600) if xrd.activity(k / 10) is Activity.STANDBY]
    running = [xrd.power_w(k / 10) for k in range(600) if xrd.activity(k / 10) is Activity.RUNNING]
    assert max(standby) > xrd.run_above
    assert max(standby) > min(running)


def test_the_same_span_gives_the_same_power() -> None:
    for one, other in zip(bench_loads(60.0), bench_loads(60.0), strict=True):
        assert [one.power_w(k / 7) for k in range(500)] == [other.power_w(k / 7) for k in range(500)]


def test_intervals_join_equal_neighbours_and_are_cut_at_the_end() -> None:
    load = two_runs()
    assert load.true_intervals(9.0) == [
        (0.0, 2.0, Activity.STANDBY),
        (2.0, 5.0, Activity.RUNNING),
        (5.0, 9.0, Activity.STANDBY),
    ]
    assert load.true_intervals(20.0)[-1] == (10.0, 20.0, Activity.RUNNING)


def test_a_run_still_open_at_the_end_has_no_end() -> None:
    load = two_runs()
    assert load.true_sessions(2.0) == []
    assert load.true_sessions(3.0) == [(2.0, None)]
    assert load.true_sessions(5.0) == [(2.0, 5.0)]
    assert load.true_sessions(11.0) == [(2.0, 5.0), (10.0, None)]


def test_a_phase_begins_at_its_first_moment_and_sees_time_from_there() -> None:
    load = two_runs()
    assert load.activity(1.999) is Activity.STANDBY
    assert load.activity(2.0) is Activity.RUNNING
    assert load.power_w(2.5) == pytest.approx(100.5)
    assert load.power_w(-1.0) == 0.0
    assert load.power_w(14.0) == pytest.approx(104.0)


def test_a_span_too_short_to_be_seen_is_refused() -> None:
    with pytest.raises(ValueError, match="20"):
        bench_loads(19.9)


def two_runs() -> Load:
    timeline = (
        Phase(2.0, Activity.STANDBY, lambda since_s: since_s),
        Phase(3.0, Activity.RUNNING, lambda since_s: 100.0 + since_s),
        Phase(3.0, Activity.STANDBY, lambda since_s: since_s),
        Phase(2.0, Activity.STANDBY, lambda since_s: since_s),
        Phase(1.0, Activity.RUNNING, lambda since_s: 100.0 + since_s),
    )
    return Load("T", "t", "t", "t", timeline, off_below=-1.0, run_above=50.0, run_below=50.0)
