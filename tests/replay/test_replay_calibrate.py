"""``instrument-agent replay --calibrate``: the rules are learned from the trace itself."""

import io
import sys
from pathlib import Path

import pytest
from command import replay

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from detection import labelled, marked, read_rows, score, scored, silences

CONFIG_ERROR = 78
SHARED = Path(__file__).parents[3] / "shared" / "detection"
PHASES = ((1500, 50), (600, 500), (900, 50), (700, 480), (1300, 50))


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    values = [watts + second % 3 for seconds, watts in PHASES for second in range(seconds)]
    path = tmp_path / "trace.csv"
    lines = [f"{at},{value}" for at, value in enumerate(values)]
    path.write_text("\n".join(["timestamp_s,value", *lines, ""]), encoding="ascii")
    return path


def test_the_whole_trace_is_judged_by_what_was_learned_from_it(trace: Path):
    done = replay(trace, "--calibrate", "--format", "csv", thresholds=())
    assert done.returncode == 0
    assert done.stdout.splitlines()[1:] == [
        *("0,1500,standby", "1500,2100,running", "2100,3000,standby", "3000,3700,running", "3700,4999,standby"),
    ]
    assert "2 runs were seen" in done.stderr


def test_scale_and_offset_change_the_values_and_not_the_boundaries(trace: Path):
    plain = replay(trace, "--calibrate", thresholds=())
    changed = replay(trace, "--calibrate", "--scale", "10", "--offset", "300", thresholds=())
    assert changed.stdout == plain.stdout
    assert changed.stderr != plain.stderr
    given = replay(trace, "--scale", "2", "--offset", "-100", thresholds=("--off-below", "5", "--run-above", "600"))
    assert given.stdout.splitlines()[1:3] == ["0,1500,off", "1500,2100,running"]


def test_what_was_marked_and_told_is_used(trace: Path):
    marks = ("--standby", "100:1000", "--running", "1600:2000", "--activity-profile", "level")
    assert replay(trace, "--calibrate", *marks, thresholds=()).stdout.count("running") == 2
    wrong = replay(trace, "--calibrate", "--standby", "1600:2000", "--running", "100:1000", thresholds=())
    assert (wrong.returncode, wrong.stdout.count("running")) == (0, 0)
    assert "as high as" in wrong.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ((), CONFIG_ERROR, "--calibrate"),
        (("--calibrate", "--off-below", "5"), CONFIG_ERROR, "leave them out"),
        (("--off-below", "5", "--run-above", "100", "--standby", "0:10"), CONFIG_ERROR, "for --calibrate"),
        (("--calibrate", "--scale", "-1"), CONFIG_ERROR, "greater than 0"),
        (("--calibrate", "--offset", "inf"), CONFIG_ERROR, "--offset"),
        (("--calibrate", "--standby", "10:5"), 2, "after the start"),
        (("--calibrate", "--running", "ten"), 2, "START:END"),
        (("--calibrate", "--activity-profile", "magic"), 2, "idle_cycling"),
        (("--calibrate", "--gap-s", "0"), CONFIG_ERROR, "gap_s"),
    ],
)
def test_options_that_make_no_sense_are_refused(trace: Path, arguments: tuple[str, ...], status: int, said: str):
    done = replay(trace, *arguments, thresholds=())
    assert (done.returncode, done.stdout) == (status, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_the_score_counts_hits_disturbances_and_hours():
    truth = read_rows(io.StringIO("start,end,state\n0,100,off\n100,200,running\n200,250,on\n250,900,off\n"))
    right = score(truth, [(100.0, 230.0, "running")], 5, ())
    assert (right.f1, right.spurious, right.hours_error) == (1.0, 0, 0.0)
    extra = score(truth, [(100.0, 200.0, "running"), (600.0, 700.0, "running")], 5, ())
    assert (round(extra.f1, 3), extra.spurious, extra.hours_error) == (0.667, 1, 1.0)
    assert score(truth, [(110.0, 200.0, "running")], 5, ()).f1 == 0.0
    assert score(truth, [], 5, ()).hours_error == -1.0


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the recorded traces of ../shared/detection are not here")
@pytest.mark.parametrize(
    ("name", "tol_s"), [row[:2] for row in labelled(SHARED)] if SHARED.is_dir() else [("none", 0.0)]
)
def test_our_score_is_that_of_the_scorer_beside_the_traces(name: str, tol_s: float, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(SHARED))
    import score as theirs  # it is not part of the product

    truth = theirs.read(str(SHARED / "labels" / f"{name}.csv"))
    silent = silences(SHARED / "traces" / f"{name}.csv")
    for late_s, missing in ((0, 0), (7, 0), (25, 1), (0, 2), (400, 0)):
        runs = [row for row in truth if row[2] == "running"][missing:]
        claimed = [(start + late_s, end + late_s / 3, "running") for start, end, _state in runs]
        claimed += [(300.0 * number, 300.0 * number + 90, "running") for number in range(missing)]
        ours, other = score(truth, sorted(claimed), tol_s, silent), theirs.score(truth, sorted(claimed), tol_s, silent)
        assert (ours.f1, ours.spurious) == (pytest.approx(other["f1"]), other["spurious"])
        assert ours.predicted_s / 3600 == pytest.approx(other["run_h_pred"])


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the recorded traces of ../shared/detection are not here")
@pytest.mark.parametrize("commissioned", [False, True])
def test_the_runs_of_a_real_trace_are_found(commissioned: bool):
    name, tol_s, _told = next(row for row in labelled(SHARED) if row[0] == "printer_laser_a")
    found = scored(SHARED, name, tol_s, (10.0, 300.0), commissioned)
    assert (found.f1, found.spurious) == (1.0, 0)
    assert abs(found.hours_error) < 0.02


def test_a_technician_marks_the_middle_of_the_longest_stretches():
    truth = [(0.0, 100.0, "off"), (100.0, 140.0, "running"), (140.0, 150.0, "nonrun"), (150.0, 170.0, "running")]
    assert marked(truth) == ["--standby", "25:75", "--running", "110:130"]
