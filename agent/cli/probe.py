"""``instrument-agent probe``: what instruments show right now."""

import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from instrument_agent.cli import words
from instrument_agent.cli.at_terminal import quiet_log, until_interrupted
from instrument_agent.cli.options import as_json, config_option, examples
from instrument_agent.i18n import _

if TYPE_CHECKING:
    from rich.console import RenderableType

    from instrument_agent.field.seen import Seen

SHORTEST_PERIOD_S = 0.5


@click.command(
    help=_("Show live readings of one instrument, or of all: units, smallest and greatest, and raw registers."),
    epilog=examples("probe", "probe xrd-1 --raw", "probe xrd-1 --once --json"),
)
@click.argument("instrument", required=False)
@config_option
@click.option("--raw", is_flag=True, help=_("show the registers as they were read from the meter"))
@click.option("--once", is_flag=True, help=_("read once and end; exit status 1 if a device did not answer"))
@click.option("--json", "json_wanted", is_flag=True, help=_("read once and print one JSON object"))
def probe(instrument: str | None, config_path: Path, raw: bool, once: bool, json_wanted: bool) -> None:
    """Look until Ctrl-C, or once."""
    from instrument_agent.clock import SystemClock
    from instrument_agent.config import load_config
    from instrument_agent.field.access import instrument_of, sources
    from instrument_agent.field.seen import Seen

    quiet_log()
    config = load_config(config_path)
    chosen = config.instruments if instrument is None else (instrument_of(config, instrument),)
    with sources(config, chosen, SystemClock()) as found, until_interrupted() as stopping:
        seen = [Seen(source, raw=raw) for source in found]
        if once or json_wanted or not sys.stdout.isatty():
            _print_once(seen, json_wanted)
        else:
            _show_live(seen, stopping, max(SHORTEST_PERIOD_S, min(source.poll_s for source in found)))


def _print_once(seen: Sequence["Seen"], json_wanted: bool) -> None:
    for item in seen:
        item.look()
    if json_wanted:
        click.echo(as_json({"instruments": [item.as_json() for item in seen]}))
    else:
        from rich.console import Console

        Console().print(_picture(seen))
    if any(item.error for item in seen):
        sys.exit(1)


def _show_live(seen: Sequence["Seen"], stopping: threading.Event, period_s: float) -> None:
    from rich.live import Live

    with Live(auto_refresh=False) as live:
        while not stopping.is_set():
            for item in seen:
                item.look()
            live.update(_picture(seen), refresh=True)
            stopping.wait(period_s)


def _picture(seen: Sequence["Seen"]) -> "RenderableType":
    from rich.console import Group

    parts: list[RenderableType] = [_channels(seen)]
    parts += [_problem(item) for item in seen if item.error]
    for item in seen:
        if item.raw:
            parts += ["", _registers(item.instrument_id, item.words, item.raw_problem)]
    return Group(*parts)


def _channels(seen: Sequence["Seen"]) -> "RenderableType":
    from rich.markup import escape

    table = words.plain_table(
        _("instrument"), _("channel"), _("value"), _("unit"), _("smallest"), _("greatest"), _("lately")
    )
    for item in seen:
        for place, channel in enumerate(item.channels):
            tally = item.tallies[channel.name]
            table.add_row(
                item.instrument_id if place == 0 else "",
                escape(channel.name),
                _value(tally.last, read=tally.read),
                escape(channel.unit),
                _number(tally.lowest),
                _number(tally.highest),
                tally.picture(),
            )
    return table


def _value(value: object, *, read: bool) -> str:
    from rich.markup import escape

    if not read:
        return "[dim]" + _("not read") + "[/]"
    if value is None:
        return "[red]" + _("not credible") + "[/]"
    return _number(value) if isinstance(value, int | float) else escape(str(value))


def _number(value: float | None) -> str:
    if value is None:
        return words.NOTHING
    return f"{value:.0f}" if abs(value) >= 100_000 else f"{value:.6g}"  # noqa: PLR2004


def _problem(item: "Seen") -> str:
    from rich.markup import escape

    sentence = _("{what}: {error}. {hint}") if item.hint else _("{what}: {error}")
    return sentence.format(
        what=f"[red]{escape(item.instrument_id)}[/]", error=escape(item.error), hint=escape(item.hint)
    )


def _registers(name: str, registers: Mapping[tuple[int, int], int] | None, problem: str) -> Any:  # RenderableType
    from rich.markup import escape

    if problem:
        return f"[red]{escape(name)}[/]: {escape(problem)}"
    if registers is None:
        return _("{name}: its driver has no registers").format(name=escape(name))
    table = words.plain_table(_("instrument"), _("function"), _("address"), _("word"), _("decimal"))
    for place, ((function, address), word) in enumerate(sorted(registers.items())):
        table.add_row(name if place == 0 else "", str(function), f"0x{address:04X}", f"0x{word:04X}", str(word))
    return table
