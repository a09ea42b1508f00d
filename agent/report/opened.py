"""Opens a sealed file again: whole and as the box wrote it, or not at all."""

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from instrument_agent.buffer.chain import stands_for
from instrument_agent.core.canonical import NO_HASH, record_hash
from instrument_agent.core.errors import AgentError
from instrument_agent.core.records import RecordType
from instrument_agent.i18n import _
from instrument_agent.report.figures import FIGURES, Month, month_of, sums
from instrument_agent.report.sealed import VERSION, Seal, seal_line

LONGEST_LINE = 1 << 20
_HEAD = {"report": int, "box_id": str, "month": str, "zone": str, "complete": bool}


class ReportRefused(AgentError):
    """A file that is not, or no longer, a report as a box made it."""


@dataclass(slots=True)
class Opened:
    """A report that fits its seal; whose seal it is, is for the caller to judge.

    ``heads`` maps each epoch in it, in order, to the seq of its last record here.
    """

    file: BinaryIO
    box_id: str
    month: Month
    seal: Seal
    complete: bool
    rows: list[dict[str, Any]] = field(default_factory=list)
    heads: dict[str, int] = field(default_factory=dict)
    count: int = 0

    def items(self) -> Iterator[dict[str, Any]]:
        """Yield each ``{"hash", "record"}`` in the order of the log."""
        self.file.seek(0)
        for line in self.file:
            if line.startswith(b'{"hash"'):
                yield json.loads(line)


@contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """Open a report and check all of it: its seal, each record's hash, the chain, and the sums.

    Raises:
        ReportRefused: it cannot be read, or something in it is not as the box wrote it.
    """
    try:
        with path.open("rb") as file:
            yield _Check(file).whole()
    except OSError as error:
        raise ReportRefused(
            _("the file {path} cannot be read: {error}").format(path=path, error=error),
            _("give the .jsonl file that the box made"),
        ) from error


class _Check:
    """One walk through a file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._number = 0
        self._digest = hashlib.sha256()
        self._ends: dict[str, tuple[int, str]] = {}
        self._days: dict[str, list[dict[str, Any]]] = {}
        self._found: Opened | None = None

    def whole(self) -> Opened:
        """Return what is in the file."""
        for line in self._lines():
            said = self._object(line)
            if "seal" in said:
                found = self._sealed(line, said["seal"])
                if self._file.read(1):
                    raise self._wrong(_("something follows the seal"))
                return found
            self._digest.update(line)
            self._take(said)
        raise self._wrong(_("it has no seal: its end is missing"))

    def _lines(self) -> Iterator[bytes]:
        while line := self._file.readline(LONGEST_LINE):
            self._number += 1
            if not line.endswith(b"\n"):
                raise self._wrong(_("a line is not whole"))
            yield line

    def _object(self, line: bytes) -> dict[str, Any]:
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict):
            raise self._wrong(_("this is no line of a report"))
        return said

    def _take(self, said: dict[str, Any]) -> None:
        if self._found is None:
            self._found = self._head(said)
        elif "row" in said and not self._found.heads:
            self._found.rows.append(said["row"])
        else:
            self._record(self._found, said)

    def _head(self, said: dict[str, Any]) -> Opened:
        if {name: type(value) for name, value in said.items()} != _HEAD:
            raise self._wrong(_("this is not the beginning of a report"))
        if said["report"] != VERSION:
            raise self._wrong(_("it was made by a newer version of the agent"))
        try:
            month = month_of(said["month"])
        except AgentError as error:
            raise self._wrong(str(error)) from error
        return Opened(self._file, said["box_id"], month, Seal(""), said["complete"])

    def _record(self, found: Opened, said: dict[str, Any]) -> None:
        try:
            digest, record = said["hash"], said["record"]
            epoch, seq = record["epoch"], record["seq"]
            fits = record_hash(record) == digest and record["box_id"] == found.box_id and seq > 0
            before = self._ends.get(epoch, (seq - 1, record["prev_hash"] if seq > 1 else NO_HASH))
            fits = fits and before == (seq - 1, record["prev_hash"])
            self._ends[epoch] = seq, stands_for(record, digest)
            self._note_day(found, record)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise self._wrong(_("this is no line of a report")) from error
        if not fits:
            raise self._wrong(_("record {seq} of epoch {epoch} is not what was written").format(seq=seq, epoch=epoch))
        found.heads[epoch] = seq
        found.count += 1

    def _note_day(self, found: Opened, record: dict[str, Any]) -> None:
        month, daily = found.month, record["type"] == RecordType.DAILY_SUMMARY
        if daily and month.first <= record["data"]["day"] <= month.last:
            self._days.setdefault(record["instrument_id"], []).append(record["data"])

    def _sealed(self, line: bytes, said: Any) -> Opened:
        found = self._found
        if found is None or not isinstance(said, dict) or not all(isinstance(value, str) for value in said.values()):
            raise self._wrong(_("this is no line of a report"))
        if said.get("sha256") != self._digest.hexdigest():
            raise self._wrong(_("it does not fit its seal: it was changed after the box had made it"))
        found.seal = Seal(said["sha256"], said.get("signature", ""), said.get("public_key", ""))
        if seal_line(found.seal) != line or not all(map(_is_base64, (found.seal.signature, found.seal.public_key))):
            raise self._wrong(_("this is no line of a report"))
        self._check_rows(found)
        return found

    def _check_rows(self, found: Opened) -> None:
        """Hold the figures of people's table against the days they are sums of."""
        try:
            told = {row["instrument_id"]: {key: row.get(key) for key in FIGURES} for row in found.rows}
            summed = {name: sums(listed) for name, listed in self._days.items()}
        except (KeyError, TypeError, AttributeError) as error:
            raise self._wrong(_("this is no line of a report")) from error
        if any(told.get(name) != known for name, known in summed.items()):
            raise self._wrong(_("its figures are not the sums of its days"))

    def _wrong(self, why: str) -> ReportRefused:
        return ReportRefused(
            _("the report is refused, line {line}: {why}").format(line=self._number, why=why),
            _("copy it from the box again, or have the box make it again; it must not be opened and saved"),
        )


def _is_base64(text: str) -> bool:
    """Say whether a text is written as base64 is; its last character can hold bits that decoding ignores."""
    try:
        return b64encode(b64decode(text, validate=True)).decode("ascii") == text
    except ValueError:
        return False
