"""Options and forms of output that several commands share."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from instrument_agent.core.errors import AgentError
from instrument_agent.i18n import _

if TYPE_CHECKING:
    from instrument_agent.config import Config, DestinationConfig

DEFAULT_CONFIG = Path("/etc/instrument-agent/config.toml")

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, readable=False),  # what is wrong with the file is said by its reader
    default=DEFAULT_CONFIG,
    show_default=True,
    help=_("the box's config file"),
)


destination_option = click.option("--destination", help=_("which destination, if the config has several"))


def destination_of(config: "Config", name: str | None) -> "DestinationConfig":
    """Return the destination of this name, or the only one there is.

    Raises:
        AgentError: there is none, or it is not clear which.
    """
    names = [item.name for item in config.destinations]
    if not names:
        raise AgentError(_("there is no destination in {path}").format(path=config.path), _("add a [[destination]]"))
    if name is None and len(names) == 1:
        name = names[0]
    if name not in names:
        told = _("say which destination") if name is None else _("there is no destination {name}").format(name=name)
        raise AgentError(told, _("--destination, one of {names}").format(names=", ".join(names)))
    return config.destinations[names.index(name)]


def examples(*commands: str) -> str:
    """Return the end of a help text: commands as they are typed, each on a line that click does not wrap."""
    return "\b\n" + _("Examples:") + "".join(f"\n  instrument-agent {command}" for command in commands)


def as_json(value: object) -> str:
    """Return ``value`` as JSON for people and programs."""
    return json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)


def as_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Return ``rows`` as CSV with a header; what is not known is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().rstrip("\n")
