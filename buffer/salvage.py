"""Gets out of a damaged database what can be verified, and nothing else.

A record counts if its text fits its hash. It is looked for in the table, and, where the table cannot be read, in the
bytes of the file: there its hash lies behind its text. Because only the text that was written fits a SHA-256, a single
flipped bit can be found by trying, and mended. The -wal file is read through SQLite only: it may hold commits that were
never finished.
"""

import hashlib
import json
import mmap
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RECORD = re.compile(rb'(\{"at_ms":[^\x00]{1,8000}?\})([0-9a-f]{64})', re.DOTALL)
BROKEN = (sqlite3.Error, UnicodeDecodeError)
"""What SQLite says of a broken file; its own message may quote bytes that are no text."""
MENDED_BYTES = 8192
"""Longest text in which a flipped bit is looked for."""
TRIED_ONE_BY_ONE = 100_000
"""Widest gap of unreadable rows in which each row is asked for."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A record that verifies: what it says, as it was written, its hash, and where it stood in the log if known."""

    record: dict[str, Any]
    body: str
    hash: str
    id: int | None


@dataclass(slots=True)
class Found:
    """What was got out: records by (epoch, seq), and the rows of the other tables as they stand, still unchecked."""

    records: dict[tuple[str, int], Kept] = field(default_factory=dict)
    tables: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)


def found_in(path: Path, tables: dict[str, str]) -> Found:
    """Return what can be got out of a damaged database; ``tables`` maps names to the columns that are wanted."""
    found = Found()
    doubtful: list[tuple[int, bytes, str]] = []
    # Without a -wal SQLite would lay one beside the file that is to be kept as it is.
    kind = "mode=ro" if Path(f"{path}-wal").exists() else "mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{kind}", uri=True)) as connection:
            connection.text_factory = bytes
            for id_, body, digest in rows_of(connection, "records", "id, body, hash"):
                _take(found, doubtful, id_, body, _text(digest))
            for name, columns in tables.items():
                rows = rows_of(connection, name, columns)
                found.tables[name] = [tuple(_text(value) for value in row) for row in rows]
    except BROKEN:
        pass  # so little of it is left that SQLite does not open it: the bytes are
    for body, digest in _in_the_bytes(path):
        _take(found, [], None, body, digest)
    links = {kept.record["prev_hash"] for kept in found.records.values()}
    for id_, body, digest in doubtful:
        mended = _mended(body, digest, links)
        if mended is not None:
            _take(found, [], id_, mended, hashlib.sha256(mended).hexdigest())
    return found


def rows_of(connection: sqlite3.Connection, table: str, columns: str) -> Iterator[tuple[Any, ...]]:
    """Yield the rows that can be read: from the front, from the back, and between them one by one."""
    wanted = f"select rowid, {columns} from {table}"  # noqa: S608  # names of ours
    front, reached = _until_broken(connection, f"{wanted} order by rowid")
    yield from (row[1:] for row in front)
    if reached:
        return
    after = front[-1][0] if front else 0
    back, _reached = _until_broken(connection, f"{wanted} where rowid > {after} order by rowid desc")
    yield from (row[1:] for row in back)
    if not front and not back:
        return  # nothing of this table can be reached
    before = back[-1][0] if back else after + TRIED_ONE_BY_ONE
    for rowid in range(after + 1, min(before, after + TRIED_ONE_BY_ONE)):
        single, _reached = _until_broken(connection, f"{wanted} where rowid = {rowid}")
        yield from (row[1:] for row in single)


def _until_broken(connection: sqlite3.Connection, sql: str) -> tuple[list[tuple[Any, ...]], bool]:
    rows: list[tuple[Any, ...]] = []
    try:
        rows.extend(connection.execute(sql))
    except BROKEN:
        return rows, False
    return rows, True


def _take(found: Found, doubtful: list[tuple[int, bytes, str]], id_: int | None, body: object, digest: object) -> None:
    if not isinstance(body, bytes) or not isinstance(digest, str):
        return
    if hashlib.sha256(body).hexdigest() != digest:
        if id_ is not None:
            doubtful.append((id_, body, digest))
        return
    record = json.loads(body)
    key = (record["epoch"], record["seq"])
    known = found.records.get(key)
    if known is None or known.id is None:
        found.records[key] = Kept(record, body.decode(), digest, id_)


def _in_the_bytes(path: Path) -> Iterator[tuple[bytes, str]]:
    if path.stat().st_size == 0:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        for match in RECORD.finditer(view):
            yield match[1], match[2].decode()


def _mended(body: bytes, digest: str, links: set[str]) -> bytes | None:
    """Return the text that was written, if it or its hash has one flipped bit."""
    computed = hashlib.sha256(body).hexdigest()
    if computed in links or (len(digest) == len(computed) and _bits_apart(computed, digest) == 1):
        return body
    if len(body) > MENDED_BYTES:
        return None
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
