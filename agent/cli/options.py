"""Options and forms of output that several commands share."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from instrument_agent.i18n import _

DEFAULT_CONFIG = Path("/etc/instrument-agent/config.toml")

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, readable=False),  # what is wrong with the file is said by its reader
    default=DEFAULT_CONFIG,
    show_default=True,
    help=_("the box's config file"),
)


def examples(*commands: str) -> str:
    """Return the end of a help text: commands as they are typed, each on a line that click does not wrap."""
    return "\b\n" + _("Examples:") + "".join(f"\n  instrument-agent {command}" for command in commands)


def as_json(value: object) -> str:
    """Return ``value`` as JSON for people and programs."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def as_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Return ``rows`` as CSV with a header; what is not known is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().rstrip("\n")
