"""``instrument-agent check``: is this config file good?"""

import os
import sys
from dataclasses import asdict
from pathlib import Path

import click

from instrument_agent.cli.main import EXIT_CONFIG
from instrument_agent.cli.options import as_json, config_option, examples
from instrument_agent.config import Config, InvalidConfig, load_config
from instrument_agent.i18n import _, ngettext


@click.command(
    help=_("Check a config file and tell every mistake in it at once. No port is opened, nothing is sent."),
    epilog=examples("check", "check --config config.toml", "check --config config.toml --json"),
)
@config_option
@click.option("--json", "wants_json", is_flag=True, help=_("print the result as JSON"))
def check(config_path: Path, wants_json: bool) -> None:
    """Print what the file configures, or its mistakes (exit status 78)."""
    try:
        config = load_config(config_path)
    except InvalidConfig as error:
        if wants_json:
            mistakes = [asdict(mistake) | {"path": str(mistake.path)} for mistake in error.mistakes]
            click.echo(as_json({"ok": False, "mistakes": mistakes}))
        else:
            click.echo(str(error), err=True)
            count = len(error.mistakes)
            click.echo(ngettext("{count} mistake", "{count} mistakes", count).format(count=count), err=True)
        sys.exit(EXIT_CONFIG)
    if wants_json:
        click.echo(as_json(_result(config)))
        return
    click.echo(_summary(config))
    for note in _notes(config):
        click.echo(_("note: {note}").format(note=note), err=True)


def _result(config: Config) -> dict[str, object]:
    return {
        "ok": True,
        "path": str(config.path),
        "hash": config.hash,
        "box": config.box.id,
        "destinations": [{"name": item.name, "url": item.url} for item in config.destinations],
        "instruments": [
            {"id": item.id, "driver": item.driver.name, "bus": item.driver.bus} for item in config.instruments
        ],
        "notes": _notes(config),
    }


def _summary(config: Config) -> str:
    lines = [_("OK"), _("box {id}").format(id=config.box.id)]
    lines += [
        _("instrument {id}: driver {driver}, bus {bus}").format(
            id=item.id, driver=item.driver.name, bus=item.driver.bus or _("of its own")
        )
        for item in config.instruments
    ]
    lines += [_("destination {name}: {url}").format(name=item.name, url=item.url) for item in config.destinations]
    return "\n".join(lines)


def _notes(config: Config) -> list[str]:
    """Return what is no mistake, since a file may be checked on another machine, but may not be meant."""
    named = [
        (_("destination {name}: {key}").format(name=item.name, key=key), path)
        for item in config.destinations
        for key, path in (
            ("credential_file", item.credential_file),
            ("ca_file", item.ca_file),
            ("client_cert_file", item.client_cert_file),
            ("client_key_file", item.client_key_file),
        )
    ]
    named += [
        (_("instrument {id}: {key}").format(id=item.id, key=key), value)
        for item in config.instruments
        for key, value in item.driver.options.items()
        if isinstance(value, Path)
    ]
    notes = [
        _("{key}: there is no file {path} on this machine").format(key=key, path=path)
        for key, path in named
        if path is not None and not os.path.isfile(path)  # noqa: PTH113  # Path.is_file raises where one may not look
    ]
    notes += [
        _("instrument {id}: {warning}").format(id=item.id, warning=warning)
        for item in config.instruments
        for warning in getattr(item.driver.build(), "warnings", ())
    ]
    notes += [
        _("instrument {id}: no thresholds; the agent will learn, or run calibrate or commission").format(id=item.id)
        for item in config.instruments
        if not item.activity.told
    ]
    return notes if config.destinations else [*notes, _("no destination: records stay on the box")]
