"""What the commands of an instrument's life ask of the person who gives them."""

import sys
from typing import Any

import click

from instrument_agent.core.errors import ConfigError
from instrument_agent.i18n import _

LONGEST = 100


def printable(context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    """Check text that goes into the config file and into a record (a click callback).

    Raises:
        BadParameter: it is empty, too long, or holds what no printer prints.
    """
    del context, parameter
    if text is None:
        return None
    text = text.strip()
    if not 0 < len(text) <= LONGEST or not text.isprintable():
        raise click.BadParameter(_("must be 1 to {most} printable letters").format(most=LONGEST))
    return text


instrument_option = click.option(
    "--instrument", "instrument_id", required=True, metavar="ID", help=_("its id in the config file")
)
who_option = click.option("--who", metavar="NAME", callback=printable, help=_("who does it; goes into the record"))
yes_option = click.option("--yes", is_flag=True, help=_("do not ask, for scripts"))


def sure(question: str, *, yes: bool) -> bool:
    """Ask, unless ``yes`` was given; without a terminal nobody can be asked.

    Raises:
        ConfigError: there is no terminal.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise ConfigError(_("nobody is there to be asked"), _("give --yes if it is meant"))
    return click.confirm(question, default=False)


def by(who: str | None) -> dict[str, Any]:
    """Return who did it, as records carry it."""
    return {} if who is None else {"by": who}


def named(who: str | None) -> str | None:
    """Return who did it: as given, or else as the person at the terminal says; None if nobody is there."""
    return your_name() if who is None and sys.stdin.isatty() else who


def your_name() -> str:
    """Ask the person at the terminal who it is."""
    while True:
        name = str(click.prompt(_("Your name"), err=True)).strip()
        if 0 < len(name) <= LONGEST and name.isprintable():
            return name
