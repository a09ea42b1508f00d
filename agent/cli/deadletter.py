"""``instrument-agent deadletter``: what a platform refused, and sending it again."""

import json
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from instrument_agent.cli.options import as_json, config_option, destination_of, destination_option, examples
from instrument_agent.core.errors import AgentError
from instrument_agent.i18n import _

if TYPE_CHECKING:
    from instrument_agent.buffer.resending import DeadLetter


@click.group(
    help=_("Records that a platform refused: they are kept, hold up no other, and can be sent again."),
    epilog=examples("deadletter list", "deadletter resend --all"),
)
def deadletter() -> None:
    """Find and run a command."""


@deadletter.command("list", help=_("List what was refused, with the platform's reason."))
@config_option
@click.option("--destination", help=_("only what this destination refused"))
@click.option("--json", "json_wanted", is_flag=True, help=_("print the result as JSON"))
def list_letters(config_path: Path, destination: str | None, json_wanted: bool) -> None:
    """Print a line for each."""
    letters = _letters(config_path, destination)
    if json_wanted:
        shown = [{name: value for name, value in asdict(item).items() if name != "record"} for item in letters]
        click.echo(as_json(shown))
        return
    for item in letters:
        again = "  " + _("(to be sent again)") if item.again else ""
        about = f"{item.type} {item.instrument_id or ''}".rstrip()
        click.echo(f"{item.id:>8}  {item.destination}  {item.epoch} {item.seq}  {about}  {item.reason}{again}")
    if not letters:
        click.echo(_("Nothing was refused."))


@deadletter.command("show", help=_("Print a refused record as it is in the log."))
@config_option
@click.argument("number", type=click.IntRange(1))
def show_letter(config_path: Path, number: int) -> None:
    """Print it for each destination that refused it."""
    letters = _letters(config_path, None, number)
    if not letters:
        _none(number)
    click.echo(as_json([_plain(item) for item in letters]))


@deadletter.command(
    "resend",
    help=_("Send refused records again, for instance after the platform was mended."),
    epilog=examples("deadletter resend 1042", "deadletter resend --all --destination province"),
)
@config_option
@destination_option
@click.option("--all", "every", is_flag=True, help=_("all that the destination refused"))
@click.argument("number", type=click.IntRange(1), required=False)
def resend_letter(config_path: Path, destination: str | None, every: bool, number: int | None) -> None:
    """Have the agent do it; what is refused again stays where it was."""
    if every == (number is not None):
        raise click.UsageError(_("give either a number or --all"))
    from instrument_agent.cli.again import send_again, told
    from instrument_agent.config import load_config

    config = load_config(config_path)
    name = destination_of(config, destination).name
    count = send_again(config, name, "letters") if every else send_again(config, name, "letter", [number])
    if not count and number is not None:
        _none(number)
    click.echo(told(count, name))


@deadletter.command("export", help=_("Write refused records to a file, one JSON object a line: hash, reason, record."))
@config_option
@click.option("--destination", help=_("only what this destination refused"))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help=_("the file to write; - prints it")
)
def export_letters(config_path: Path, destination: str | None, output: Path) -> None:
    """Write them in the order of the log."""
    lines = [json.dumps(_plain(item), ensure_ascii=False) for item in _letters(config_path, destination)]
    if str(output) == "-":
        sys.stdout.writelines(f"{line}\n" for line in lines)
        return
    try:
        output.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    except OSError as error:
        raise AgentError(
            _("the file {path} cannot be written: {error}").format(path=output, error=error),
            _("choose another file"),
        ) from error
    click.echo(_("{count} records: {path}").format(count=len(lines), path=output))


def _letters(config_path: Path, destination: str | None, number: int | None = None) -> Sequence["DeadLetter"]:
    from instrument_agent.buffer.reader import Reader
    from instrument_agent.buffer.resending import dead_letters
    from instrument_agent.config import load_config

    config = load_config(config_path)
    with closing(Reader(config.box.state_dir)) as reader:
        return dead_letters(reader, destination, number)


def _plain(item: "DeadLetter") -> dict[str, Any]:
    return asdict(item) | {"record": json.loads(item.record)}


def _none(number: int) -> NoReturn:
    raise AgentError(
        _("there is no refused record {number}").format(number=number),
        _("look for it with: instrument-agent deadletter list"),
    )
