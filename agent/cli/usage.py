"""``instrument-agent usage``: hours by calendar day or month, as the daily summaries have them."""

from calendar import monthrange
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import click

from instrument_agent.buffer.calendar_days import daily_summaries
from instrument_agent.buffer.opening import look
from instrument_agent.cli import words
from instrument_agent.cli.options import as_csv, as_json, config_option, examples
from instrument_agent.core.errors import AgentError
from instrument_agent.i18n import _

COUNTED = ("length", "running", "standby", "powered", "off", "unknown", "clock_residual")
COLUMNS = (
    "instrument_id",
    "period",
    "days",
    "period_days",
    *(f"{name}_s" for name in COUNTED),
    "coverage",
    "days_not_powered",
    "unknown_days",
    "idle_level",
)


@click.command(
    help=_("Print powered, running, standby, off and unknown time by day or month, with coverage."),
    epilog=examples("usage --month", "usage --from 2026-11-01 --to 2026-11-30 --format csv"),
)
@config_option
@click.option("--instrument", help=_("only this instrument"))
@click.option("--day/--month", "by_day", default=True, help=_("one line a day (default) or a month"))
@click.option("--from", "first", help=_("first day, e.g. 2026-11-01"))
@click.option("--to", "last", help=_("last day"))
@click.option("--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True)
def usage(
    config_path: Path, instrument: str | None, by_day: bool, first: str | None, last: str | None, form: str
) -> None:
    """Print the days that are closed; a day is closed once its end is known to a minute."""
    from instrument_agent.config import load_config

    config = load_config(config_path)
    names = [item.id for item in config.instruments]
    start, stop = _day(first) or date.min, _day(last) or date.max
    if start > stop:
        raise AgentError(_("the first day is after the last"), _("swap --from and --to"))
    reader = look(config.box.state_dir)
    days = [record for record in daily_summaries(reader, instrument) if start <= _day_of(record) <= stop]
    reader.close()
    if instrument is not None and not days and instrument not in names:
        raise AgentError(
            _("there is no instrument {name} in {path}").format(name=instrument, path=config_path),
            _("it has: {names}").format(names=", ".join(names)),
        )
    rows = list(usage_rows(days, (start, stop), by_day=by_day))
    if form == "json":
        click.echo(as_json(rows))
    elif form == "csv":
        click.echo(as_csv(rows, COLUMNS))
    else:
        _print_table(rows, by_day=by_day)
        _say_what_is_missing(days, stop, names if instrument is None else [instrument])


def usage_rows(days: Iterable[dict[str, Any]], asked: tuple[date, date], *, by_day: bool) -> Iterable[dict[str, Any]]:
    """Yield a row for each instrument and period, in seconds; the idle streak is that of its last day.

    ``period_days`` is how many days the period has within the first and last day that were ``asked`` for: of those
    that are not among ``days``, the row says nothing.
    """
    periods: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for record in days:
        period = record["data"]["day"] if by_day else record["data"]["day"][:7]
        periods.setdefault((record["instrument_id"], period), []).append(record["data"])
    for (instrument_id, period), members in sorted(periods.items()):
        sums_ms = {name: sum(data[f"{name}_ms"] for data in members) for name in COUNTED}
        yield {
            "instrument_id": instrument_id,
            "period": period,
            "days": len(members),
            "period_days": 1 if by_day else _days_of_month(period, asked),
            **{f"{name}_s": milliseconds / 1000 for name, milliseconds in sums_ms.items()},
            "coverage": round(1 - sums_ms["unknown"] / sums_ms["length"], 6),
            **{key: members[-1][key] for key in ("days_not_powered", "unknown_days", "idle_level")},
        }


def _days_of_month(month: str, asked: tuple[date, date]) -> int:
    first = date.fromisoformat(f"{month}-01")
    last = first.replace(day=monthrange(first.year, first.month)[1])
    return (min(last, asked[1]) - max(first, asked[0])).days + 1


def _say_what_is_missing(days: Iterable[dict[str, Any]], stop: date, names: Sequence[str]) -> None:
    """Say up to which day each instrument is counted, unless that is all that was asked for."""
    last = {record["instrument_id"]: _day_of(record) for record in days}  # they come in their order
    by_day: dict[date | None, list[str]] = {}
    for name in sorted({*names, *last}):
        by_day.setdefault(last.get(name), []).append(name)
    nothing = by_day.pop(None, None) if last else None
    if nothing:
        click.echo(_("{names}: no day in this range is closed").format(names=", ".join(nothing)), err=True)
    for day, counted in by_day.items():
        if day is not None and day < stop:
            sentence = _("{names}: counted through {day}; what came after it is in none of these figures")
            click.echo(sentence.format(names=", ".join(counted), day=day), err=True)


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise AgentError(_("{text} is no day").format(text=text), _("write it like 2026-11-01")) from None


def _day_of(record: dict[str, Any]) -> date:
    return date.fromisoformat(record["data"]["day"])


def _print_table(rows: Sequence[dict[str, Any]], *, by_day: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    if not rows:
        click.echo(_("No day has been closed yet in this range; a day is closed when it is over and the time is known"))
        return
    table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0), pad_edge=False)
    for title in (_("instrument"), _("period")):
        table.add_column(title, no_wrap=True)
    if not by_day:
        table.add_column(_("days"), justify="right", no_wrap=True)
    for title in (_("powered"), _("running"), _("standby"), _("off"), _("unknown"), _("coverage"), _("idle days")):
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        spent = (_hours(row[f"{name}_s"]) for name in ("powered", "running", "standby", "off", "unknown"))
        days = [] if by_day else [f"{row['days']}/{row['period_days']}"]
        table.add_row(row["instrument_id"], row["period"], *days, *spent, words.percent(row["coverage"]), _idle(row))
    # A figure that is cut off is worse than a line that is too long; nothing cuts what goes into a file.
    needed = Console(width=1000).measure(table).maximum
    Console(width=max(Console().width, needed)).print(table)
    click.echo(_("Hours and minutes; to the millisecond, with the clock residual of each day: --format csv"), err=True)


def _hours(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60}:{minutes % 60:02d}"


def _idle(row: dict[str, Any]) -> str:
    """Return the streak of days not powered, the unknown days beside it, and its level, as in 34 +1? L1."""
    unknown = f" +{row['unknown_days']}?" if row["unknown_days"] else ""
    level = f" L{row['idle_level']}" if row["idle_level"] else ""
    return f"{row['days_not_powered']}{unknown}{level}"
