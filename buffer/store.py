"""The database: written by one connection, in whole transactions.

Every write begins with BEGIN IMMEDIATE: a transaction that reads first and writes later would fail with "database is
locked" instead of waiting.
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

from instrument_agent.buffer import card
from instrument_agent.buffer.ballast import Ballast
from instrument_agent.buffer.faults import told
from instrument_agent.buffer.headfile import NotedHead, write_head
from instrument_agent.buffer.opening import check_whose, stand_in, writing
from instrument_agent.buffer.reader import BROKEN, FILE_NAME, Broken, disk_fails, our_mistake, restart_hint, unusable
from instrument_agent.core.canonical import NO_HASH, canonical
from instrument_agent.core.errors import StoreDamaged, StoreUnavailable
from instrument_agent.core.records import Fact, Link, RecordType, sealed
from instrument_agent.core.rowsum import row_sum
from instrument_agent.i18n import _

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
        """Put a fact at the end of the log, chained to the one before it.

        Raises:
            StoreUnavailable: no epoch has begun yet.
        """
        if not self.head.epoch:
            raise StoreUnavailable(_("the disk does not take anything yet"), _("make room on the card"))
        link = Link(self._box_id, self.head.epoch, self.head.seq + 1, self.head.hash)
        record, digest = sealed(link, fact)
        added = self.execute(
            "insert into records (epoch, seq, type, instrument_id, body, hash) values (?, ?, ?, ?, ?, ?)",
            (link.epoch, link.seq, fact.type.value, fact.instrument_id, canonical(record).decode(), digest),
        )
        self.head = Head(link.epoch, link.seq, digest)
        self.last_id = added.lastrowid or 0


class Store:
    """The writing side; one per state directory, shared by the agent's threads.

    On a card that takes nothing, because it is full or read-only, it stands open for reading: each write tries the card
    again.
    """

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
        self._next_epoch = str(uuid.uuid4())
        self._found: list[dict[str, object]] = []
        self._closed = False
        self._writable = False
        self.path = state_dir / FILE_NAME
        check_whose(state_dir, self.path)
        self._connection: sqlite3.Connection | None = self._opened()
        self._ballast.take()

    def find(self, data: dict[str, object]) -> None:
        """Say in the next epoch what was found when the database was opened (the data of a ``fault`` record)."""
        self._found.append(data)

    def begin_epoch(self, start: Start) -> str:
        """Begin a new epoch; its first record names the end of the one before it.

        A sequence number is thus never used twice, even by a card that was restored from an old image.
        """
        epoch = self._next_epoch
        data: dict[str, object] = {"agent_version": start.agent_version, "config_hash": start.config_hash}
        with self.write() as change:
            previous = change.execute("select epoch, seq, hash from records order by id desc limit 1").fetchone()
            if previous is not None:
                data |= dict(zip(("previous_epoch", "previous_seq", "previous_hash"), previous, strict=True))
            change.head = Head(epoch, 0, NO_HASH)
            added = change.execute(
                "insert into epochs (epoch, boot_id, started_ns, agent_version, config_hash) values (?, ?, ?, ?, ?)",
                (epoch, start.boot_id, start.at_ns, start.agent_version, start.config_hash),
            )
            change.execute(
                "update epochs set row_sum = ? where number = ?",
                (row_sum(added.lastrowid, epoch, start.boot_id, start.at_ns, None), added.lastrowid),
            )
            change.append(Fact(RecordType.EPOCH_STARTED, start.boot_id, start.at_ns, data))
            findings = change.execute("select data from findings order by id").fetchall()
            for found in [*(json.loads(text) for (text,) in findings), *self._found]:
                log.error("fault: %s", told(found))
                change.append(Fact(RecordType.FAULT, start.boot_id, start.at_ns, found))
            change.execute("delete from findings")
        self._next_epoch = str(uuid.uuid4())
        self._found.clear()
        return epoch

    @property
    def epoch(self) -> str:
        """The epoch that is being written, or will be as soon as it can begin."""
        return self._head.epoch or self._next_epoch

    @property
    def begun(self) -> bool:
        """Whether an epoch has begun; until then no fact can be kept."""
        return bool(self._head.epoch)

    def listen(self, event: threading.Event) -> None:
        """Set ``event`` whenever facts were appended."""
        self._listeners.append(event)

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Do one transaction, alone; it is on the disk when the block is left.

        Raises:
            StoreUnavailable: the disk or the database refused it; nothing of it was kept.
            sqlite3.Error: the statement is wrong; nothing of it was kept.
        """
        with self._lock:
            connection = self._usable(writing=True)
            change = Transaction(connection, self._box_id, self._head)
            try:
                connection.execute("begin immediate")
                yield change
                connection.execute("commit")
            except BROKEN as error:
                with suppress(sqlite3.Error):  # on a broken disk this fails too; SQLite has rolled back by itself then
                    connection.rollback()
                if our_mistake(error):
                    raise
                raise self._refused(error) from error
            except BaseException:
                connection.rollback()
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
            sqlite3.Error: the query is wrong.
        """
        with self._lock:
            connection = self._usable()
            try:
                return connection.execute(sql, parameters).fetchall()
            except BROKEN as error:
                if our_mistake(error):
                    raise
                raise self._refused(error) from error

    def note_damage(self, what: str) -> None:
        """Remember that the database is damaged: the agent ends, and its next start looks at every record.

        Not if the disk takes nothing: then no start could set the file aside, and watching goes on.
        """
        if self.damage or card.refusal(self._state_dir) is not None:
            return
        log.critical("%s", what)
        with suppress(OSError):
            (self._state_dir / SUSPECT_NAME).write_text(what, encoding="utf-8")
        self.damage = what

    def tend(self) -> bool:
        """Lay down the ballast again if it was given up and there is room; False if there is none."""
        return self._ballast.take()

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._closed = True
            if self._connection is not None:
                self._connection.close()

    def _opened(self) -> sqlite3.Connection:
        try:
            connection = writing(self.path)
        except BROKEN as error:
            refused = self._refused(error)
            found = None if isinstance(refused, StoreDamaged) else stand_in(self._state_dir, self.path)
            if found is None:
                raise refused from error
            return found
        self._writable = True
        return connection

    def _usable(self, *, writing: bool = False) -> sqlite3.Connection:
        """Return the connection; one that only reads is left for another as soon as the disk takes something."""
        if self._closed:
            raise StoreUnavailable(_("the database {path} is closed").format(path=self.path))
        if writing and not self._writable:
            refusal = card.refusal(self._state_dir)
            if refusal is not None:
                raise disk_fails(self._state_dir, refusal)
            if self._connection is not None:
                # SQLite would go on sharing what it has open for reading, and find that it cannot write.
                self._connection.close()
                self._connection = None
            self._connection = self._opened()
        if self._connection is None or (writing and not self._writable):
            raise StoreUnavailable(_("the database {path} cannot be opened").format(path=self.path), restart_hint())
        return self._connection

    def _refused(self, error: Broken) -> StoreUnavailable:
        found = unusable(self.path, error)
        refusal = card.refusal(self._state_dir)
        if refusal is not None and refusal.errno in card.FULL:
            self._ballast.release()
        elif refusal is not None:  # where reads fail with EIO, SQLite says that the database is malformed
            return disk_fails(self._state_dir, refusal)
        if isinstance(found, StoreDamaged):
            self.note_damage(str(found))
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
