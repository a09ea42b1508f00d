"""Gets out of a damaged database what can be verified, and nothing else.

A record counts if its text fits its hash. It is looked for in the table, and, where the table cannot be read, in the
bytes of the file: there its hash lies behind its text. Because only the text that was written fits a SHA-256, a single
flipped bit can be found by trying, and mended. The -wal file is read through SQLite only: it may hold commits that were
never finished.

A box of ten years holds more records than fit into the memory of a Pi, so what was found is kept in a file of its own
until the new database is written.
"""

import hashlib
import json
import re
import sqlite3
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from instrument_agent.buffer.reader import BROKEN, reading

RECORD = re.compile(rb'(\{"at_ms":[^\x00]{1,8000}?\})([0-9a-f]{64})', re.DOTALL)
LONGEST_MATCH = 8192
READ_BYTES = 1024 * 1024
MENDED_BYTES = 8192
"""Longest text in which a flipped bit is looked for."""
TRIED_ONE_BY_ONE = 100_000
"""Widest gap of unreadable rows in which each row is asked for."""
FOUND_NAME = "found.db"
KEPT = (
    "create table kept (epoch text, seq int, id int, type text, instrument_id text, boot_id text, at_ms int,"
    " prev_hash text, body text, hash text, primary key (epoch, seq))"
)


@dataclass(frozen=True, slots=True)
class Kept:
    """A record that verifies: what it says, as it was written, its hash, and where it stood in the log if known."""

    record: dict[str, Any]
    body: str
    hash: str
    id: int | None


class Found:
    """What was got out of a damaged database: records that verify, and the rows of the other tables as they stand."""

    def __init__(self, damaged: Path, work_dir: Path) -> None:
        """Get the records out; they are kept in ``work_dir`` until ``close``.

        Raises:
            sqlite3.Error: there is no room for them.
        """
        self._path = work_dir / FOUND_NAME
        self._kept = sqlite3.connect(self._path, isolation_level=None)
        self._kept.execute("pragma journal_mode=off")
        self._kept.execute("pragma synchronous=off")
        self._kept.execute(KEPT)
        self._kept.execute("create index by_link on kept (prev_hash)")
        self._kept.execute("begin")
        self.unread: set[str] = set()
        """The tables of which some rows could not be read: nobody knows how many."""
        self._source: sqlite3.Connection | None = None
        with suppress(*BROKEN):  # so little of it is left that SQLite does not open it: the bytes are
            self._source = reading(damaged, alone=True)
            self._source.text_factory = bytes
            self._source.execute("pragma writable_schema=on")  # or SQLite reads nothing of a file that was cut off
        doubtful = [row for row in self._rows("records", "id, body, hash") if not self._take(row[0], row[1], row[2])]
        for body, digest in _in_the_bytes(damaged):
            self._take(None, body, digest)
        for id_, body, digest in doubtful:
            mended = self._mended(body, digest)
            if mended is not None:
                self._take(id_, mended, hashlib.sha256(mended).hexdigest())
        self._kept.execute("commit")

    def records(self, condition: str, *values: object) -> Iterator[Kept]:
        """Yield the records for which an SQL condition holds, one at a time."""
        found = self._kept.execute(f"select id, body, hash from kept where {condition}", values)  # noqa: S608  # ours
        for id_, body, digest in found:
            yield Kept(json.loads(body), body, digest, id_)

    def ask(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the table ``kept``: epoch, seq, id, type, instrument_id, boot_id, at_ms, prev_hash, body, hash."""
        return self._kept.execute(sql, values).fetchall()

    def rows(self, table: str, columns: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of another table that can be read, still unchecked."""
        for row in self._rows(table, columns):
            yield tuple(_text(value) for value in row)

    def close(self) -> None:
        """Forget what was found."""
        self._kept.close()
        self._path.unlink(missing_ok=True)
        if self._source is not None:
            self._source.close()

    def _rows(self, table: str, columns: str) -> Iterator[tuple[Any, ...]]:
        if self._source is None or not (yield from rows_of(self._source, table, columns)):
            self.unread.add(table)

    def _take(self, id_: int | None, body: object, digest: object) -> bool:
        """Keep a record if it verifies; False if it is one, as far as it looks, that does not."""
        digest = _text(digest)
        if not isinstance(body, bytes) or not isinstance(digest, str):
            return True
        if hashlib.sha256(body).hexdigest() != digest:
            return False
        record = json.loads(body)
        names = ("epoch", "seq", "type", "boot_id", "at_ms", "prev_hash")
        epoch, seq, type_, boot_id, at_ms, prev_hash = (record[name] for name in names)
        row = (epoch, seq, id_, type_, record.get("instrument_id"), boot_id, at_ms, prev_hash, body.decode(), digest)
        self._kept.execute(
            "insert into kept values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " on conflict (epoch, seq) do update set id = excluded.id where id is null",
            row,
        )
        return True

    def _mended(self, body: bytes, digest: object) -> bytes | None:
        """Return the text that was written, if it or its hash has one flipped bit."""
        noted = str(_text(digest))
        computed = hashlib.sha256(body).hexdigest()
        if self.ask("select 1 from kept where prev_hash = ? limit 1", computed):
            return body
        if len(noted) == len(computed) and _bits_apart(computed, noted) == 1:
            return body
        return None if len(body) > MENDED_BYTES else _with_one_bit_turned(body, noted)


def rows_of(connection: sqlite3.Connection, table: str, columns: str) -> Generator[tuple[Any, ...], None, bool]:
    """Yield the rows that can be read: from the front, from the back, and between them one by one.

    Returns:
        Whether nothing was in the way.
    """
    wanted = f"select rowid, {columns} from {table}"  # noqa: S608  # names of ours
    after = yield from _until_broken(connection, f"{wanted} order by rowid")
    if after is None:
        return True
    before = yield from _until_broken(connection, f"{wanted} where rowid > {after} order by rowid desc")
    if not after and not before:
        return False  # nothing of this table can be reached
    for rowid in range(after + 1, min(before or after + TRIED_ONE_BY_ONE, after + TRIED_ONE_BY_ONE)):
        yield from _until_broken(connection, f"{wanted} where rowid = {rowid}")
    return False


def _until_broken(connection: sqlite3.Connection, sql: str) -> Generator[tuple[Any, ...], None, int | None]:
    """Yield rows without their rowid, which stands first; return the last one if it broke off, None at the end."""
    reached = 0
    try:
        for rowid, *row in connection.execute(sql):
            reached = rowid
            yield tuple(row)
    except BROKEN:
        return reached
    return None


def _in_the_bytes(path: Path) -> Iterator[tuple[bytes, str]]:
    """Yield what looks like a record and its hash; some may come twice."""
    left = b""
    with path.open("rb") as file:
        while piece := file.read(READ_BYTES):
            piece = left + piece
            for match in RECORD.finditer(piece):
                yield match[1], match[2].decode()
            left = piece[-LONGEST_MATCH:]


def _with_one_bit_turned(body: bytes, digest: str) -> bytes | None:
    changed = bytearray(body)
    for place in range(len(body)):
        for bit in range(8):
            changed[place] ^= 1 << bit
            if hashlib.sha256(changed).hexdigest() == digest:
                return bytes(changed)
            changed[place] ^= 1 << bit
    return None


def _bits_apart(one: str, other: str) -> int:
    return sum((ord(a) ^ ord(b)).bit_count() for a, b in zip(one, other, strict=True))


def _text(value: object) -> object:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
