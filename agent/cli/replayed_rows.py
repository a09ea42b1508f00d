"""Rows that are printed all together or not at all, however many there are: beyond some megabytes they wait on disk."""

import csv
import json
from collections.abc import Mapping, Sequence
from tempfile import SpooledTemporaryFile
from textwrap import indent
from types import TracebackType
from typing import Self

import click

IN_MEMORY = 4 * 2**20
AT_ONCE = 2**16


class Rows:
    """Takes rows one by one, as CSV with a header or as one JSON list."""

    def __init__(self, form: str, columns: Sequence[str]) -> None:
        self._json = form == "json"
        self._count = 0
        self._file = SpooledTemporaryFile(IN_MEMORY, "w+", encoding="utf-8", newline="")  # noqa: SIM115  # closed with the rows
        self._csv = csv.DictWriter(self._file, columns, lineterminator="\n")
        if not self._json:
            self._csv.writeheader()

    def __enter__(self) -> Self:
        """Be closed at the end of a ``with``."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Forget the rows."""
        self._file.close()

    def add(self, row: Mapping[str, object]) -> None:
        """Take the next row."""
        if self._json:
            text = indent(json.dumps(row, ensure_ascii=False, indent=2), "  ")
            self._file.write((",\n" if self._count else "[\n") + text)
        else:
            self._csv.writerow(row)
        self._count += 1

    def print(self) -> None:
        """Print all rows."""
        if self._json:
            self._file.write("\n]\n" if self._count else "[]\n")
        self._file.seek(0)
        while text := self._file.read(AT_ONCE):
            click.echo(text, nl=False)
