"""The tables of the platform's ledger, and the engine that reaches them."""

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

WRITES = "instrument_agent_writes"
"""Execution option of the engine whose transactions write."""

_BUSY_S = 10.0  # well inside the 30 s a box gives one exchange

metadata = MetaData()

# The id is the order in which epochs were first heard of.
epochs = Table(
    "epochs",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("box_id", String(64), nullable=False),
    Column("epoch", String(36), nullable=False),
    Column("acked_through", BigInteger, nullable=False),
    UniqueConstraint("box_id", "epoch"),
    sqlite_autoincrement=True,
)

# `body` is the canonical JSON whose SHA-256 is `hash`; `utc` is what the sender added outside the hash.
records = Table(
    "records",
    metadata,
    Column("epoch_id", ForeignKey("epochs.id"), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", String(64), nullable=False),
    Column("type", String(64), nullable=False),
    Column("body", Text, nullable=False),
    Column("utc", Text),
)

rejections = Table(
    "rejections",
    metadata,
    Column("epoch_id", ForeignKey("epochs.id"), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", String(64), primary_key=True),
    Column("reason", Text, nullable=False),
)

heartbeats = Table(
    "heartbeats",
    metadata,
    Column("box_id", String(64), primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("received_ns", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
)


def open_engine(url: str) -> Engine:
    """Return an engine on the database at ``url`` (SQLAlchemy); a SQLite one must be a file.

    Raises:
        ValueError: a SQLite database in memory, which each thread would have for itself.
    """
    target = make_url(url)
    if target.get_backend_name() != "sqlite":
        return create_engine(target)
    if target.database in (None, "", ":memory:"):
        raise ValueError("the ledger needs a file, not a database in memory")
    engine = create_engine(target, connect_args={"timeout": _BUSY_S})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


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
