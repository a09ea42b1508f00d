"""Recorded traces: ``timestamp_s,value`` files, read row by row."""

import csv
import math
from collections.abc import Iterable, Iterator
from pathlib import Path

from instrument_agent.core.errors import ConfigError
from instrument_agent.i18n import _

HEADER = ["timestamp_s", "value"]
LATEST_S = 1e15
"""No clock ever said so; a larger number would leave the range of a float when it is turned into nanoseconds."""


class BadRow(ConfigError):
    """A row that is no reading; ``line`` is where it stands."""

    def __init__(self, path: Path, line: int, problem: str, hint: str = "") -> None:
        super().__init__(f"{path}:{line}: {problem}", hint or _("mend or remove this row; nothing was changed"))
        self.line = line


def read_trace(path: Path) -> list[tuple[float, float]]:
    """Return all rows of a trace.

    Raises:
        BadRow: a row is not two numbers, or goes back in time.
        ConfigError: the file cannot be read, or has no rows.
    """
    rows = list(trace_rows(path))
    if not rows:
        raise ConfigError(_("the trace {path} has no rows").format(path=path))
    return rows


def trace_rows(path: Path) -> Iterator[tuple[float, float]]:
    """Yield (seconds, value) in file order; equal times are valid.

    Raises:
        BadRow: a row is not two finite numbers, or goes back in time.
        ConfigError: the file cannot be read.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            yield from _rows(path, csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(_("the trace {path} cannot be read: {error}").format(path=path, error=error)) from error


def _rows(path: Path, reader: Iterable[list[str]]) -> Iterator[tuple[float, float]]:
    last_s = -math.inf
    for line, row in enumerate(reader, start=1):
        if line == 1 and [cell.strip() for cell in row] == HEADER:
            continue
        if line == 1:
            problem = _("the first line must be timestamp_s,value")
            raise BadRow(path, line, problem, _("make timestamp_s,value the first line; the rows come after it"))
        if not row:
            continue
        try:
            at_s, value = (float(cell) for cell in row)
        except ValueError:
            raise BadRow(path, line, _("not two numbers: {row}").format(row=",".join(row)[:80])) from None
        if not (math.isfinite(at_s) and math.isfinite(value)):
            raise BadRow(path, line, _("not two numbers: {row}").format(row=",".join(row)[:80]))
        if abs(at_s) > LATEST_S:
            raise BadRow(path, line, _("the time is out of range: {row}").format(row=",".join(row)[:80]))
        if at_s < last_s:
            raise BadRow(path, line, _("{at} s comes after {last} s: time goes backwards").format(at=at_s, last=last_s))
        last_s = at_s
        yield at_s, value
