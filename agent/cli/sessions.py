"""``instrument-agent sessions``: the run sessions in the local database."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from instrument_agent.buffer.books import anchors, run_records
from instrument_agent.buffer.boots import chronology
from instrument_agent.buffer.evidence import session_id
from instrument_agent.buffer.opening import look
from instrument_agent.cli import words
from instrument_agent.cli.options import as_csv, as_json, config_option, examples
from instrument_agent.core.anchors import Anchor, Quality
from instrument_agent.core.chronology import Chronology
from instrument_agent.core.errors import AgentError
from instrument_agent.core.readings import NS_PER_MS, NS_PER_S
from instrument_agent.i18n import _, ngettext

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
    "quality",
    "start_earliest",
    "start_latest",
    "end_earliest",
    "end_latest",
    "id",
)
NARROWEST, BETWEEN, WIDE = 7, 2, 1000
"""The narrowest column in which a title can be read, what lies between two, and where every table has room."""


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
    names = [item.id for item in config.instruments]
    if instrument is not None and instrument not in names:
        raise AgentError(
            _("there is no instrument {name} in {path}").format(name=instrument, path=config_path),
            _("it has: {names}").format(names=", ".join(names)),
        )
    zone = ZoneInfo(config.box.timezone)
    start, stop = _range(from_text, to_text, zone)
    reader = look(config.box.state_dir)
    known = anchors(reader)
    times = chronology(reader)
    ended = [session_row(record, times, zone) for record in run_records(reader, instrument)]
    reader.close()
    rows = list(_between(ended, start, stop))
    if form == "json":
        click.echo(as_json(rows))
    elif form == "csv":
        click.echo(as_csv(rows, COLUMNS))
    elif rows:
        _print_table(rows, config.box.timezone)
    else:
        click.echo(_("No run session in this range") if ended else _("No run session has ended yet"))
    _note_unknown_times(rows, known, ranged=start is not None or stop is not None)


def session_row(record: dict[str, Any], times: Chronology, zone: ZoneInfo) -> dict[str, Any]:
    """Return one session for people: local times (ISO 8601) and seconds.

    ``start`` and ``end`` stand where they are known to a minute; otherwise only the bounds do, as far as there are any.
    """
    data, boot_id = record["data"], record["boot_id"]
    row: dict[str, Any] = {"instrument_id": record["instrument_id"]}
    bounds: dict[str, Any] = {}
    moments = [times.moment(boot_id, data[f"{name}_ms"] * NS_PER_MS) for name in ("start", "end")]
    for name, moment in zip(("start", "end"), moments, strict=True):
        sure = moment.utc if moment.quality in {Quality.EXACT, Quality.GOOD} else None
        row[name] = sure and _local(sure.utc_ns, zone)
        bounds[f"{name}_earliest"] = _local(moment.earliest_ns, zone)
        # A run cut off by a power loss may have gone on unseen for a while.
        later_ns = data.get("end_uncertainty_ms", 0) * NS_PER_MS if name == "end" else 0
        latest_ns = None if moment.latest_ns is None else moment.latest_ns + later_ns
        bounds[f"{name}_latest"] = _local(latest_ns, zone, late=True)
    errors_ms = [moment.utc.in_ms()[1] for moment in moments if moment.utc is not None]
    return row | {
        "running_s": data["running_ms"] / 1000,
        "unseen_s": data["unseen_ms"] / 1000,
        "utc_error_s": max(errors_ms) / 1000 if len(errors_ms) == len(moments) else None,
        "boot_id": boot_id,
        "start_ms": data["start_ms"],
        "end_ms": data["end_ms"],
        "epoch": record["epoch"],
        "seq": record["seq"],
        "quality": max((moment.quality for moment in moments), key=list(Quality).index).value,
        **bounds,
        "id": session_id(record),
    }


def _local(utc_ns: int | None, zone: ZoneInfo, *, late: bool = False) -> str | None:
    """Return a moment in whole seconds; a late bound is rounded up, so that it stays one."""
    if utc_ns is None:
        return None
    seconds = -(-utc_ns // NS_PER_S) if late else utc_ns // NS_PER_S
    return (datetime.fromtimestamp(0, tz=UTC) + timedelta(seconds=seconds)).astimezone(zone).isoformat()


def _range(from_text: str | None, to_text: str | None, zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
    start, stop = _moment(from_text, zone), _moment(to_text, zone)
    if start is not None and stop is not None and start > stop:
        raise AgentError(
            _("--from {start} is later than --to {stop}").format(start=from_text, stop=to_text),
            _("give the earlier time to --from"),
        )
    return start, stop


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
    """Leave out runs outside the window; a run of which that is not certain stays."""
    for row in rows:
        ended, began = row["end"] or row["end_latest"], row["start"] or row["start_earliest"]
        if ended is not None and start is not None and datetime.fromisoformat(ended) <= start:
            continue
        if began is not None and stop is not None and datetime.fromisoformat(began) >= stop:
            continue
        yield row


def _note_unknown_times(rows: Sequence[dict[str, Any]], known: Sequence[Anchor], *, ranged: bool) -> None:
    """Say on stderr, beside whatever is printed, why times are missing."""
    count = sum(row["start"] is None or row["end"] is None for row in rows)
    if not count:
        return
    if not known:
        click.echo(
            _("note: times are not known yet: neither a platform nor a time server has told this box what time it is"),
            err=True,
        )
    else:
        note = ngettext(
            "note: the times of {count} run are known only between bounds: while it was switched on the box did not"
            " learn the time, or what it was told does not agree",
            "note: the times of {count} runs are known only between bounds: while it was switched on the box did not"
            " learn the time, or what it was told does not agree",
            count,
        )
        click.echo(note.format(count=count), err=True)
    if ranged:
        click.echo(_("note: runs whose time is not known are shown if they may lie between --from and --to"), err=True)


def _print_table(rows: Sequence[dict[str, Any]], zone: str) -> None:
    from rich.cells import cell_len
    from rich.console import Console

    table = words.plain_table(
        _("instrument"), _("start"), _("end"), _("running time"), _("unobserved"), _("clock error"), _("id")
    )
    table.title = _("Run sessions, times of {zone}").format(zone=zone)
    for row in rows:
        known = row["start"] is not None and row["end"] is not None
        error = f"± {ceil(row['utc_error_s'])} s" if known else words.NOTHING
        table.add_row(
            row["instrument_id"],
            _shown(row, "start"),
            _shown_end(row),
            words.duration(round(row["running_s"] * 1000)),
            words.duration(round(row["unseen_s"] * 1000)),
            error,
            row["id"],
        )
    width = Console().width
    if width < Console(width=WIDE).measure(table).maximum:
        # A time, a figure or an id that is broken in two is worse than a line that is too long; a title is not.
        for column in table.columns[1:]:
            lines = [line for cell in column.cells for line in str(cell).split("\n")]
            column.width = max([NARROWEST, *map(cell_len, lines)])
        width = max(width, sum((column.width or NARROWEST) + BETWEEN for column in table.columns))
    Console(width=width).print(table)


def _shown(row: dict[str, Any], name: str) -> str:
    """Return a time, or else its bounds, one below the other."""
    if row[name] is not None:
        return _plain(row[name])
    bounds = (("\N{GREATER-THAN OR EQUAL TO}", f"{name}_earliest"), ("\N{LESS-THAN OR EQUAL TO}", f"{name}_latest"))
    return "\n".join(f"{sign} {_plain(row[key])}" for sign, key in bounds if row[key] is not None) or words.NOTHING


def _shown_end(row: dict[str, Any]) -> str:
    """Return the end; of the day on which it began only its time, so that a line of 80 columns holds everything."""
    whole, began = _shown(row, "end"), _shown(row, "start")
    same = row["start"] is not None and row["end"] is not None and whole[:10] == began[:10]
    return whole[11:] if same else whole


def _plain(moment: str) -> str:
    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M:%S}"
