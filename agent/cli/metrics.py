"""``instrument-agent metrics``: the status for Prometheus."""

import os
from pathlib import Path

import click

from instrument_agent.cli.options import config_option, examples
from instrument_agent.core.errors import AgentError
from instrument_agent.i18n import _


@click.command(
    help=_("Print the status as metrics for Prometheus; a timer writes it for node_exporter (docs/operator.md)."),
    epilog=examples("metrics", "metrics --textfile /var/lib/prometheus/node-exporter/instrument-agent.prom"),
)
@config_option
@click.option(
    "--textfile",
    type=click.Path(dir_okay=False, path_type=Path),
    help=_("write it into this file, all at once, instead of printing it"),
)
def metrics(config_path: Path, textfile: Path | None) -> None:
    """Ask the agent, or the database if none runs."""
    from instrument_agent.cli.status import current_status
    from instrument_agent.config import load_config
    from instrument_agent.doctor.metrics import exposition

    text = exposition(current_status(load_config(config_path)))
    if textfile is None:
        click.echo(text, nl=False)
        return
    # The collector reads *.prom whenever it likes: it must never see half a file.
    new = textfile.with_name(f".{textfile.name}.{os.getpid()}")
    try:
        new.write_text(text, encoding="utf-8")
        new.chmod(0o644)
        new.replace(textfile)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise AgentError(
            _("{path} cannot be written: {error}").format(path=textfile, error=error),
            _("make the directory, and let this user write there"),
        ) from error
