"""Facts to store, and what a database holds when it is looked at from outside."""

import json
import sqlite3
from pathlib import Path
from typing import Any

from instrument_agent.buffer.reader import FILE_NAME
from instrument_agent.buffer.store import Start, Store
from instrument_agent.core.canonical import NO_HASH, canonical, record_hash
from instrument_agent.core.readings import NS_PER_S
from instrument_agent.core.records import Fact, RecordType

BOOT = "11111111-1111-4111-8111-111111111111"


def start(at_s: int = 1, boot_id: str = BOOT) -> Start:
    return Start(boot_id, at_s * NS_PER_S, "0.1.0", "c0ffee")


def opened(state_dir: Path) -> Store:
    """Open a store and begin an epoch, as the agent does at every start."""
    store = Store(state_dir, "box-1")
    store.begin_epoch(start())
    return store


def fault(number: int, instrument_id: str | None = None) -> Fact:
    return Fact(RecordType.FAULT, BOOT, number * NS_PER_S, {"number": number}, instrument_id)


def append(store: Store, *numbers: int) -> None:
    with store.write() as change:
        for number in numbers:
            change.append(fault(number))


def refuse(store: Store, table: str | None) -> None:
    """Have SQLite refuse to change a table in the middle of a transaction; None: no longer."""

    def authorize(action: int, name: str | None, *_more: str | None) -> int:
        changes = action in (sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE)
        return sqlite3.SQLITE_DENY if changes and name == table else sqlite3.SQLITE_OK

    store._connection.set_authorizer(authorize if table else None)


def on_disk(state_dir: Path, sql: str) -> list[tuple[Any, ...]]:
    """Ask the file itself, through a connection that has nothing to do with ours."""
    connection = sqlite3.connect(state_dir / FILE_NAME)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def verified_chain(state_dir: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the records of each epoch after checking their numbers, their hashes and their links."""
    epochs: dict[str, list[dict[str, Any]]] = {}
    last: dict[str, str] = {}
    for epoch, seq, body, digest in on_disk(state_dir, "select epoch, seq, body, hash from records order by id"):
        record = json.loads(body)
        known = epochs.setdefault(epoch, [])
        assert canonical(record).decode() == body
        assert record_hash(record) == digest
        assert (record["epoch"], record["seq"]) == (epoch, seq)
        assert seq == len(known) + 1
        assert record["prev_hash"] == last.get(epoch, NO_HASH)
        known.append(record)
        last[epoch] = digest
    return epochs
