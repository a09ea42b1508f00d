"""``instrument-agent enrol``: make this box known at a platform, with a one-time code."""

import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from instrument_agent.cli.options import config_option, destination_of, destination_option, examples
from instrument_agent.core.errors import AgentError
from instrument_agent.i18n import _

if TYPE_CHECKING:
    from instrument_agent.config import Config

ASKED = "-"
LONGEST_CODE = 64


@click.command(
    help=_(
        "Make this box known at a platform: it makes a key of its own, shows the public half with a one-time code of"
        " the platform, and keeps what it gets. From then on all it sends is signed."
    ),
    epilog=examples("enrol", "enrol --code-file code.txt", "enrol --rotate"),
)
@config_option
@destination_option
@click.option("--code", metavar="-", help=_("- reads the code from standard input; other users see what is typed here"))
@click.option("--code-file", type=click.Path(path_type=Path), help=_("a file that holds the code"))
@click.option("--rotate", is_flag=True, help=_("take a new key, signed with the old one; no code is needed"))
def enrol(config_path: Path, destination: str | None, code: str | None, code_file: Path | None, rotate: bool) -> None:
    """Ask for the code unless it is given."""
    if sum((code is not None, code_file is not None, rotate)) > 1:
        raise click.UsageError(_("give one of --code, --code-file and --rotate"))
    from instrument_agent.config import load_config
    from instrument_agent.uplink import enrolling
    from instrument_agent.uplink.enrolled import KeyFile
    from instrument_agent.uplink.transports import transport_to

    config = load_config(config_path)
    chosen = destination_of(config, destination)
    keys = KeyFile(config.box.state_dir, chosen.name)
    with closing(transport_to(chosen, config.box.id, keys)) as transport:
        if rotate:
            given = enrolling.rotate(keys, transport, config.box.id)
        else:
            given = enrolling.enrol(keys, transport, _code(code, code_file))
    _tell_agent(config)
    told = _("{box} is enrolled at {name}; its public key is {key}")
    click.echo(told.format(box=config.box.id, name=chosen.name, key=given.public_key))


def _code(code: str | None, code_file: Path | None) -> str:
    if code_file is not None:
        found = _read(code_file)
    elif code == ASKED:
        found = sys.stdin.readline(1000)
    elif code is not None:
        click.echo(_("warning: other users of this machine can see a code that is typed like this"), err=True)
        found = code
    else:
        found = click.prompt(_("code"), hide_input=True)
    if not 0 < len(found.strip()) <= LONGEST_CODE:
        raise AgentError(_("there is no code"), _("give the code as the platform showed it, on one line"))
    return found.strip()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AgentError(
            _("the file {path} cannot be read").format(path=path), _("write the code there, readable only by you")
        ) from error


def _tell_agent(config: "Config") -> None:
    """Let a running agent use the new key now; it would find it by itself within 15 minutes."""
    from instrument_agent.control import MayNotAsk, NoAgent, RequestFailed, ask

    with suppress(NoAgent, MayNotAsk, RequestFailed):
        ask(config.box.runtime_dir, {"do": "try_now"})
