"""``instrument-agent replay``: what it prints of a trace."""

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from command import replay

RUN_OF_200_S = [*((second, 50) for second in range(100)), *((second, 500) for second in range(100, 300)), (300, 50)]


def written(path: Path, rows: Iterable[tuple[float, float]], end: str = "\n", begin: str = "") -> Path:
    lines = ["timestamp_s,value", *(f"{at},{value}" for at, value in rows)]
    path.write_bytes((begin + end.join(lines) + end).encode())
    return path


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return written(tmp_path / "trace.csv", [*RUN_OF_200_S, *((second, 0) for second in range(301, 500))])


def test_it_prints_the_intervals_as_csv(trace: Path):
    done = replay(trace)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "start,end,state\n0,100,standby\n100,300,running\n300,301,standby\n301,499,off\n"


def test_it_prints_the_intervals_as_json(trace: Path):
    assert json.loads(replay(trace, "--format", "json").stdout) == [
        {"start": 0, "end": 100, "state": "standby"},
        {"start": 100, "end": 300, "state": "running"},
        {"start": 300, "end": 301, "state": "standby"},
        {"start": 301, "end": 499, "state": "off"},
    ]


def test_it_prints_the_run_sessions(trace: Path):
    assert replay(trace, "--sessions").stdout == "start,end,running_s,unseen_s\n100,300,200,0\n"
    assert json.loads(replay(trace, "--sessions", "--format", "json").stdout) == [
        {"start": 100, "end": 300, "running_s": 200, "unseen_s": 0}
    ]


def test_without_a_run_there_is_a_header_and_an_empty_list(trace: Path):
    thresholds = ("--off-below", "10", "--run-above", "1000")
    assert replay(trace, "--sessions", thresholds=thresholds).stdout == "start,end,running_s,unseen_s\n"
    assert json.loads(replay(trace, "--sessions", "--format", "json", thresholds=thresholds).stdout) == []


def test_the_options_are_the_rules(trace: Path):
    def states(*arguments: str, thresholds: tuple[str, ...] = ("--off-below", "10", "--run-above", "100")) -> list[str]:
        lines = replay(trace, *arguments, thresholds=thresholds).stdout.splitlines()[1:]
        return [line.rpartition(",")[2] for line in lines]

    assert states("--min-on-s", "201") == ["standby", "off"]
    assert states("--off-settle-s", "199") == ["standby", "running", "standby"]
    assert states(thresholds=("--off-below", "60", "--run-above", "100")) == ["off", "running", "off"]
    assert states("--run-below", "20") == ["standby", "running", "off"]


def test_min_off_joins_or_parts_two_pulses(tmp_path: Path):
    trace = written(tmp_path / "trace.csv", [(second, 50 if 100 <= second < 150 else 500) for second in range(300)])
    assert replay(trace, "--sessions").stdout.splitlines()[1:] == ["0,299,299,0"]
    assert replay(trace, "--sessions", "--min-off-s", "50").stdout.splitlines()[1:] == ["0,100,100,0", "150,299,149,0"]


def test_a_silence_is_unknown_and_a_bridged_run_says_how_much(tmp_path: Path):
    rows = [*((second, 500) for second in range(100)), *((second, 500) for second in range(200, 300))]
    trace = written(tmp_path / "trace.csv", rows)
    assert replay(trace).stdout.splitlines()[1:] == ["0,99,running", "99,200,unknown", "200,299,running"]
    assert replay(trace, "--sessions").stdout.splitlines()[1:] == ["0,299,198,101"]


def test_equal_times_are_valid_and_stand_in_file_order(tmp_path: Path):
    trace = written(tmp_path / "trace.csv", [(0, 50), (5, 50), (5, 500), (5, 500), (50, 500), (70, 500)])
    assert replay(trace).stdout.splitlines()[1:] == ["0,5,standby", "5,70,running"]


def test_times_with_fractions_come_back_as_they_were(tmp_path: Path):
    trace = written(tmp_path / "trace.csv", [(0.25, 50), (10.5, 50), (10.75, 0), (10.8, 0), (40.1, 0)])
    assert replay(trace).stdout.splitlines()[1:] == ["0.25,10.75,standby", "10.75,40.1,off"]


def test_times_since_1970_are_taken(tmp_path: Path):
    trace = written(tmp_path / "trace.csv", [(1_790_000_000 + second, 50) for second in range(10)])
    assert replay(trace).stdout.splitlines()[1:] == ["1790000000,1790000009,standby"]


def test_one_row_is_a_trace_of_no_length(tmp_path: Path):
    assert replay(written(tmp_path / "trace.csv", [(7, 50)])).stdout == "start,end,state\n"


@pytest.mark.parametrize(("end", "begin"), [("\r\n", ""), ("\n", "\ufeff"), ("\r\n", "\ufeff"), ("\n\n", "")])
def test_line_ends_a_byte_order_mark_and_empty_lines_do_not_matter(tmp_path: Path, trace: Path, end: str, begin: str):
    rows = [*RUN_OF_200_S, *((second, 0) for second in range(301, 500))]
    other = written(tmp_path / "other.csv", rows, end=end, begin=begin)
    assert replay(other).stdout == replay(trace).stdout


def test_gap_and_bridge_are_the_config_files_and_can_be_given(tmp_path: Path):
    rows = [*((second, 500) for second in range(100)), *((second, 500) for second in range(200, 300))]
    trace = written(tmp_path / "trace.csv", rows)
    assert replay(trace, "--gap-s", "101").stdout.splitlines()[1:] == ["0,299,running"]
    assert replay(trace, "--sessions", "--bridge-s", "100").stdout.splitlines()[1:] == ["0,99,99,0", "200,299,99,0"]


def test_readings_too_far_apart_for_the_rules_are_warned_of(tmp_path: Path):
    trace = written(tmp_path / "trace.csv", [(90 * number, 500) for number in range(100)])
    done = replay(trace)
    assert (done.returncode, done.stdout.splitlines()[1:]) == (0, ["0,8910,unknown"])
    assert "90 s apart" in done.stderr
    assert "--gap-s (60)" in done.stderr
    assert replay(trace, "--gap-s", "90").stderr == ""
