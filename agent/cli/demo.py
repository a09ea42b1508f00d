"""``instrument-agent demo``: the whole product on a laptop, with simulated instruments and a reference platform."""

import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from instrument_agent.cli import words
from instrument_agent.cli.options import as_json, examples
from instrument_agent.cli.status import status_view
from instrument_agent.core.errors import AgentError
from instrument_agent.i18n import _

if TYPE_CHECKING:
    from rich.console import RenderableType

    from instrument_agent.sandbox.demo import Look, Result

ZONE = "Asia/Shanghai"


@click.command(
    help=_("Show the product at work: simulated instruments, the ordinary agent, a reference platform. No hardware."),
    epilog=examples("demo", "demo --seconds 60 --speed 60 --json"),
)
@click.option(
    "--seconds",
    type=click.FloatRange(20, 86_400),
    default=60.0,
    show_default=True,
    help=_("how long it runs, in real seconds"),
)
@click.option(
    "--speed",
    type=click.FloatRange(1, 600),
    default=1.0,
    show_default=True,
    help=_("how fast the clock of the instruments and the agent runs"),
)
@click.option("--json", "json_wanted", is_flag=True, help=_("no picture; end with one JSON object"))
def demo(seconds: float, speed: float, json_wanted: bool) -> None:
    """Run the demo; exit status 0 only if everything was counted, delivered and right."""
    try:
        status = _run(seconds, speed, json_wanted)
    except KeyboardInterrupt:  # before the bench stood, or a second time by one who would not wait for the summary
        click.echo(_("The demo was ended before anything could be compared."), err=True)
        status = 1
    sys.exit(status)


def _run(seconds: float, speed: float, json_wanted: bool) -> int:
    try:
        from instrument_agent.sandbox.demo import Demo
    except ModuleNotFoundError as error:
        raise AgentError(
            _("the demo needs the reference platform: {error}").format(error=error),
            _("in the folder of the source: {python} -m pip install '.[platform]'").format(
                python=shlex.quote(sys.executable)
            ),
        ) from error

    directory = Path(tempfile.mkdtemp(prefix="instrument-agent-demo-"))
    bench = Demo(directory, seconds, speed)
    with bench.ended_in_order():
        click.echo(_("config file of the box: {path}").format(path=bench.config_path), err=json_wanted)
        if json_wanted:
            result = _with_progress(bench)
            click.echo(as_json(result.as_json()))
        else:
            result = _with_picture(bench)
            _print_summary(result)
    return 0 if result.good else 1


def _with_progress(bench: Any) -> "Result":  # Demo, imported only where it is used
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(_("demo"), total=bench.span_s)
        result: Result = bench.run(lambda look: progress.update(task, completed=look.at_s))
    return result


def _with_picture(bench: Any) -> "Result":  # Demo, imported only where it is used
    from rich.console import Console
    from rich.live import Live

    console = Console()
    if not console.is_terminal:
        click.echo(_("running for {seconds:.0f} s; in a terminal you would see it live").format(seconds=bench.span_s))
    with Live(console=console, auto_refresh=False, transient=True) as live:

        def show(look: "Look") -> None:
            if console.is_terminal:
                live.update(_picture(look), refresh=True)

        result: Result = bench.run(show)
    return result


def _picture(look: "Look") -> "RenderableType":
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    if not look.status:
        return _("the agent does not answer")
    progress = Table.grid(padding=(0, 2))
    progress.add_row(
        ProgressBar(total=look.span_s, completed=look.at_s, width=60),
        _("{at:.0f} of {span:.0f} s. Ctrl-C ends it and prints the summary.").format(at=look.at_s, span=look.span_s),
    )
    return Group(status_view(look.status, ZONE, look.truth), progress)


def _print_summary(result: "Result") -> None:
    from rich.console import Console

    console = Console()
    console.print(_summary_table(result))
    records = result.records
    console.print(
        _(
            "Records: {made} made, {acknowledged} acknowledged, {waiting} waiting, {dead_lettered} refused,"
            " {lost} lost, {doubled} doubled. Heartbeats received: {heartbeats}."
        ).format(heartbeats=result.heartbeats, **records)
    )
    for problem in result.problems:
        console.print(f"[bold red]{problem}")
    for verdict in result.verdicts:
        for problem in verdict.problems:
            console.print(f"[bold red]{verdict.instrument_id}: {problem}")
    if result.interrupted and not any(verdict.true_runs for verdict in result.verdicts):
        console.print(_("The demo was ended before the first run was over: no run could be compared."))
    elif result.good:
        console.print("[bold green]" + _("Every second is accounted for, every run was found and delivered once."))
    click.echo(_("Look at it again:") + f"  {sys.argv[0]} sessions --config {result.config_path}")


def _summary_table(result: "Result") -> "RenderableType":
    from rich.table import Table

    table = Table(title=_("True and measured"))
    for title in (_("instrument"), "", _("runs"), _("off"), _("standby"), _("running"), _("unknown")):
        table.add_column(title, justify="left" if title in {"", _("instrument")} else "right")
    for verdict in result.verdicts:
        for kind, runs, spent in (
            (_("true"), verdict.true_runs, verdict.true_s),
            (_("measured"), verdict.measured_runs, verdict.measured_s),
        ):
            shown = (
                words.duration(round(1000 * spent[key])) for key in ("off_s", "standby_s", "running_s", "unknown_s")
            )
            table.add_row(verdict.instrument_id if kind == _("true") else "", kind, str(len(runs)), *shown)
    return table
