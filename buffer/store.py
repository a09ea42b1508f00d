"""The database: opened durably, written by one connection, in whole transactions.

WAL with synchronous=FULL is the only setting of SQLite that lost no acknowledged row in power-cut trials, so both
are set and read back. Every write begins with BEGIN IMMEDIATE: a transaction that reads first and writes later
would fail with "database is locked" instead of waiting.
"""

import json
import logging
import sqlite3
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlite_utils

from instrument_agent.buffer.ballast import Ballast
from instrument_agent.buffer.headfile import NotedHead, write_head
from instrument_agent.buffer.migrations import migrations, refuse_strange
from instrument_agent.buffer.reader import FILE_NAME, Reader, unusable
from instrument_agent.core.canonical import NO_HASH, canonical
from instrument_agent.core.errors import StoreDamaged, StoreUnavailable
from instrument_agent.core.records import Fact, Link, RecordType, sealed

log = logging.getLogger(__name__)

SUSPECT_NAME = "suspect"
"""A file of this name asks the next start to look at every record."""


@dataclass(frozen=True, slots=True)
class Start:
    """What is known when the agent starts: this boot, the moment, and what is running."""

    boot_id: str
    at_ns: int
    agent_version: str
    config_hash: str


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain of one epoch."""

    epoch: str
    seq: int
    hash: str


class Transaction:
    """One atomic change: rows by ``execute``, facts by ``append``; all of it is kept or none."""

    def __init__(self, connection: sqlite3.Connection, box_id: str, head: Head) -> None:
        self._connection = connection
        self._box_id = box_id
        self.head = head
        self.last_id = 0

    def execute(self, sql: str, parameters: tuple[object, ...] = ()) -> sqlite3.Cursor:
        """Run one statement of this transaction."""
        return self._connection.execute(sql, parameters)

    def append(self, fact: Fact) -> None:
        """Put a fact at the end of the log, chained to the one before it."""
        link = Link(self._box_id, self.head.epoch, self.head.seq + 1, self.head.hash)
        record, digest = sealed(link, fact)
        added = self.execute(
            "insert into records (epoch, seq, type, instrument_id, body, hash) values (?, ?, ?, ?, ?, ?)",
            (link.epoch, link.seq, fact.type.value, fact.instrument_id, canonical(record).decode(), digest),
        )
        self.head = Head(link.epoch, link.seq, digest)
        self.last_id = added.lastrowid or 0


class Store:
    """The writing side; one per state directory, shared by the agent's threads."""

    def __init__(self, state_dir: Path, box_id: str) -> None:
        """Open or create the database and bring its schema up to date.

        Raises:
            StoreUnavailable: it cannot be opened, is not ours, or was written by a newer agent.
        """
        self.damage = ""
        self._state_dir = state_dir
        self._box_id = box_id
        self._head_noted = True
        self._ballast = Ballast(state_dir)
        self._lock = threading.RLock()
        self._listeners: list[threading.Event] = []
        self._head = Head("", 0, NO_HASH)
        self.path = state_dir / FILE_NAME
        self._refuse_strange()
        try:
            self._connection = sqlite3.connect(self.path, check_same_thread=False, timeout=10)
        except sqlite3.Error as error:
            raise unusable(self.path, error) from error
        try:
            _make_durable(self._connection)
            migrations.apply(sqlite_utils.Database(self._connection))
        except sqlite3.Error as error:
            self._connection.close()
            raise self._refused(error) from error
        self._ballast.take()

    def begin_epoch(self, start: Start) -> str:
        """Begin a new epoch; its first record names the end of the one before it.

        A sequence number is thus never used twice, even by a card that was restored from an old image.
        """
        epoch = str(uuid.uuid4())
        data: dict[str, object] = {"agent_version": start.agent_version, "config_hash": start.config_hash}
        with self.write() as change:
            previous = change.execute("select epoch, seq, hash from records order by id desc limit 1").fetchone()
            if previous is not None:
                data |= dict(zip(("previous_epoch", "previous_seq", "previous_hash"), previous, strict=True))
            change.head = Head(epoch, 0, NO_HASH)
            change.execute(
                "insert into epochs (epoch, boot_id, started_ns, agent_version, config_hash) values (?, ?, ?, ?, ?)",
                (epoch, start.boot_id, start.at_ns, start.agent_version, start.config_hash),
            )
            change.append(Fact(RecordType.EPOCH_STARTED, start.boot_id, start.at_ns, data))
            for (found,) in change.execute("select data from findings order by id").fetchall():
                log.error("fault: %s", found)
                change.append(Fact(RecordType.FAULT, start.boot_id, start.at_ns, json.loads(found)))
            change.execute("delete from findings")
        return epoch

    @property
    def epoch(self) -> str:
        """The epoch that is being written."""
        return self._head.epoch

    def listen(self, event: threading.Event) -> None:
        """Set ``event`` whenever facts were appended."""
        self._listeners.append(event)

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Do one transaction, alone; it is on the disk when the block is left.

        Raises:
            StoreUnavailable: the database refused it; nothing of it was kept.
        """
        with self._lock:
            change = Transaction(self._connection, self._box_id, self._head)
            try:
                self._connection.execute("begin immediate")
                yield change
                self._connection.execute("commit")
            except sqlite3.Error as error:
                with suppress(sqlite3.Error):  # on a broken disk this fails too; SQLite has rolled back by itself then
                    self._connection.rollback()
                raise self._refused(error) from error
            except BaseException:
                self._connection.rollback()
                raise
            grown = change.head != self._head
            self._head = change.head
            if grown:
                self._note_head(change.last_id)
        if grown:
            for event in self._listeners:
                event.set()

    def rows(self, sql: str, parameters: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query.

        Raises:
            StoreUnavailable: the database cannot be read.
        """
        with self._lock:
            try:
                return self._connection.execute(sql, parameters).fetchall()
            except sqlite3.Error as error:
                raise self._refused(error) from error

    def note_damage(self, what: str) -> None:
        """Remember that the database is damaged: the agent ends, and its next start looks at every record."""
        if not self.damage:
            log.critical("%s", what)
            with suppress(OSError):
                (self._state_dir / SUSPECT_NAME).write_text(what, encoding="utf-8")
        self.damage = what

    def tend(self) -> None:
        """Lay down the ballast again if it was given up and there is room."""
        self._ballast.take()

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._connection.close()

    def _refuse_strange(self) -> None:
        """Look at what is there without changing it, before it is opened for writing."""
        if self.path.exists() and self.path.stat().st_size > 0:
            reader = Reader(self._state_dir)
            try:
                refuse_strange(reader, self.path)
            finally:
                reader.close()

    def _refused(self, error: sqlite3.Error) -> StoreUnavailable:
        found = unusable(self.path, error)
        if isinstance(found, StoreDamaged):
            self.note_damage(str(found))
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            self._ballast.release()
        return found

    def _note_head(self, last_id: int) -> None:
        try:
            write_head(self._state_dir, NotedHead(self._head.epoch, self._head.seq, self._head.hash, last_id))
        except OSError as error:
            if self._head_noted:
                log.error("the head of the chain cannot be noted beside the database: %s", error)
            self._head_noted = False
        else:
            self._head_noted = True


def _make_durable(connection: sqlite3.Connection) -> None:
    mode = connection.execute("pragma journal_mode=wal").fetchone()[0]
    connection.execute("pragma synchronous=full")
    connection.execute("pragma foreign_keys=on")
    synchronous = connection.execute("pragma synchronous").fetchone()[0]
    if (mode, synchronous) != ("wal", 2):
        raise sqlite3.OperationalError(f"journal_mode is {mode} and synchronous {synchronous}, not wal and 2 (full)")
