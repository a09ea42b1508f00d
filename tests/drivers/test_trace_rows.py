"""Recorded traces are read row by row, and a row that is no reading is named."""

from pathlib import Path

import pytest

from instrument_agent.core.errors import ConfigError
from instrument_agent.drivers.trace import BadRow, read_trace


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trace.csv"


def test_rows_come_in_the_order_of_the_file(path: Path) -> None:
    path.write_text("timestamp_s,value\n0,1.5\n1,2\n\n1,3\n2.25,-4e2\n")
    assert read_trace(path) == [(0.0, 1.5), (1.0, 2.0), (1.0, 3.0), (2.25, -400.0)]


def test_what_a_spreadsheet_saves_is_read_too(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbftimestamp_s, value\r\n0,1\r\n1,2\r\n")
    assert read_trace(path) == [(0.0, 1.0), (1.0, 2.0)]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("1,", "not two numbers"),
        ("1", "not two numbers"),
        ("1,2,3", "not two numbers"),
        ("one,2", "not two numbers"),
        ("1,nan", "not two numbers"),
        ("inf,1", "not two numbers"),
        ("0.5,1", "backwards"),
    ],
)
def test_a_row_that_is_no_reading_is_named_by_its_line(path: Path, row: str, problem: str) -> None:
    path.write_text(f"timestamp_s,value\n0,1\n1,1\n{row}\n2,1\n")
    with pytest.raises(BadRow, match=problem) as caught:
        read_trace(path)
    assert caught.value.line == 4
    assert f"{path}:4" in str(caught.value)


def test_a_file_without_the_header_is_refused_at_its_first_line(path: Path) -> None:
    path.write_text("0,1\n1,2\n")
    with pytest.raises(BadRow, match="first line") as caught:
        read_trace(path)
    assert caught.value.line == 1


@pytest.mark.parametrize("content", [b"timestamp_s,value\n", b""])
def test_a_trace_without_rows_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="no rows"):
        read_trace(path)


def test_a_file_that_is_no_text_or_not_there_is_refused(path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_trace(path)
    path.write_bytes(b"timestamp_s,value\n\xff\xfe\n")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_trace(path)
