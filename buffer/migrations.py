"""The schema, step by step; a step that has shipped is never edited."""

import sqlite3
from pathlib import Path

import sqlite_utils
from sqlite_utils.migrations import Migrations

from instrument_agent.buffer.reader import Readable, damaged
from instrument_agent.core.errors import StoreUnavailable
from instrument_agent.core.rowsum import row_sum
from instrument_agent.i18n import _

migrations = Migrations("instrument_agent")

LIST = migrations.migrations_table
LISTED = {"migration_set", "name", "applied_at"}
"""The columns of the list of steps, which sqlite-utils reads by name."""
OURS = {
    "epochs": {"epoch", "boot_id", "started_ns"},
    "records": {"epoch", "seq", "body", "hash"},
    "checkpoints": {"instrument_id", "body", "sha256"},
}
"""Tables and columns that show a database to be ours; the names of the tables alone are anybody's."""
Summed = dict[str, tuple[str, ...]]
"""Which columns the checksum of a row is made of, by table."""

SUMMED_FIRST: Summed = {
    "intervals": ("instrument_id", "boot_id", "start_ns", "end_ns", "activity", "reason"),
    "anchors": ("boot_id", "boottime_ns", "utc_ns", "error_ns", "source"),
    "destinations": ("name", "acked_id"),
}
SUMMED_DAYS: Summed = {
    "epochs": ("number", "epoch", "boot_id", "started_ns", "stopped_ns"),
    "days": ("instrument_id", "next_day", "first_epoch_number", "days_not_powered", "unknown_days"),
    "midnights": ("boot_id", "utc_ns", "boottime_ns", "after_id"),
}


@migrations()
def m001_log(db: sqlite_utils.Database) -> None:
    """Create the log of records and what each destination has of it."""
    db.table("epochs").create(
        {
            "number": int,
            "epoch": str,
            "boot_id": str,
            "started_ns": int,
            "stopped_ns": int,
            "agent_version": str,
            "config_hash": str,
        },
        pk="number",
        not_null={"epoch", "boot_id", "started_ns"},
    )
    db.table("epochs").create_index(["epoch"], unique=True)
    # The log position `id` orders records over all epochs; a destination's watermark is one such position.
    db.table("records").create(
        {"id": int, "epoch": str, "seq": int, "type": str, "instrument_id": str, "body": str, "hash": str},
        pk="id",
        not_null={"epoch", "seq", "type", "body", "hash"},
    )
    db.table("records").create_index(["epoch", "seq"], unique=True)
    db.table("records").create_index(["type", "instrument_id"])
    db.table("destinations").create(
        {"name": str, "acked_id": int, "acked_boot_id": str, "acked_at_ns": int}, pk="name", not_null={"acked_id"}
    )
    db.table("dead_letters").create(
        {"destination": str, "record_id": int, "reason": str},
        pk=("destination", "record_id"),
        not_null={"reason"},
    )


@migrations()
def m002_books(db: sqlite_utils.Database) -> None:
    """Create the books of the instruments and what they are resumed from."""
    db.table("intervals").create(
        {"instrument_id": str, "boot_id": str, "start_ns": int, "end_ns": int, "activity": str, "reason": str},
        pk=("instrument_id", "boot_id", "start_ns"),
        not_null={"end_ns", "activity"},
    )
    db.table("checkpoints").create({"instrument_id": str, "body": str, "sha256": str}, pk="instrument_id")
    db.table("configured").create({"instrument_id": str, "data": str}, pk="instrument_id")
    db.table("anchors").create(
        {"boot_id": str, "boottime_ns": int, "utc_ns": int, "error_ns": int, "source": str},
        pk=("boot_id", "boottime_ns", "source"),
    )


@migrations()
def m003_days(db: sqlite_utils.Database) -> None:
    """Create what calendar days are counted from: the next day of each instrument, and midnights on boot clocks."""
    db.table("days").create(
        {
            "instrument_id": str,
            "next_day": str,
            "first_epoch_number": int,
            "days_not_powered": int,
            "unknown_days": int,
        },
        pk="instrument_id",
        not_null={"next_day", "first_epoch_number", "days_not_powered", "unknown_days"},
    )
    db.table("midnights").create(
        {"boot_id": str, "utc_ns": int, "boottime_ns": int},
        pk=("boot_id", "utc_ns"),
        not_null={"boottime_ns"},
    )


@migrations()
def m004_checksums_and_roots(db: sqlite_utils.Database) -> None:
    """Give intervals, anchors and watermarks a checksum; keep what verification starts from, and what was found."""
    _sum_rows(db, SUMMED_FIRST)
    db.table("roots").create(
        {"epoch": str, "seq": int, "hash": str, "row_sum": str}, pk="epoch", not_null={"seq", "hash"}
    )
    # What was found when the database was opened, until the epoch begins in which it is said.
    db.table("findings").create({"id": int, "data": str}, pk="id", not_null={"data"})


@migrations()
def m005_checksums_of_days(db: sqlite_utils.Database) -> None:
    """Give epochs, days and midnights a checksum too; a midnight says how long the log was when it was put down."""
    db.table("midnights").add_column("after_id", int, not_null_default=0)
    _sum_rows(db, SUMMED_DAYS)


@migrations()
def m006_traces(db: sqlite_utils.Database) -> None:
    """Create the recent traces: ten-second buckets, and every reading around the edges of runs.

    Without an index: a row is put at the end of its table, and that is all a checkpoint writes of it.
    """
    for table in ("buckets", "edges"):
        db.table(table).create(
            {"id": int, "instrument_id": str, "boot_id": str, "start_ms": int, "end_ms": int, "body": bytes},
            pk="id",
            not_null={"instrument_id", "boot_id", "start_ms", "end_ms", "body"},
        )


@migrations()
def m007_proofs_and_repetitions(db: sqlite_utils.Database) -> None:
    """Keep the newest signed head and receipt of each epoch, and what is to be sent once more."""
    db.table("proofs").create(
        {
            "destination": str,
            "epoch": str,
            "seq": int,
            "head_hash": str,
            "signature": str,
            "public_key": str,
            "receipt": str,
            "platform_key": str,
        },
        pk=("destination", "epoch"),
        not_null={"seq", "head_hash", "signature", "public_key", "platform_key"},
    )
    db.table("repetitions").create({"destination": str, "record_id": int}, pk=("destination", "record_id"))


def _sum_rows(db: sqlite_utils.Database, summed: Summed) -> None:
    for table, columns in summed.items():
        db.table(table).add_column("row_sum", str)
        for rowid, *values in db.execute(f"select rowid, {', '.join(columns)} from {table}").fetchall():  # noqa: S608
            db.execute(f"update {table} set row_sum = ? where rowid = ?", (row_sum(*values), rowid))  # noqa: S608


def up_to_date(connection: sqlite3.Connection) -> bool:
    """Say whether every step of the schema was taken.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    taken = connection.execute(f"select count(*) from {LIST} where migration_set = ?", (migrations.name,))  # noqa: S608
    steps = len(migrations.pending(sqlite_utils.Database(memory=True)))
    return bool(taken.fetchone()[0] == steps)


def refuse_strange(source: Readable, path: Path) -> None:
    """Refuse a database that is somebody else's or was written by a newer agent.

    Raises:
        StoreUnavailable: it is one of these, and is to be left as it is.
        StoreDamaged: it is ours, but the list of its schema steps is not as it was written.
    """
    tables, known, applied = _tables(source), _known(), _applied(source)
    ours = bool(applied) or any(columns <= _columns(source, table) for table, columns in OURS.items())
    if tables and not ours:
        raise StoreUnavailable(
            _("{path} is a database, but not one of this agent").format(path=path),
            _("set box.state_dir to a directory of the agent's own; this file is left as it is"),
        )
    if set(known) < set(applied):
        raise StoreUnavailable(
            _("{path} was written by a newer version of the agent").format(path=path),
            _("install that version or a later one; the file is left as it is"),
        )
    if tables and (applied != known[: len(applied) or 1] or LISTED - _columns(source, LIST)):
        raise damaged(_("its list of schema steps"))


def refuse_unready(source: Readable, path: Path) -> None:
    """Refuse a database of ours that an agent of this version must have opened before anything can be read in it.

    Raises:
        StoreUnavailable: it is empty, or an older version wrote it.
        StoreDamaged: a table is missing.
    """
    if not _tables(source):
        raise StoreUnavailable(
            _("{path} is empty: it is not a database of this agent yet").format(path=path),
            _("start the agent: it fills it, and says if anything was lost; if this is a copy, take another one"),
        )
    if _applied(source) != _known():
        raise StoreUnavailable(
            _("{path} was written by an older version of the agent").format(path=path),
            _("start this version once: it brings the file up to date"),
        )
    for table in sorted(_made() - _tables(source)):
        raise damaged(_("its table {name} is gone").format(name=table))


def _tables(source: Readable) -> set[str]:
    return {name for (name,) in source.rows("select name from sqlite_master where type = 'table'")} - {LIST}


def _columns(source: Readable, table: str) -> set[str]:
    return {name for (name,) in source.rows("select name from pragma_table_info(?)", (table,))}


def _known() -> list[str]:
    return [step.name for step in migrations.pending(sqlite_utils.Database(memory=True))]


def _made() -> set[str]:
    """Return the tables that all steps make."""
    db = sqlite_utils.Database(memory=True)
    migrations.apply(db)
    return set(db.table_names()) - {LIST}


def _applied(source: Readable) -> list[str]:
    """Return the steps that were taken; none if the list of them is not as sqlite-utils makes it."""
    if not {"migration_set", "name"} <= _columns(source, LIST):
        return []
    listed = f"select name from {LIST} where migration_set = ? order by name"  # noqa: S608  # a constant
    return [name for (name,) in source.rows(listed, (migrations.name,))]
