"""``instrument-agent retire``: an instrument goes out of use, and its sensor is taken back."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from instrument_agent.cli import words
from instrument_agent.cli.asked import by, instrument_option, sure, who_option, yes_option
from instrument_agent.cli.options import config_option, destination_option, examples
from instrument_agent.i18n import _

if TYPE_CHECKING:
    from collections.abc import Sequence

    from instrument_agent.config import Config
    from instrument_agent.lifecycle import Delivered


@click.command(
    help=_(
        "Take an instrument out of use: close its books, show what it did in all, and see that every platform has"
        " everything, or write what it lacks into a sealed file. With the last instrument the box gives up its"
        " credentials. It can be given again."
    ),
    epilog=examples(
        "retire --instrument xrd-1",
        'retire --instrument xrd-1 --who "Li Ming" --wait 600 --yes',
        "retire --instrument xrd-1 --sealed /media/usb/xrd-1.jsonl",
    ),
)
@instrument_option
@who_option
@click.option(
    "--wait",
    "wait_s",
    type=click.IntRange(0, 86_400),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help=_("how long to wait until everything is delivered"),
)
@click.option("--sealed", type=click.Path(path_type=Path), help=_("without a network: a file to take to the platform"))
@destination_option
@yes_option
@config_option
def retire(
    instrument_id: str,
    who: str | None,
    wait_s: int,
    sealed: Path | None,
    destination: str | None,
    yes: bool,
    config_path: Path,
) -> None:
    """Go on where it was left; exit status 1 if not everything is delivered or handed over."""
    from instrument_agent import lifecycle
    from instrument_agent.config import load_config
    from instrument_agent.core.records import LifecycleWord
    from instrument_agent.field.access import instrument_of

    config = load_config(config_path)
    instrument = instrument_of(config, instrument_id)
    record = lifecycle.told_of(config, instrument_id, LifecycleWord.RETIRED)
    if record is None:
        click.echo(_("{id} will not be watched any more, and its id is never used again.").format(id=instrument_id))
        if not sure(_("Is it out of use for good?"), yes=yes):
            sys.exit(1)
        record = lifecycle.retire(config, instrument, by(who))
    _show_counters(record["data"].get("counters", {}))
    platforms = lifecycle.deliver(config, wait_s)
    whole = _told_delivery(platforms)
    by_file = not whole and sealed is not None
    if not whole and sealed is not None:
        seal = lifecycle.hand_over(config, sealed, destination)
        click.echo(_("{path}: have the platform import it (platform import)").format(path=sealed))
        click.echo(_("seal (SHA-256): {seal}").format(seal=seal.sha256))
        click.echo(_("Keep the card until the platform has imported the file."))
        whole = _all_in_file(platforms, destination)
    elif not whole:
        click.echo(_("Keep the card: it holds hours that no platform has. Connect the box, then give this again."))
        click.echo(_("Or, without a network, give it with --sealed FILE, and take that file to the platform."))
    last = not lifecycle.left_in_use(config)
    if whole and last:
        _give_up_credentials(config, yes=yes, by_file=by_file)
    elif not last:
        click.echo(_("Take its [[instrument]] out of {path} when you take the sensor back.").format(path=config.path))
    if not whole:
        sys.exit(1)


def _show_counters(counters: dict[str, Any]) -> None:
    """Print hours as h:mm:ss."""
    from rich.console import Console

    titles = {
        "in_all": _("in all"),
        "since_commissioned": _("since commissioned"),
        "since_transferred": _("since transferred"),
    }
    table = words.plain_table("", _("powered"), _("running"), _("standby"), _("off"), _("unknown"))
    for name, title in titles.items():
        if spent := counters.get(name):
            columns = ("powered", "running", "standby", "off", "unknown")
            table.add_row(title, *(words.duration(spent[f"{column}_ms"]) for column in columns))
    Console().print(table)


def _told_delivery(platforms: "Sequence[Delivered]") -> bool:
    """Say how each platform stands, and whether all of them have everything."""
    for item in platforms:
        if item.whole:
            click.echo(_("{name} confirms that it has every record of this box").format(name=item.name))
        if item.error:
            click.echo(_("{name} cannot be asked: {error}").format(name=item.name, error=item.error))
        if item.missing:
            click.echo(_("{name} has not confirmed {count} records").format(name=item.name, count=item.missing))
        if item.refused:
            hint = _("see: instrument-agent deadletter list")
            click.echo(_("{name}: it refused {count} records").format(name=item.name, count=item.refused) + f"; {hint}")
    return bool(platforms) and all(item.whole for item in platforms)


def _all_in_file(platforms: "Sequence[Delivered]", destination: str | None) -> bool:
    """Say whether a sealed file holds all that is on no platform: what one lacks that cannot be asked."""
    lacking = [item for item in platforms if not item.whole]
    enough = all(item.error and not item.refused and destination in (None, item.name) for item in lacking)
    if enough and len(lacking) <= 1:
        return True
    click.echo(_("The file is for one platform. What another lacks, or one refused, is only on this box."))
    return False


def _give_up_credentials(config: "Config", *, yes: bool, by_file: bool) -> None:
    from instrument_agent import lifecycle
    from instrument_agent.doctor.credentials import is_there, secret_files

    files = [path for path in secret_files(config) if is_there(path)]
    left: list[Path] = []
    if files:
        click.echo(_("It was the last instrument of this box. These files hold its credentials:"))
        for path in files:
            click.echo(f"  {path}")
        if not sure(_("Delete them?"), yes=yes):
            return
        left = lifecycle.wipe(files)
        for path in left:
            click.echo(_("could not be deleted, use sudo: {path}").format(path=path))
        click.echo(_("Have the platform revoke them too: what was on a card can be read off it for long."))
        if by_file:
            click.echo(_("But first have it import the file: from a box that is revoked it takes none."))
    click.echo(_("Now stop the service: sudo systemctl disable --now instrument-agent"))
    if left:
        sys.exit(1)
