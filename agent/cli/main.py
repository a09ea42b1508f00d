"""The command ``instrument-agent``."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

import click

from instrument_agent import __version__
from instrument_agent.core.errors import AgentError, ConfigError
from instrument_agent.i18n import _, lend_catalogue

EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h; systemd does not restart the service on it

# Imported only when called: a daemon on a Pi does not carry what only a person at a terminal needs.
COMMANDS = (
    *("check", "demo", "driver-check", "platform", "platform-check", "probe", "record", "replay", "run"),
    *("scan", "sessions", "status", "usage", "verify"),
)


lend_catalogue()  # before the first command is made: click translates some of its sentences right then


class OutputFailed(AgentError):
    """Standard output cannot be written: a full disk, a device that is gone."""


class _Output(io.TextIOWrapper):
    """Standard output that tells its own failures from those of a command."""

    def write(self, text: str) -> int:
        """Write text."""
        with _told():
            return super().write(text)

    def flush(self) -> None:
        """Write what is still held back."""
        with _told():
            super().flush()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputFailed(_("the output cannot be written: {error}").format(error=error.strerror)) from error


class LazyGroup(click.Group):
    """Finds a command in the module of its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, importing its module."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(import_module(f"instrument_agent.cli.{name}"), name)
        return command


@click.group(
    cls=LazyGroup,
    help=_("Says honestly what a scientific instrument did, and gets that to the platform exactly once."),
    epilog=_("Begin with:  instrument-agent demo"),
)
@click.version_option(__version__, prog_name="instrument-agent")
def cli() -> None:
    """Find and run a command."""


def main() -> None:
    """Run the command line; errors the product knows become a sentence and what to do next."""
    _print_whatever_comes()
    try:
        cli()
    except AgentError as error:
        if isinstance(error, OutputFailed):
            # Python would try to write the rest once more at its end, and fail again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        click.echo(_("Error: {error}").format(error=error), err=True)
        if error.hint:
            click.echo(_("What to do: {hint}").format(hint=error.hint), err=True)
        sys.exit(EXIT_CONFIG if isinstance(error, ConfigError) else 1)
    except BrokenPipeError:
        sys.stderr.close()  # the reader (head, less) had enough
        sys.exit(0)


def _print_whatever_comes() -> None:
    # Python prints UTF-8 under LANG=C, but under ISO-8859-1 or GBK a name it cannot encode would end the command.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if isinstance(sys.stdout, io.TextIOWrapper):
        line_buffering = sys.stdout.line_buffering
        sys.stdout = _Output(sys.stdout.buffer, sys.stdout.encoding, "backslashreplace", line_buffering=line_buffering)


if __name__ == "__main__":
    main()
