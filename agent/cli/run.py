"""``instrument-agent run``: the daemon in the foreground."""

import logging
import sys
from pathlib import Path

import click

from instrument_agent.cli.options import config_option, examples
from instrument_agent.i18n import _

# Priorities of syslog as systemd reads them at the start of a line (sd-daemon(3)).
PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


class PriorityFormatter(logging.Formatter):
    """Puts the syslog priority before each line when the journal reads along."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the message, each line of it with its priority."""
        prefix = f"<{PRIORITIES.get(record.levelno, 6)}>"
        return "\n".join(prefix + line for line in super().format(record).splitlines())


def log_to_stderr(level: str) -> None:
    """Send the log to stderr: with priorities for the journal, with times for a person."""
    handler = logging.StreamHandler()
    if sys.stderr.isatty():
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    else:
        handler.setFormatter(PriorityFormatter("%(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    # pymodbus logs every bad frame; the driver wrapper says it once, and better.
    logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)


@click.command(
    help=_("Watch the instruments and deliver what they did, until stopped (the service)."),
    epilog=examples("run --config /etc/instrument-agent/config.toml"),
)
@config_option
def run(config_path: Path) -> None:
    """Run the daemon with the clock of the machine."""
    from instrument_agent.clock import SystemClock
    from instrument_agent.config import load_config
    from instrument_agent.notify import Notifier
    from instrument_agent.service import Service

    config = load_config(config_path)
    log_to_stderr(config.box.log_level)
    sys.exit(Service(config, SystemClock(), Notifier()).run())
