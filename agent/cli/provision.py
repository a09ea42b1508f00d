"""``instrument-agent provision``: a box configures itself from a card, or files for many boxes are made."""

import logging
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from instrument_agent.cli.options import DEFAULT_CONFIG, examples
from instrument_agent.core.errors import AgentError
from instrument_agent.i18n import _

if TYPE_CHECKING:
    from instrument_agent.provision.fleet import Fleet
    from instrument_agent.provision.steps import Provisioning

log = logging.getLogger(__name__)

UNIT = "instrument-agent.service"
START_WITHIN_S = 150.0


@click.command(
    help=_(
        "Take up instrument-agent.toml from a card or stick, on trial: if the instruments are not read or the platform"
        " does not answer, the box goes back to its last good config. The verdict is written beside the file."
        " With FLEET, a CSV file, make such files for many boxes instead."
    ),
    epilog=examples("provision --from /boot/firmware", "provision fleet.csv --template config.toml --out sticks"),
)
@click.argument("fleet", required=False, type=click.Path(path_type=Path))
@click.option("--from", "cards", multiple=True, type=click.Path(path_type=Path), help=_("folder of the card or stick"))
@click.option("--again", is_flag=True, help=_("try a file once more that was rolled back"))
@click.option("--patience-s", default=120.0, show_default=True, help=_("how long the trial may take"))
@click.option("--template", type=click.Path(path_type=Path), help=_("the config file that all boxes have in common"))
@click.option("--out", type=click.Path(path_type=Path), help=_("new folder for the files of all boxes"))
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    default=DEFAULT_CONFIG,
    show_default=True,
    help=_("the box's config file"),
)
def provision(
    fleet: Path | None,
    cards: tuple[Path, ...],
    again: bool,
    patience_s: float,
    template: Path | None,
    out: Path | None,
    config_path: Path,
) -> None:
    """Do one of the two."""
    if (fleet is None) == (not cards):
        raise click.UsageError(_("give either --from FOLDER or a FLEET file"))
    if fleet is not None:
        if template is None or out is None:
            raise click.UsageError(_("a FLEET file needs --template and --out"))
        from instrument_agent.provision.fleet import read_fleet

        _make(read_fleet(fleet, template), out)
        return
    from instrument_agent.provision.card import Card
    from instrument_agent.provision.home import Home
    from instrument_agent.provision.steps import Provisioning

    card = next((card for card in map(Card, cards) if card.has_file), Card(cards[0]))
    _provision(Provisioning(card, Home(config_path), _restart, patience_s, again=again))


def _provision(task: "Provisioning") -> None:
    """Do all steps, and tell what came of it: on the card, and to whoever called."""
    from instrument_agent.provision.home import unwritable
    from instrument_agent.provision.trial import in_each_language
    from instrument_agent.provision.verdict import Facts, Outcome, verdict

    try:
        with task.home.alone():
            for step in task.steps():
                log.info("%s: %s", task.card.folder, step)
    except (AgentError, OSError) as caught:
        error = unwritable(task.home.config, caught) if isinstance(caught, OSError) else caught
        said = {language: [line] for language, line in in_each_language(error).items()}
        _tell(task, verdict(Facts(Outcome.REFUSED, "", mistakes=said)))
        raise error from caught
    if task.facts is None:
        click.echo(_("there is nothing to do"))
        return
    _tell(task, verdict(task.facts))
    sys.exit(task.facts.outcome != Outcome.APPLIED)


def _tell(task: "Provisioning", text: str) -> None:
    click.echo(text)
    if not task.card.has_file:
        return
    try:
        task.card.tell(text)
    except OSError as error:
        told = _("the verdict cannot be written to {path}: {error}")
        click.echo(told.format(path=task.card.folder, error=error), err=True)


def _restart() -> str:
    """Have systemd start the agent anew; return what was in the way."""
    try:
        _systemctl("reset-failed")
        done = _systemctl("restart")
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return done.stderr.strip() if done.returncode else ""


def _systemctl(word: str) -> subprocess.CompletedProcess[str]:
    command = ["systemctl", word, UNIT]
    return subprocess.run(command, capture_output=True, text=True, timeout=START_WITHIN_S, check=False)  # noqa: S603


def _make(fleet: "Fleet", out: Path) -> None:
    """Make the files of all boxes, and show how far it is."""
    shown = click.progressbar(fleet.boxes(out), length=len(fleet), label=_("boxes"), file=sys.stderr)
    with shown as names:
        count = sum(1 for _name in names)
    click.echo(
        _("{count} boxes in {path}; copy the files of each folder to the card of that box").format(
            count=count, path=out
        )
    )
