"""The schema, step by step; a step that has shipped is never edited."""

import sqlite_utils
from sqlite_utils.migrations import Migrations

migrations = Migrations("instrument_agent")


@migrations()
def m001_first_schema(db: sqlite_utils.Database) -> None:
    """Create the log of records and everything the agent resumes from."""
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
