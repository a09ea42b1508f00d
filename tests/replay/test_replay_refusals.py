"""``instrument-agent replay``: what it says of a trace or of thresholds it cannot take."""

from pathlib import Path

import pytest
from command import replay

CONFIG_ERROR = 78
HEAD = "timestamp_s,value\n0,1\n1,1\n"


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (HEAD + "2,abc\n3,1\n", 4, "not two numbers: 2,abc"),
        (HEAD + "2,\n", 4, "not two numbers"),
        (HEAD + "2\n", 4, "not two numbers"),
        (HEAD + "2,1,9\n", 4, "not two numbers: 2,1,9"),
        (HEAD + "nan,1\n", 4, "not two numbers"),
        (HEAD + "2,nan\n", 4, "not two numbers"),
        (HEAD + "inf,1\n", 4, "not two numbers"),
        (HEAD + "2,-inf\n", 4, "not two numbers"),
        (HEAD + "1e300,1\n", 4, "the time is out of range: 1e300,1"),
        (HEAD + "2,1e200\n", 4, "the value is out of range: 2,1e200"),
        (HEAD + "2;1\n", 4, "not two numbers"),
        (HEAD + "2,0\x001\n", 4, "not two numbers"),
        (HEAD + "\n\n0.5,1\n", 6, "time goes backwards"),
        ("0,1\n1,1\n", 1, "first line must be timestamp_s,value"),
        ("time,watts\n0,1\n", 1, "first line must be timestamp_s,value"),
        ("timestamp_s,value,unit\n0,1,W\n", 1, "first line must be timestamp_s,value"),
        ("\n" + HEAD, 1, "first line must be timestamp_s,value"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line_and_nothing_is_printed(tmp_path: Path, text: str, line: int, said: str):
    trace = tmp_path / "trace.csv"
    trace.write_text(text, encoding="utf-8")
    done = replay(trace)
    assert (done.returncode, done.stdout) == (CONFIG_ERROR, "")
    assert f"{trace}:{line}: " in done.stderr
    assert said in done.stderr
    assert "What to do: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_header_is_to_be_replaced_and_not_removed(tmp_path: Path):
    trace = tmp_path / "trace.csv"
    trace.write_text("time,watts\n0,1\n", encoding="utf-8")
    hint = replay(trace).stderr.splitlines()[-1]
    assert "first line" in hint
    assert "timestamp_s,value" in hint
    assert "remove" not in hint


@pytest.mark.parametrize("text", ["", "timestamp_s,value\n", "\ufeff"])
def test_a_trace_without_rows_is_said_to_have_none(tmp_path: Path, text: str):
    trace = tmp_path / "trace.csv"
    trace.write_text(text, encoding="utf-8")
    done = replay(trace)
    assert (done.returncode, done.stdout) == (CONFIG_ERROR, "")
    assert f"the trace {trace} has no rows" in done.stderr


def test_a_file_that_is_not_there_and_one_that_is_no_text_are_named(tmp_path: Path):
    (tmp_path / "bytes.csv").write_bytes(b"timestamp_s,value\n\xff\xfe\x00\n")
    for name in ("nowhere.csv", "bytes.csv", "."):
        done = replay(tmp_path / name)
        assert (done.returncode, done.stdout) == (CONFIG_ERROR, "")
        assert f"the trace {tmp_path / name} cannot be read" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "thresholds",
    [
        ("--off-below", "0", "--run-above", "100"),
        ("--off-below", "200", "--run-above", "100"),
        ("--off-below", "nan", "--run-above", "100"),
        ("--off-below", "10", "--run-above", "100", "--run-below", "101"),
        ("--off-below", "10", "--run-above", "100", "--run-below", "9"),
        ("--off-below", "10", "--run-above", "100", "--min-on-s", "-1"),
        ("--off-below", "10", "--run-above", "100", "--min-off-s", "inf"),
        ("--off-below", "10", "--run-above", "100", "--off-settle-s", "nan"),
        ("--off-below", "10", "--run-above", "100", "--min-on-s", "86401"),
        ("--off-below", "10", "--run-above", "inf"),
        ("--off-below", "10", "--run-above", "nan"),
        ("--off-below", "10", "--run-above", "inf", "--run-below", "100"),
        ("--off-below", "10", "--run-above", "100", "--gap-s", "0"),
        ("--off-below", "10", "--run-above", "100", "--gap-s", "nan"),
        ("--off-below", "10", "--run-above", "100", "--gap-s", "301"),
        ("--off-below", "10", "--run-above", "100", "--bridge-s", "59"),
        ("--off-below", "10", "--run-above", "100", "--bridge-s", "86401"),
    ],
)
def test_rules_that_a_config_file_may_not_have_are_refused_here_too(tmp_path: Path, thresholds: tuple[str, ...]):
    trace = tmp_path / "trace.csv"
    trace.write_text(HEAD, encoding="utf-8")
    done = replay(trace, thresholds=thresholds)
    assert (done.returncode, done.stdout) == (CONFIG_ERROR, "")
    assert "must " in done.stderr
    assert "Traceback" not in done.stderr
