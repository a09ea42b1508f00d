"""``instrument-agent relocate``: an instrument stands in another place now."""

import sys
from pathlib import Path

import click

from instrument_agent.cli.asked import by, instrument_option, printable, sure, who_option, yes_option
from instrument_agent.cli.options import config_option, examples
from instrument_agent.core.errors import AgentError
from instrument_agent.i18n import _


@click.command(
    help=_("Say that an instrument stands in another place now: in the log and in the config file. Its hours go on."),
    epilog=examples('relocate --instrument xrd-1 --location "Building 3, B-204" --who "Li Ming"'),
)
@instrument_option
@click.option("--location", required=True, callback=printable, metavar="TEXT", help=_("where it stands now"))
@who_option
@yes_option
@config_option
def relocate(instrument_id: str, location: str, who: str | None, yes: bool, config_path: Path) -> None:
    """Ask, record it, change the file, let the agent read it."""
    from instrument_agent import lifecycle
    from instrument_agent.config import load_config
    from instrument_agent.field.access import instrument_of

    config = load_config(config_path)
    instrument = instrument_of(config, instrument_id)
    if instrument.location == location:
        raise AgentError(_("{id} stands there already").format(id=instrument_id))
    click.echo(f"{instrument_id}: {instrument.location or '-'} -> {location}")
    if not sure(_("Is it moved?"), yes=yes):
        sys.exit(1)
    place = lifecycle.relocate(config, instrument, location, by(who))
    click.echo(_("recorded: seq {seq} of epoch {epoch}").format(seq=place.seq, epoch=place.epoch))
    click.echo(_("written to {path}; the file as it was is {path}.bak").format(path=config.path))
    taken_up = lifecycle.take_up(config)
    click.echo(_("the running agent takes it up") if taken_up else _("no agent is running; the next start uses it"))
