"""The tables of the platform, in SQLite or PostgreSQL."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

LAYOUT = 1
"""Counts up with every change of a table: another layout is refused, not guessed at. A table that is new is added."""

metadata = MetaData()

layout = Table("layout", metadata, Column("version", Integer, primary_key=True, autoincrement=False))

# One row for each box: whoever writes for a box locks it first.
boxes = Table("boxes", metadata, Column("box_id", String(64), primary_key=True))

# The id is the order in which epochs were first heard of. `previous_…` is what the first record says.
epochs = Table(
    "epochs",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("box_id", ForeignKey("boxes.box_id"), nullable=False),
    Column("epoch", String(36), nullable=False),
    Column("acked_through", BigInteger, nullable=False),
    Column("previous_epoch", String(36)),
    Column("previous_seq", BigInteger),
    Column("previous_hash", String(64)),
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
    Column("prev_hash", String(64), nullable=False),
    Column("type", String(64), nullable=False),
    Column("instrument_id", Text),
    Column("body", Text, nullable=False),
    Column("utc", Text),
    Index("records_of_instrument", "instrument_id", "type"),
    Index("records_of_type", "type"),
)

rejections = Table(
    "rejections",
    metadata,
    Column("epoch_id", ForeignKey("epochs.id"), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", String(64), primary_key=True),
    Column("reason", Text, nullable=False),
)

# What does not fit, noticed when it came in; the rest is worked out when it is asked for (oddities.py).
broken_links = Table(
    "broken_links",
    metadata,
    Column("epoch_id", ForeignKey("epochs.id"), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
)

heartbeats = Table(
    "heartbeats",
    metadata,
    Column("box_id", String(64), primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("received_ns", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Column("boot_id", String(36), nullable=False),
    Column("comebacks", Integer, nullable=False),
)

# The boots a box was heard in before the present one: one that comes back belongs to a second box.
boots_left = Table(
    "boots_left",
    metadata,
    Column("box_id", String(64), primary_key=True),
    Column("boot_id", String(36), primary_key=True),
)

# What heartbeats said of an instrument, by the platform's clock: one row for each change.
sights = Table(
    "sights",
    metadata,
    Column("box_id", String(64), primary_key=True),
    Column("instrument_id", String(128), primary_key=True),
    Column("boot_id", String(36), primary_key=True),
    Column("since_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("activity", String(16), primary_key=True),
    Column("start_utc_ms", BigInteger, nullable=False),
    Column("end_utc_ms", BigInteger, nullable=False),
)

# Codes and credentials are kept as SHA-256: both are random enough that nothing more is needed.
codes = Table(
    "codes",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("code_hash", String(64), nullable=False, unique=True),
    Column("begins", String(4), nullable=False),
    Column("box_id", String(64)),
    Column("expires_ns", BigInteger, nullable=False),
    Column("used_by", String(64)),
    Column("revoked", Integer, nullable=False),
    sqlite_autoincrement=True,
)

REVOKED = ""
"""What no token hashes to: the credential of a box that is let in no more."""
credentials = Table(
    "credentials",
    metadata,
    Column("box_id", String(64), primary_key=True),
    Column("token_hash", String(64), nullable=False),
    Column("public_key", String(44), nullable=False),
    Column("code_id", ForeignKey("codes.id"), nullable=False),
    Column("borne", Integer, nullable=False),
)

# Every key a box ever had, the newest last; `used` once something was signed with it.
box_keys = Table(
    "box_keys",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("box_id", String(64), nullable=False, index=True),
    Column("public_key", String(44), nullable=False),
    Column("since_ns", BigInteger, nullable=False),
    Column("used", Integer, nullable=False),
    sqlite_autoincrement=True,
)

# With it receipts are signed: whoever may read this database, or a copy of it, could sign some too.
platform_key = Table(
    "platform_key",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("private_key", String(44), nullable=False),
)
