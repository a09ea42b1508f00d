"""The command ``instrument-agent``."""

import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from itertools import pairwise

import click

from instrument_agent import __version__
from instrument_agent.core.errors import AgentError, ConfigError
from instrument_agent.i18n import LANGUAGES, _, lend_catalogue, speak

EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h; systemd does not restart the service on it

# Imported only when called: a daemon on a Pi does not carry what only a person at a terminal needs.
COMMANDS = (
    *("calibrate", "check", "commission", "deadletter", "demo", "doctor", "driver-check"),
    *("enrol", "explain", "metrics", "platform", "platform-check", "probe", "provision", "record", "relocate"),
    *("replay", "report", "resend", "retire", "run", "scan", "sessions", "status", "support-bundle"),
    *("transfer", "usage", "verify"),
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
        raise OutputFailed(_("the output cannot be written: {error}").format(error=error)) from error


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
        return _with_language(getattr(import_module(f"instrument_agent.cli.{name}"), name))


def _with_language(command: click.Command) -> click.Command:
    """Give a command, and those within it, the option ``--lang``; `asked_language` has already done what it says."""
    if not any(parameter.name == "lang" for parameter in command.params):
        said = _("the language of this command; otherwise that of LANGUAGE or LANG")
        command.params.append(click.Option(["--lang"], type=click.Choice(LANGUAGES), expose_value=False, help=said))
    for inner in command.commands.values() if isinstance(command, click.Group) else ():
        _with_language(inner)
    return command


def command_line() -> click.Command:
    """Return the whole command line in the language that is spoken now."""
    group = LazyGroup(
        "cli",
        help=_("Says honestly what a scientific instrument did, and gets that to the platform exactly once."),
        epilog=_("Begin with:  instrument-agent demo"),
    )
    return _with_language(click.version_option(__version__, prog_name="instrument-agent")(group))


def asked_language(arguments: Sequence[str]) -> str | None:
    """Return the language a command line asks for; None if it asks for none.

    Help texts are made while commands are imported, so this is looked at before click parses anything.
    """
    found = None
    for here, following in pairwise([*arguments, ""]):
        if here == "--":
            break
        if here == "--lang":
            found = following
        elif here.startswith("--lang="):
            found = here.removeprefix("--lang=")
    return found


cli = command_line()


def main() -> None:
    """Run the command line; errors the product knows become a sentence and what to do next."""
    _print_whatever_comes()
    language = asked_language(sys.argv[1:])
    if language in LANGUAGES:  # anything else is refused by click
        speak(language)
    try:
        command_line()()
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
