"""``instrument-agent record``: an instrument's readings, written to a file that can be played again."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from instrument_agent.cli import words
from instrument_agent.cli.at_terminal import quiet_log, until_interrupted
from instrument_agent.cli.options import config_option, examples
from instrument_agent.i18n import _

if TYPE_CHECKING:
    from rich.text import Text

    from instrument_agent.field.recording import Recorded

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def duration(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    """Return seconds; a number may have s, m, h or d behind it."""
    if value is None:
        return None
    found = _DURATION.fullmatch(value.strip())
    if found is None or not float(found[1]):
        raise click.BadParameter(_("{value} is no duration: write 90s, 30m, 1h or 2d").format(value=value))
    return float(found[1]) * _SECONDS[found[2]]


@click.command(
    help=_("Write the readings of an instrument to a file, which a mock instrument and `replay` can play again."),
    epilog=examples("record xrd-1 --for 1h -o trace.csv", "record xrd-1 -o trace.csv"),
)
@click.argument("instrument")
@config_option
@click.option(
    "--for", "for_s", callback=duration, metavar="TIME", help=_("how long, as 90s, 30m or 1h (default: until Ctrl-C)")
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, writable=False), required=True, help=_("the file to write")
)
@click.option("--force", is_flag=True, help=_("overwrite the file if it is there"))
def record(instrument: str, config_path: Path, for_s: float | None, output: Path, force: bool) -> None:
    """Record until the time is up or Ctrl-C; what was recorded stays. Exit status 1 if nothing could be read."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    from instrument_agent.clock import SystemClock
    from instrument_agent.config import load_config
    from instrument_agent.field import recording
    from instrument_agent.field.access import instrument_of, sources

    quiet_log()
    config = load_config(config_path)
    chosen = instrument_of(config, instrument)
    clock = SystemClock()
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())
    with (
        sources(config, [chosen], clock) as (source,),
        recording.trace_file(output, [channel.name for channel in source.channels], force=force) as trace,
        until_interrupted() as stopping,
        progress,
    ):
        task = progress.add_task(instrument, total=for_s)
        told = False

        def shown(so_far: "Recorded") -> None:
            nonlocal told
            if so_far.error and not told:
                told = True
                # Through the console of the bar, which is drawn anew below.
                progress.console.print(_first_failure(instrument, so_far), soft_wrap=True)
            progress.update(task, completed=so_far.elapsed_s, description=f"{instrument}  {so_far.rows}")

        recorded = recording.record(source, trace, clock, stopping, for_s, shown)
    _summarize(recorded, output)
    if recorded.failures == recorded.rows:
        sys.exit(1)


def _first_failure(instrument: str, so_far: "Recorded") -> "Text":
    from rich.text import Text

    sentence = _("{what}: {error}. {hint}") if so_far.hint else _("{what}: {error}")
    return Text(sentence.format(what=instrument, error=so_far.error, hint=so_far.hint))


def _summarize(recorded: "Recorded", output: Path) -> None:
    sentence = _("{rows} readings in {time}, {failures} of them failed: {path}")
    time = words.duration(round(1000 * recorded.elapsed_s))
    click.echo(sentence.format(rows=recorded.rows, time=time, failures=recorded.failures, path=output))
    if recorded.missed:
        sentence = _("warning: {count} readings of the agent were missed; this machine is too busy")
        click.echo(sentence.format(count=recorded.missed), err=True)
