"""``instrument-agent transfer``: an instrument belongs to another unit from this instant on."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from instrument_agent.cli import words
from instrument_agent.cli.asked import by, instrument_option, printable, sure, who_option, yes_option
from instrument_agent.cli.options import config_option, examples
from instrument_agent.core.errors import AgentError
from instrument_agent.i18n import _

if TYPE_CHECKING:
    from instrument_agent.config import InstrumentConfig


@click.command(
    help=_(
        "Give an instrument to another unit. The running agent closes its books at this instant: an open run ends and"
        " begins anew, so that every hour has one owner."
    ),
    epilog=examples(
        'transfer --instrument xrd-1 --org "Example Institute" --uscc 12100000MB1234567C --asset-code 2026-0815'
    ),
)
@instrument_option
@click.option("--org", required=True, callback=printable, metavar="NAME", help=_("the managing unit from now on"))
@click.option("--uscc", required=True, callback=printable, metavar="CODE", help=_("its unified social credit code"))
@click.option(
    "--asset-code", callback=printable, metavar="CODE", help=_("its asset code there; without it, it has none for now")
)
@click.option("--platform-code", callback=printable, metavar="CODE", help=_("its new platform code, if that changes"))
@click.option("--location", callback=printable, metavar="TEXT", help=_("where it stands now, if that changes"))
@who_option
@yes_option
@config_option
def transfer(
    instrument_id: str,
    org: str,
    uscc: str,
    asset_code: str | None,
    platform_code: str | None,
    location: str | None,
    who: str | None,
    yes: bool,
    config_path: Path,
) -> None:
    """Ask, change the file, have the agent split the books, and say at which instant it did."""
    from instrument_agent import lifecycle
    from instrument_agent.config import load_config
    from instrument_agent.field.access import instrument_of

    config = load_config(config_path)
    instrument = instrument_of(config, instrument_id)
    if (instrument.org_name, instrument.org_uscc) == (org, uscc):
        raise AgentError(_("{id} belongs to {org} already").format(id=instrument_id, org=org))
    identity = {"org_name": org, "org_uscc": uscc, "asset_code": asset_code or ""}
    identity |= {"platform_code": platform_code} if platform_code else {}
    identity |= {"location": location} if location else {}
    _show(instrument, identity)
    if not sure(_("Does it belong to {org} from now on?").format(org=org), yes=yes):
        sys.exit(1)
    record = lifecycle.transfer(config, instrument, identity, by(who))
    at = words.local_time(lifecycle.dated(config, record), config.box.timezone)
    sentence = _("the books of {id} are split at {at}, {seconds:.3f} s of its boot: seq {seq} of epoch {epoch}")
    place = {"seconds": record["at_ms"] / 1000, "seq": record["seq"], "epoch": record["epoch"]}
    click.echo(sentence.format(id=instrument_id, at=at, **place))
    click.echo(
        _("what it did before is {before}'s, what it does now {now}'s").format(
            before=instrument.org_name or words.NOTHING, now=org
        )
    )
    click.echo(_("written to {path}; the file as it was is {path}.bak").format(path=config.path))


def _show(instrument: "InstrumentConfig", identity: dict[str, str]) -> None:
    """Print what changes, key by key as in the config file."""
    for key, value in identity.items():
        before = getattr(instrument, key)
        if before != value:
            click.echo(f"{key}: {before or words.NOTHING} -> {value or words.NOTHING}")
