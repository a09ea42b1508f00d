"""``instrument-agent sessions``: the run sessions in the local database."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from instrument_agent.buffer.books import anchors, run_records
from instrument_agent.buffer.reader import Reader
from instrument_agent.cli import words
from instrument_agent.cli.options import as_csv, as_json, config_option, examples
from instrument_agent.core.anchors import Anchor, utc_of
from instrument_agent.core.errors import AgentError
from instrument_agent.core.readings import NS_PER_MS
from instrument_agent.i18n import _

COLUMNS = (
    "instrument_id",
    "start",
    "end",
    "running_s",
    "unseen_s",
    "utc_error_s",
    "boot_id",
    "start_ms",
    "end_ms",
    "epoch",
    "seq",
)


@click.command(
    help=_("List run sessions, oldest first."),
    epilog=examples("sessions --instrument xrd-1 --from 2026-11-01 --format csv"),
)
@config_option
@click.option("--instrument", help=_("only this instrument"))
@click.option("--from", "from_text", help=_("only runs that end after this local time, e.g. 2026-11-01T08:00"))
@click.option("--to", "to_text", help=_("only runs that begin before this local time"))
@click.option("--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True)
def sessions(config_path: Path, instrument: str | None, from_text: str | None, to_text: str | None, form: str) -> None:
    """Print the sessions, with local times where this box has learned the time."""
    from instrument_agent.config import load_config

    config = load_config(config_path)
    known = [item.id for item in config.instruments]
    if instrument is not None and instrument not in known:
        raise AgentError(
            _("there is no instrument {name} in {path}").format(name=instrument, path=config_path),
            _("it has: {names}").format(names=", ".join(known)),
        )
    zone = ZoneInfo(config.box.timezone)
    reader = Reader(config.box.state_dir)
    rows = [session_row(record, anchors(reader), zone) for record in run_records(reader, instrument)]
    reader.close()
    rows = list(_between(rows, _moment(from_text, zone), _moment(to_text, zone)))
    if form == "json":
        click.echo(as_json(rows))
    elif form == "csv":
        click.echo(as_csv(rows, COLUMNS))
    else:
        _print_table(rows)


def session_row(record: dict[str, Any], known: Iterable[Anchor], zone: ZoneInfo) -> dict[str, Any]:
    """Return one session for people: local times (ISO 8601) and seconds; no times where UTC is not known."""
    data = record["data"]
    row: dict[str, Any] = {"instrument_id": record["instrument_id"]}
    error_ns = 0
    for name in ("start", "end"):
        utc = utc_of(known, record["boot_id"], data[f"{name}_ms"] * NS_PER_MS)
        row[name] = utc and datetime.fromtimestamp(utc.utc_ns / 1e9, tz=zone).isoformat(timespec="seconds")
        error_ns = max(error_ns, utc.error_ns) if utc else error_ns
    return row | {
        "running_s": data["running_ms"] / 1000,
        "unseen_s": data["unseen_ms"] / 1000,
        "utc_error_s": round(error_ns / 1e9, 3) if row["end"] else None,
        "boot_id": record["boot_id"],
        "start_ms": data["start_ms"],
        "end_ms": data["end_ms"],
        "epoch": record["epoch"],
        "seq": record["seq"],
    }


def _moment(text: str | None, zone: ZoneInfo) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise AgentError(
            _("{text} is no time").format(text=text), _("write it like 2026-11-01 or 2026-11-01T08:00")
        ) from None
    return moment.replace(tzinfo=zone) if moment.tzinfo is None else moment


def _between(rows: Iterable[dict[str, Any]], start: datetime | None, stop: datetime | None) -> Iterable[dict[str, Any]]:
    """Leave out runs outside the window; a run whose time is not known is never left out."""
    for row in rows:
        if row["end"] is not None and start is not None and datetime.fromisoformat(row["end"]) <= start:
            continue
        if row["start"] is not None and stop is not None and datetime.fromisoformat(row["start"]) >= stop:
            continue
        yield row


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=_("Run sessions"))
    for title in (_("instrument"), _("start"), _("end"), _("running time"), _("unobserved"), _("clock error")):
        table.add_column(title)
    for row in rows:
        error = words.NOTHING if row["utc_error_s"] is None else f"± {row['utc_error_s']:.0f} s"
        table.add_row(
            row["instrument_id"],
            row["start"] or words.NOTHING,
            row["end"] or words.NOTHING,
            words.duration(round(row["running_s"] * 1000)),
            words.duration(round(row["unseen_s"] * 1000)),
            error,
        )
    Console().print(table if rows else _("no run session has ended yet"))
