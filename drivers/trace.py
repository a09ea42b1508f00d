"""Recorded traces: CSV files, read row by row.

Two kinds are read. ``timestamp_s,value`` holds numbers of one channel. A recording of several channels names them:

    timestamp_s,power_w,current_a,mode,failure
    0,1500.25,6.8,scan,
    1.0004,?,,'5,                          power_w: nonsense, current_a: not read, mode: the text 5
    2,,,,driver_unavailable                nothing was read, and why

A cell is a number, or else a text; ``?`` is an answer that was nonsense, an empty cell a channel that was not read.
A text that could be taken for any of these, or by a spreadsheet for a formula, has a ``'`` before it.
"""

import csv
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from instrument_agent.core.errors import ConfigError
from instrument_agent.core.readings import NS_PER_S, FailedRead, Observation, Reading, UnknownReason, Value
from instrument_agent.i18n import _

HEADER = ["timestamp_s", "value"]
FAILURE = "failure"
NONSENSE = "?"
REASONS = (UnknownReason.DRIVER_UNAVAILABLE, UnknownReason.DRIVER_ERROR)
"""Why a read can fail; everything else that is unknown has to do with the agent that recorded."""
LATEST_S = 1e15
"""No clock ever said so; a larger number would leave the range of a float when it is turned into nanoseconds."""
LARGEST = 1e15
"""No channel reads more, and squares of it are still numbers."""

_CHANNEL = re.compile(r"[a-z][a-z0-9_]*")
_FORMULA = ("'", "=", "+", "-", "@", "\t", "\r")

Row = tuple[float, Mapping[str, Value] | UnknownReason]
"""Seconds, and what was read then or why nothing was."""


class BadRow(ConfigError):
    """A row that is no reading; ``line`` is where it stands."""

    def __init__(self, path: Path, line: int, problem: str, hint: str = "") -> None:
        super().__init__(f"{path}:{line}: {problem}", hint or _("mend or remove this row; nothing was changed"))
        self.line = line


def read_trace(path: Path) -> list[tuple[float, float]]:
    """Return all rows of a trace of one channel.

    Raises:
        BadRow: a row is not two numbers, or goes back in time.
        ConfigError: the file cannot be read, or has no rows.
    """
    rows = list(trace_rows(path))
    if not rows:
        raise ConfigError(_("the trace {path} has no rows").format(path=path))
    return rows


def trace_rows(path: Path) -> Iterator[tuple[float, float]]:
    """Yield (seconds, value) of a trace of one channel in file order; equal times are valid.

    Raises:
        BadRow: a row is not two finite numbers, or goes back in time.
        ConfigError: the file cannot be read.
    """
    with _reader(path) as reader:
        header = next(reader, None)
        if header is not None and _cells(header) != HEADER:
            raise _bad_header(path)
        last_s = -LATEST_S
        for line, row in enumerate(reader, start=2):
            try:
                at_text, value_text = row
                at_s, value = float(at_text), float(value_text)
            except ValueError:
                at_s = value = math.nan
            if last_s <= at_s <= LATEST_S and -LARGEST <= value <= LARGEST:
                last_s = at_s
                yield at_s, value
            elif row:
                _time(path, line, row, 1, last_s)
                if math.isfinite(value):
                    raise BadRow(path, line, _("the value is out of range: {row}").format(row=_shown(row)))
                raise BadRow(path, line, _("not two numbers: {row}").format(row=_shown(row)))


def trace_channels(path: Path) -> tuple[str, ...]:
    """Return the channels a recording names in its first line; none for a trace ``timestamp_s,value``.

    Raises:
        BadRow: the first line is neither.
        ConfigError: the file cannot be read.
    """
    with _reader(path) as reader:
        header = _cells(next(reader, HEADER)) or [""]
    if header == HEADER:
        return ()
    names = tuple(header[1:-1] if header[-1] == FAILURE else header[1:])
    good = header[0] == HEADER[0] and names and len(set(names)) == len(names) and "value" not in names
    if not good or not all(_CHANNEL.fullmatch(name) for name in names):
        raise _bad_header(path)
    return names


def recorded_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a recording, or of a trace of one channel, whose channel is then called ``value``.

    Raises:
        BadRow: a row is no reading, or goes back in time.
        ConfigError: the file cannot be read.
    """
    channels = trace_channels(path)
    if not channels:
        yield from ((at_s, {"value": value}) for at_s, value in trace_rows(path))
        return
    with _reader(path) as reader:
        width = len(next(reader)) - 1
        for line, at_s, row in _timed(path, reader, width):
            cells = row[1:]
            reason = cells[len(channels)] if width > len(channels) else ""
            if not reason:
                values = {name: _value(path, line, cell) for name, cell in zip(channels, cells, strict=False) if cell}
                yield at_s, values
            elif reason in REASONS and not any(cells[: len(channels)]):
                yield at_s, UnknownReason(reason)
            else:
                hint = _("one of {names}, and no values beside it").format(names=", ".join(REASONS))
                raise BadRow(path, line, _("{reason} is not why a read fails").format(reason=reason), hint)


def reading_of(row: Row) -> Reading:
    """Return a row as the core takes it, its time in nanoseconds."""
    at_ns = round(row[0] * NS_PER_S)
    return FailedRead(at_ns, row[1]) if isinstance(row[1], UnknownReason) else Observation(at_ns, row[1])


def header_text(channels: Sequence[str]) -> str:
    """Return the first line of a recording."""
    return _line([HEADER[0], *channels, FAILURE])


def row_text(channels: Sequence[str], row: Row) -> str:
    """Return a row of a recording as a line, its time to the microsecond."""
    at_s, found = row
    at = f"{at_s:.6f}".rstrip("0").rstrip(".")
    if isinstance(found, UnknownReason):
        return _line([at, *("" for _name in channels), found.value])
    return _line([at, *(_cell(found[name]) if name in found else "" for name in channels), ""])


def _cell(value: Value) -> str:
    if value is None:
        return NONSENSE
    if not isinstance(value, str):
        return repr(+value)  # a bool is a number here
    return f"'{value}" if value in ("", NONSENSE) or value.startswith(_FORMULA) or _is_number(value) else value


def _line(cells: Iterable[str]) -> str:
    return ",".join(f'"{cell.replace(chr(34), chr(34) * 2)}"' if set(cell) & set('",\r\n') else cell for cell in cells)


def _value(path: Path, line: int, cell: str) -> Value:
    if cell.startswith("'"):
        return cell[1:]
    if cell == NONSENSE:
        return None
    if not _is_number(cell):
        return cell
    if not _is_finite(cell):
        raise BadRow(path, line, _("not a finite number: {cell}").format(cell=cell[:80]))
    if abs(float(cell)) > LARGEST:
        raise BadRow(path, line, _("the value is out of range: {row}").format(row=cell[:80]))
    return float(cell)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _is_finite(cell: str) -> bool:
    return _is_number(cell) and math.isfinite(float(cell))


@contextmanager
def _reader(path: Path) -> Iterator[Iterator[list[str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            yield csv.reader(file)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(_("the trace {path} cannot be read: {error}").format(path=path, error=error)) from error


def _timed(path: Path, reader: Iterable[list[str]], width: int) -> Iterator[tuple[int, float, list[str]]]:
    """Yield every row after the header with its line and its time; it has ``width`` cells beside the time."""
    last_s = -LATEST_S
    for line, row in enumerate(reader, start=2):
        if row:
            last_s = _time(path, line, row, width, last_s)
            yield line, last_s, row


def _time(path: Path, line: int, row: list[str], width: int, last_s: float) -> float:
    """Return the time of a row, or say what is wrong with it."""
    if len(row) != width + 1 or not _is_finite(row[0]):
        raise BadRow(path, line, _wrong_row(width).format(row=_shown(row), count=width + 1))
    at_s = float(row[0])
    if abs(at_s) > LATEST_S:
        raise BadRow(path, line, _("the time is out of range: {row}").format(row=_shown(row)))
    if at_s < last_s:
        raise BadRow(path, line, _("{at} s comes after {last} s: time goes backwards").format(at=at_s, last=last_s))
    return at_s


def _shown(row: Sequence[str]) -> str:
    return ",".join(row)[:80]


def _wrong_row(width: int) -> str:
    if width == 1:
        return _("not two numbers: {row}")
    return _("not a time and {count} cells in all: {row}")


def _cells(row: Sequence[str]) -> list[str]:
    return [cell.strip() for cell in row]


def _bad_header(path: Path) -> BadRow:
    return BadRow(
        path,
        1,
        _("the first line must be timestamp_s,value or timestamp_s and the names of channels"),
        _("make timestamp_s,value the first line; the rows come after it"),
    )
