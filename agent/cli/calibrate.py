"""``instrument-agent calibrate``: thresholds learned from a trace, shown, and written into the config file."""

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from instrument_agent.cli import words
from instrument_agent.cli.adjusted import adjusted
from instrument_agent.cli.asked import named, sure, who_option, yes_option
from instrument_agent.cli.at_terminal import quiet_log, until_interrupted
from instrument_agent.cli.calibration import Window, window
from instrument_agent.cli.options import config_option, examples
from instrument_agent.cli.record import duration
from instrument_agent.commission.findings import Profile
from instrument_agent.commission.recorded import Recording
from instrument_agent.core.errors import AgentError, ConfigError, DeviceUnavailable
from instrument_agent.i18n import _

if TYPE_CHECKING:
    from rich.table import Table

    from instrument_agent.commission.proposing import Lesson
    from instrument_agent.config import Config, InstrumentConfig

PICTURES = (".svg", ".html")
PLOT_WIDTH = 68


@click.command(
    help=_("Learn how an instrument is to be judged from a recorded or a live trace, and show it."),
    epilog=examples(
        "calibrate --instrument xrd-1 --from-trace trace.csv --picture xrd-1.svg",
        "calibrate --instrument xrd-1 --live 30m --write",
        "calibrate --instrument xrd-1 --from-trace trace.csv --standby 600:1800 --running 4000:5200",
    ),
)
@click.option("--instrument", "instrument_id", required=True, metavar="ID", help=_("its id in the config file"))
@config_option
@click.option(
    "--from-trace", type=click.Path(path_type=Path, readable=False), metavar="FILE", help=_("what `record` wrote")
)
@click.option("--live", "live_s", callback=duration, metavar="TIME", help=_("read now for so long: 90s, 30m, 1h"))
@click.option(
    "--activity-profile", type=click.Choice([kind.value for kind in Profile]), help=_("the kind of load, if you know")
)
@click.option("--standby", metavar="START:END", callback=window, help=_("when it stood by, in seconds of the trace"))
@click.option("--running", metavar="START:END", callback=window, help=_("when it ran, in seconds of the trace"))
@click.option(
    "--picture",
    "picture_path",
    type=click.Path(path_type=Path, writable=False),
    metavar="FILE",
    help=_("draw the trace with its thresholds and runs: a file ending in .svg or .html"),
)
@click.option("--write", "write_wanted", is_flag=True, help=_("write the thresholds into the config file"))
@who_option
@yes_option
def calibrate(
    instrument_id: str,
    config_path: Path,
    from_trace: Path | None,
    live_s: float | None,
    activity_profile: str | None,
    standby: Window | None,
    running: Window | None,
    picture_path: Path | None,
    write_wanted: bool,
    who: str | None,
    yes: bool,
) -> None:
    """Show what was learned; exit status 1 if no run can be told."""
    from instrument_agent.commission.proposing import lesson
    from instrument_agent.config import load_config
    from instrument_agent.field.access import instrument_of

    quiet_log()
    if (from_trace is None) == (live_s is None):
        raise ConfigError(_("give either --from-trace FILE or --live TIME"))
    if picture_path is not None and picture_path.suffix.lower() not in PICTURES:
        raise ConfigError(_("the name of the picture must end in .svg or .html"))
    config = load_config(config_path)
    instrument = instrument_of(config, instrument_id)
    with tempfile.TemporaryDirectory(prefix="instrument-agent-") as folder:
        trace = from_trace or _live(config, instrument, live_s or 0.0, Path(folder) / "live.csv")
        recording = Recording(trace, instrument.activity.channel)
        found = lesson(instrument, recording, activity_profile, standby, running)
        show(found)
        if picture_path is not None:
            _draw(found, picture_path)
    if write_wanted and found.keys and _meant(found, yes=yes):
        for sentence in adjusted(config, instrument_id, found.keys, "calibrate", named(who)):
            click.echo(sentence)
    if not found.keys:
        sys.exit(1)


def _live(config: "Config", instrument: "InstrumentConfig", for_s: float, path: Path) -> Path:
    from instrument_agent.cli.live_trace import record_live
    from instrument_agent.clock import SystemClock

    with until_interrupted() as stopping:
        recorded = record_live(config, instrument, for_s, path, SystemClock(), stopping)
    if recorded.failures == recorded.rows:
        sentence = _("{instrument} could not be read: {error}")
        raise DeviceUnavailable(sentence.format(instrument=instrument.id, error=recorded.error), recorded.hint)
    return path


def _meant(found: "Lesson", *, yes: bool) -> bool:
    """Ask whether doubtful thresholds are to be written: somebody has to have looked."""
    from instrument_agent.commission.verdict import Certainty

    doubtful = found.proposal.certainty is Certainty.DOUBTFUL
    return not doubtful or sure(_("These thresholds are doubtful. Write them?"), yes=yes)


def show(found: "Lesson") -> None:
    """Print the trace, the levels, the thresholds beside those of the config file, and how sure they are."""
    from rich.console import Console

    from instrument_agent.commission.page import certainty_text
    from instrument_agent.commission.plot import plot

    console = Console()
    unit = words.unit(found.channel.unit)
    for line in plot(found.seen(PLOT_WIDTH), unit):
        click.echo(line)
    click.echo(_legend())
    click.echo()
    console.print(_levels(found, unit))
    click.echo()
    console.print(_thresholds(found, unit))
    click.echo()
    click.echo(certainty_text(found))
    for sentence in (*found.proposal.refusals, *found.proposal.doubts, *found.proposal.reasons):
        click.echo(f"  {sentence}")


def _legend() -> str:
    from instrument_agent.commission.plot import MARKS

    marks = "   ".join(f"{mark} {words.activity_word(activity)}" for activity, mark in MARKS.items())
    return f"{'':10}{marks}"


def _levels(found: "Lesson", unit: str) -> "Table":
    table = words.plain_table(_("level"), _("lowest"), _("usual"), _("highest"), _("seen for"))
    named = (
        (_("off"), found.proposal.off),
        (_("standby"), found.proposal.standby),
        (_("running"), found.proposal.running),
    )
    for name, level in named:
        if level is None:
            table.add_row(name, words.NOTHING, _("not seen"))
            continue
        numbers = (f"{value:.4g} {unit}" for value in (level.low, level.middle, level.high))
        table.add_row(name, *numbers, words.duration(round(1000 * level.seconds)))
    table.add_row(_("noise"), words.NOTHING, f"{found.proposal.noise:.3g} {unit}")
    return table


def _thresholds(found: "Lesson", unit: str) -> "Table":
    from instrument_agent.commission.page import key_text, threshold_texts

    table = words.plain_table(_("key"), _("in the config"), _("proposed"), _("meaning"))
    for key in found.keys:
        before = getattr(found.instrument.activity, key)
        table.add_row(key, *threshold_texts(found, key, before, unit), key_text(key))
    return table


def _draw(found: "Lesson", path: Path) -> None:
    from instrument_agent.commission.page import drawing, lesson_page

    unit = words.unit(found.channel.unit)
    text = lesson_page(found, unit) if path.suffix.lower() == ".html" else drawing(found, unit)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise AgentError(
            _("{path} cannot be written: {error}").format(path=path, error=error),
            _("choose a folder you may write to"),
        ) from error
    click.echo(_("picture: {path}").format(path=path))
