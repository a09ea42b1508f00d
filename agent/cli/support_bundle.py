"""``instrument-agent support-bundle``: one file for whoever helps from afar."""

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from instrument_agent.cli.at_terminal import quiet_log
from instrument_agent.cli.doctor import plain, table, total
from instrument_agent.cli.options import as_json, config_option, examples
from instrument_agent.doctor.verdict import Verdict
from instrument_agent.i18n import _

if TYPE_CHECKING:
    from instrument_agent.doctor.examination import Examination


@click.command(
    help=_("Pack what a supporter needs to see of this box into one file: no readings, no secrets."),
    epilog=examples("support-bundle", "support-bundle --out /media/usb/box-1.tar.gz"),
)
@config_option
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help=_("the file to write; default: a new one in this directory"),
)
def support_bundle(config_path: Path, out: Path | None) -> None:
    """Examine the box, pack what was found, and say what is in it and where it lies."""
    from instrument_agent.clock import SystemClock
    from instrument_agent.doctor.bundle import pack
    from instrument_agent.doctor.examination import examine
    from instrument_agent.doctor.machine import Places

    quiet_log()
    found = examine(config_path, SystemClock(), Places())
    box_id = "box" if found.config is None else found.config.box.id
    # The wall clock only gives the file a name.
    path = out or Path(f"instrument-agent-{box_id}-{datetime.now(UTC):%Y%m%d-%H%M%S}.tar.gz")
    contents = _contents(config_path, found)
    pack(path, {name: text for name, (text, _said) in contents.items()})
    for name, (text, said) in contents.items():
        click.echo(_("{name}: {said}, {bytes} bytes").format(name=name, said=said, bytes=len(text.encode())))
    click.echo(
        _("{path} holds no reading and no secret this box knows; look into it before you send it").format(path=path)
    )


def _contents(config_path: Path, found: "Examination") -> dict[str, tuple[str, str]]:
    """Return the texts by name, each without secrets and with what it is."""
    from instrument_agent.doctor import bundle
    from instrument_agent.doctor.credentials import brought_files, secret_files
    from instrument_agent.doctor.machine import Places
    from instrument_agent.doctor.redaction import readable, redacted, secrets_in

    files, sums, schema = brought_files(config_path), "", ""
    if found.config is not None:
        files = secret_files(found.config)
        sums, schema = bundle.database_text(found.config.box.state_dir)
    secrets = secrets_in(readable(files), os.environ)
    # Before they are wrapped into a table: a secret that is broken over two lines would not be found.
    verdicts = [
        replace(
            item,
            finding=redacted(item.finding, secrets),
            advice=redacted(item.advice, secrets),
            about=redacted(item.about, secrets),
        )
        for item in found.verdicts
    ]
    texts = {
        "doctor.txt": (_as_text(verdicts), _("what `instrument-agent doctor` said")),
        "doctor.json": (as_json(plain(verdicts)), _("the same as JSON")),
        "config.toml": (bundle.config_text(config_path), _("the config file, secrets removed")),
        "status.json": (as_json(_without_readings(found.status)), _("what `instrument-agent status` said")),
        "log.txt": (bundle.log_text(), _("the last lines the service logged")),
        "versions.txt": (bundle.versions(Places()), _("what is installed")),
        "database.txt": (sums, _("how many rows of each kind are in the database")),
        "schema.sql": (schema, _("the form of the database")),
    }
    return {name: (redacted(text, secrets), said) for name, (text, said) in texts.items()}


def _without_readings(status: dict[str, object] | None) -> dict[str, object]:
    """Return the status without what was measured; that something was measured stays."""
    if status is None:
        return {}
    instruments = status["instruments"]
    if not isinstance(instruments, list):
        return status
    return status | {"instruments": [item | {"reading": sorted(item["reading"])} for item in instruments]}


def _as_text(verdicts: Sequence[Verdict]) -> str:
    from rich.console import Console

    console = Console(width=100, color_system=None, force_terminal=False)
    with console.capture() as captured:
        console.print(table(verdicts))
    return captured.get() + total(verdicts) + "\n"
