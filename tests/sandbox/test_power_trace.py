"""A recorded trace is played back as it was recorded."""

from pathlib import Path

import pytest

from instrument_agent.sandbox.traces import PowerTrace


def test_a_sample_holds_until_the_next_one(tmp_path: Path) -> None:
    trace = from_text(tmp_path, "10,5\n12,100\n20,7\n")
    assert [trace.power_w(t) for t in (10.0, 11.99, 12.0, 19.9, 20.0)] == [5.0, 5.0, 100.0, 100.0, 7.0]


def test_of_equal_timestamps_the_last_in_the_file_holds(tmp_path: Path) -> None:
    trace = from_text(tmp_path, "0,1\n5,30\n5,20\n5,10\n6,2\n")
    assert trace.power_w(5.0) == 10.0
    assert trace.power_w(4.9) == 1.0


def test_outside_the_recording_the_nearest_sample_holds(tmp_path: Path) -> None:
    trace = from_text(tmp_path, "24120,15\n24125,13\n")
    assert (trace.first_s, trace.last_s) == (24120.0, 24125.0)
    assert trace.power_w(0.0) == 15.0
    assert trace.power_w(1e9) == 13.0


def test_samples_out_of_order_are_played_in_order(tmp_path: Path) -> None:
    trace = from_text(tmp_path, "2,20\n1,10\n3,30\n")
    assert [trace.power_w(t) for t in (1.0, 2.0, 3.0)] == [10.0, 20.0, 30.0]


def test_an_empty_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="without samples"):
        from_text(tmp_path, "")


def from_text(directory: Path, rows: str) -> PowerTrace:
    path = directory / "trace.csv"
    path.write_text("timestamp_s,value\n" + rows, encoding="utf-8")
    return PowerTrace.from_csv(path)
