"""``instrument-agent check``: is this config file good?"""

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
    click.echo(as_json(_result(config)) if wants_json else _summary(config))


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
    if not config.destinations:
        lines.append(_("no destination: records stay on the box"))
    return "\n".join(lines)
