"""How the database is opened: durably for writing, or as a stand-in while the disk takes nothing.

WAL with synchronous=FULL is the only setting of SQLite that lost no acknowledged row in power-cut trials, so both
are set and read back.
"""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import sqlite_utils

from instrument_agent.buffer import card
from instrument_agent.buffer.migrations import migrations, refuse_strange, refuse_unready, up_to_date
from instrument_agent.buffer.reader import BROKEN, FILE_NAME, Reader, reading
from instrument_agent.core.errors import StoreUnavailable


def look(state_dir: Path, file_name: str = FILE_NAME) -> Reader:
    """Open the database for somebody who only looks, whether an agent runs or not; all is seen as at one moment.

    Raises:
        StoreUnavailable: there is none, it is not ours, another version must open it first, or it cannot be read.
        StoreDamaged: it is ours and damaged.
    """
    reader = Reader(state_dir, file_name)
    try:
        reader.stand_still()
        refuse_strange(reader, reader.path)
        refuse_unready(reader, reader.path)
    except StoreUnavailable:
        reader.close()
        raise
    return reader


def check_whose(state_dir: Path, path: Path) -> None:
    """Look at what is there without changing it, before it is opened for writing.

    Raises:
        StoreUnavailable: it is not ours, or was written by a newer agent.
    """
    if filled(path):
        reader = Reader(state_dir, alone=True)
        try:
            refuse_strange(reader, path)
        finally:
            reader.close()


def renew(state_dir: Path, path: Path) -> None:
    """Bring the schema of a database that an older version wrote up to date, if it can be: only then can it be checked.

    Raises:
        StoreUnavailable: it is not ours, or was written by a newer agent.
    """
    with suppress(*BROKEN, StoreUnavailable):  # what is wrong with it is told by whoever looks at it next
        check_whose(state_dir, path)
        with closing(reading(path, alone=True)) as connection:
            current = up_to_date(connection)
        if not current:
            writing(path).close()


def writing(path: Path) -> sqlite3.Connection:
    """Open or create the database and bring its schema up to date.

    Raises:
        sqlite3.Error: it cannot be written.
    """
    connection = sqlite3.connect(path, check_same_thread=False, timeout=10)
    try:
        _make_durable(connection)
        migrations.apply(sqlite_utils.Database(connection))
        # A file that can only be read is opened without a word, and even takes a transaction that writes nothing.
        connection.execute("begin immediate")
        connection.execute("delete from findings where 0")
        connection.execute("commit")
    except BROKEN:
        connection.close()
        raise
    return connection


def stand_in(state_dir: Path, path: Path) -> sqlite3.Connection | None:
    """Return a connection to what can be read of a disk that takes nothing now and may take something later.

    None if it cannot be read either, or if what is wrong with it does not pass while the agent runs.
    """
    refusal = card.refusal(state_dir)
    if refusal is None or refusal.errno not in card.PASSING:
        return None
    if not filled(path):  # the very first start: an empty box
        empty = sqlite3.connect(":memory:", check_same_thread=False)
        migrations.apply(sqlite_utils.Database(empty))
        return empty
    connection = reading(path, alone=True)
    with suppress(*BROKEN):
        if up_to_date(connection):
            return connection
    connection.close()
    return None


def filled(path: Path) -> bool:
    """Say whether there is anything in the file of the database."""
    return path.exists() and path.stat().st_size > 0


def _make_durable(connection: sqlite3.Connection) -> None:
    mode = connection.execute("pragma journal_mode=wal").fetchone()[0]
    connection.execute("pragma synchronous=full")
    connection.execute("pragma foreign_keys=on")
    synchronous = connection.execute("pragma synchronous").fetchone()[0]
    if (mode, synchronous) != ("wal", 2):
        raise sqlite3.OperationalError(f"journal_mode is {mode} and synchronous {synchronous}, not wal and 2 (full)")
