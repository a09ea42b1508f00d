"""`record` writes down what an instrument shows, and playing that again shows the same."""

import signal
import tempfile
import threading
from pathlib import Path

import pytest
from field_box import CONFIG, FieldBox, until
from hypothesis import given, settings
from hypothesis import strategies as st
from in_process import run

from instrument_agent.config import load_config
from instrument_agent.core.readings import NS_PER_S, UnknownReason
from instrument_agent.drivers.mock import HUGE
from instrument_agent.drivers.trace import REASONS, BadRow, header_text, recorded_rows, row_text, trace_channels
from instrument_agent.field.access import sources
from instrument_agent.field.recording import record, trace_file

CHANNELS = ("power_w", "current_a", "mode")
ODD_TEXTS = ["", "?", "nan", "1e5", "-5", "=1+1", "'x", "a,b", 'say "so"', "\r\n", " 5 "]
TEXTS = st.text(max_size=6) | st.sampled_from(ODD_TEXTS)
NUMBERS = st.floats(-HUGE, HUGE)
VALUES = st.dictionaries(st.sampled_from(CHANNELS), NUMBERS | TEXTS | st.none())
ROWS = st.lists(VALUES | st.sampled_from(REASONS), min_size=1, max_size=12)
POLL_S = 0.5


class WaitingClock:
    """A clock for one thread: waiting is what moves it."""

    boot_id = "6f1d8f3e-52f0-4f6e-8b9a-0c7f2d1e4a55"

    def __init__(self) -> None:
        self.now_ns = 1000 * NS_PER_S

    def boottime_ns(self) -> int:
        return self.now_ns

    def utc_ns(self) -> int:
        return self.now_ns

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.now_ns += round(seconds * NS_PER_S)
        return event.is_set()


def written(path: Path, rows: list[object]) -> list[tuple[float, object]]:
    timed = [(POLL_S * number, row) for number, row in enumerate(rows)]
    lines = [header_text(CHANNELS), *(row_text(CHANNELS, row) for row in timed)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="", errors="backslashreplace")
    return timed


@given(rows=ROWS)
@settings(max_examples=30, deadline=None)
def test_a_recording_of_a_played_recording_is_that_recording(rows: list[object]):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written(folder / "trace.csv", rows)
        config = folder / "box.toml"
        config.write_text(CONFIG.format(driver='name = "mock"\ntrace = "trace.csv"', poll_s=POLL_S), encoding="utf-8")
        clock, box = WaitingClock(), load_config(config)
        with (
            sources(box, box.instruments, clock) as (source,),
            trace_file(folder / "again.csv", CHANNELS, force=False) as trace,
        ):
            done = record(source, trace, clock, threading.Event(), POLL_S * len(rows), lambda _recorded: None)
        assert (folder / "again.csv").read_bytes() == (folder / "trace.csv").read_bytes()
        assert (done.rows, done.failures) == (len(rows), sum(isinstance(row, UnknownReason) for row in rows))


@given(rows=ROWS)
@settings(max_examples=100)
def test_what_was_read_not_read_nonsense_and_failed_come_back_as_they_were(rows: list[object]):
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "trace.csv"
        timed = written(path, rows)
        assert list(recorded_rows(path)) == timed
        assert trace_channels(path) == CHANNELS


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("1,5,,,", "cells in all"),
        ("1,5", "cells in all"),
        ("x,5,,", "cells in all"),
        ("1,inf,,", "not a finite number"),
        ("1,5,,driver_unavailable", "not why a read fails"),
        ("1,,,tired", "not why a read fails"),
        ("-1,5,,", "backwards"),
    ],
)
def test_a_row_of_a_recording_that_is_no_reading_is_named(tmp_path: Path, row: str, said: str):
    path = tmp_path / "trace.csv"
    path.write_text(f"timestamp_s,power_w,current_a,failure\n0,1,2,\n{row}\n", encoding="utf-8")
    with pytest.raises(BadRow, match=said) as caught:
        list(recorded_rows(path))
    assert caught.value.line == 3


@pytest.mark.parametrize(
    "header", ["timestamp_s,failure", "timestamp_s,a,a", "timestamp_s,Power W", "time_s,power_w", "timestamp_s,,x"]
)
def test_a_header_that_names_no_channels_is_refused(tmp_path: Path, header: str):
    path = tmp_path / "trace.csv"
    path.write_text(f"{header}\n0,1\n", encoding="utf-8")
    with pytest.raises(BadRow, match="first line"):
        trace_channels(path)


MOCK = 'name = "mock"\nscript = [20.0, 1500.0, "unavailable", "nonsense", "absent"]\nstep_s = 0.1'


@pytest.fixture
def box(tmp_path: Path) -> FieldBox:
    return FieldBox(tmp_path, MOCK)


def test_a_recording_says_how_much_it_holds(box: FieldBox, tmp_path: Path):
    path = tmp_path / "trace.csv"
    done = box.run("record", "m1", "--for", "1.2s", "-o", str(path))
    assert done.returncode == 0
    assert len(done.stderr.splitlines()) == 1, "only the first failure is told"
    assert done.stdout.startswith("24 readings in 0:00:01, ")
    rows = list(recorded_rows(path))
    assert len(rows) == 24
    assert {"power_w": 1500.0} in [found for _at_s, found in rows]
    assert {"power_w": None} in [found for _at_s, found in rows]
    assert {} in [found for _at_s, found in rows]
    assert UnknownReason.DRIVER_UNAVAILABLE in [found for _at_s, found in rows]


def test_a_recording_of_nothing_but_failures_says_why_at_once_and_ends_with_status_1(tmp_path: Path):
    path = tmp_path / "trace.csv"
    box = FieldBox(tmp_path, 'name = "modbus"\nport = "/dev/nowhere"')
    with box.start("record", "m1", "-o", str(path)) as process:
        assert process.stderr is not None
        first = process.stderr.readline()  # while it still records
        until(lambda: rows_in(path) >= 3, process)
        process.send_signal(signal.SIGINT)
        out, more = process.communicate(timeout=20)
    assert first.startswith("m1: the port /dev/nowhere cannot be opened")
    assert "/dev/serial/by-id/" in first
    assert (process.returncode, more) == (1, "")
    assert out.startswith(f"{rows_in(path)} readings in ")


def test_replay_judges_the_channel_it_is_told_to(tmp_path: Path):
    path = tmp_path / "trace.csv"
    rows = [{"power_w": 6.0, "current_a": 9.0}] * 200
    written(path, rows)
    command = ["replay", str(path), "--off-below", "5", "--run-above", "8", "--min-on-s", "0"]
    states = {channel: run(*command, "--channel", channel) for channel in ("power_w", "current_a", "voltage_v")}
    assert states["power_w"].stdout.splitlines()[1:] == ["0,99.5,standby"]
    assert states["current_a"].stdout.splitlines()[1:] == ["0,99.5,running"]
    assert states["voltage_v"].returncode == 78
    assert "current_a" in states["voltage_v"].stderr


def test_a_failed_read_of_a_recording_is_unknown_and_not_off(tmp_path: Path):
    path = tmp_path / "trace.csv"
    rows = [{"power_w": 20.0}] * 20 + [UnknownReason.DRIVER_UNAVAILABLE] * 200 + [{"power_w": 20.0}] * 20
    written(path, rows)
    done = run("replay", str(path), "--off-below", "5", "--run-above", "500")
    assert [line.split(",")[2] for line in done.stdout.splitlines()[1:]] == ["standby", "unknown", "standby"]


def test_a_file_that_is_there_is_not_overwritten_without_force(box: FieldBox, tmp_path: Path):
    path = tmp_path / "trace.csv"
    path.write_text("a week of work", encoding="utf-8")
    refused = box.run("record", "m1", "--for", "1", "-o", str(path))
    assert refused.returncode == 1
    assert "--force" in refused.stderr
    assert path.read_text(encoding="utf-8") == "a week of work"
    assert box.run("record", "m1", "--for", "0.1", "-o", str(path), "--force").returncode == 0
    assert trace_channels(path) == ("power_w",)


def rows_in(path: Path) -> int:
    return path.read_text(encoding="utf-8").count("\n") - 1 if path.exists() else 0


def test_ctrl_c_ends_a_recording_in_order(box: FieldBox, tmp_path: Path):
    path = tmp_path / "trace.csv"
    with box.start("record", "m1", "-o", str(path)) as process:
        until(lambda: rows_in(path) >= 5, process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "Traceback" not in err
    assert out.startswith(f"{rows_in(path)} readings in ")
    assert len(list(recorded_rows(path))) == rows_in(path)


def test_a_killed_recording_keeps_every_row(box: FieldBox, tmp_path: Path):
    path = tmp_path / "trace.csv"
    with box.start("record", "m1", "-o", str(path)) as process:
        # A row comes every 50 ms; what is only handed over by the block comes after half a minute.
        seen = until(lambda: rows_in(path) >= 5 and rows_in(path), process, within_s=12)
        process.kill()
    assert path.read_text(encoding="utf-8").endswith("\n")
    assert len(list(recorded_rows(path))) >= seen


@pytest.mark.parametrize("text", ["", "soon", "0s", "-5s", "1w"])
def test_a_time_that_is_none_is_named(box: FieldBox, tmp_path: Path, text: str):
    done = box.run("record", "m1", "--for", text, "-o", str(tmp_path / "trace.csv"))
    assert done.returncode == 2
    assert "no duration" in done.stderr
    assert not (tmp_path / "trace.csv").exists()


def test_an_instrument_that_is_not_there_is_named_with_those_that_are(box: FieldBox, tmp_path: Path):
    done = box.run("record", "m2", "-o", str(tmp_path / "trace.csv"))
    assert done.returncode == 78
    assert "no instrument m2" in done.stderr
    assert "m1" in done.stderr


def test_what_the_running_agent_reads_is_recorded_through_it(box: FieldBox, tmp_path: Path):
    path = tmp_path / "trace.csv"
    with box.start_agent() as agent:
        done = box.run("record", "m1", "--for", "1.5s", "-o", str(path))
        agent.terminate()
        agent.communicate(timeout=20)
    assert done.returncode == 0, done.stderr
    found = [values for _at_s, values in recorded_rows(path)]
    assert {"power_w": 1500.0} in found
    assert UnknownReason.DRIVER_UNAVAILABLE in found
    assert len(found) > 10
