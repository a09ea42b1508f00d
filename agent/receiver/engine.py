"""Reaches the platform's database: SQLite, or PostgreSQL with the extra ``postgres``."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, inspect, make_url, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from instrument_agent.receiver.tables import LAYOUT, layout, metadata, records

WRITES = "instrument_agent_writes"
"""Execution option of the engine whose transactions write."""

_BUSY_S = 10  # well inside the 30 s a box gives one exchange
_CONNECTIONS = 40  # as many as there are threads that answer


def open_engine(url: str) -> Engine:
    """Return an engine on the database at ``url`` (SQLAlchemy); a SQLite one must be a file.

    Raises:
        ValueError: another kind of database, or a SQLite one in memory, which each thread would have for itself.
        sqlalchemy.exc.ArgumentError: this is no URL.
        ModuleNotFoundError: the driver of this kind of database is not installed.
    """
    target = make_url(url)
    if target.get_backend_name() == "postgresql":
        target = target.set(drivername="postgresql+psycopg")
        waits = {"options": f"-c lock_timeout={_BUSY_S}s -c statement_timeout={2 * _BUSY_S}s"}
        return create_engine(target, connect_args=waits, pool_size=5, max_overflow=_CONNECTIONS - 5, pool_pre_ping=True)
    if target.get_backend_name() != "sqlite":
        raise ValueError("the ledger is kept in SQLite or PostgreSQL")
    if not target.database or target.database == ":memory:":
        raise ValueError("the ledger needs a file, not a database in memory")
    _make_private(Path(target.database))
    engine = create_engine(target, connect_args={"timeout": float(_BUSY_S)})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _make_private(file: Path) -> None:
    """Make a file its owner's only: the platform's key lies in it. SQLite's log beside it gets the same mode."""
    with suppress(OSError):  # somebody else's, or one that SQLite cannot open either and says so
        os.close(os.open(file, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        file.chmod(0o600)


def writing(engine: Engine) -> Engine:
    """Return the same engine for transactions that write."""
    return engine.execution_options(**{WRITES: True})


def laid_out(url: str) -> Engine:
    """Return an engine on the database at ``url``, with its tables, which are made where there are none.

    Raises:
        ValueError: another version of this software made them in another way; and what ``open_engine`` raises.
    """
    engine = open_engine(url)
    try:
        _lay_out(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _lay_out(engine: Engine) -> None:
    with writing(engine).begin() as connection:
        found: Sequence[int] = []
        if inspect(connection).has_table(records.name):
            found = connection.execute(select(layout.c.version)).scalars().all() if _has_layout(connection) else [0]
        if found not in ([], [LAYOUT]):
            raise ValueError(f"another version of the platform laid out this database ({found[0]}, not {LAYOUT})")
        metadata.create_all(connection)
        enter(connection, layout, {"version": LAYOUT})


def _has_layout(connection: Connection) -> bool:
    return inspect(connection).has_table(layout.name)


def enter(connection: Connection, table: Table, row: Mapping[str, Any]) -> None:
    """Insert a row unless its key is there already, also when another connection is inserting it right now."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(dialect.insert(table).values(**row).on_conflict_do_nothing())


def locked(connection: Connection, table: Table, row: Mapping[str, Any], key: str) -> Any:
    """Return the row whose ``key`` is that of ``row``, entered if need be, and hold it to the end of the transaction.

    SQLite holds its one writer anyway.
    """
    enter(connection, table, row)
    mine = table.c[key] == row[key]
    return connection.execute(select(table).where(mine).with_for_update()).one()


def _prepare_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # Without this, sqlite3 itself decides when a transaction begins, and begins a deferred one.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    # A box forgets what was acknowledged: what we say we have must survive a power cut.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A deferred transaction that reads and then writes fails at once when another writer came in between.
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
