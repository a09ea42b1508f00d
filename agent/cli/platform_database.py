"""How the commands of the reference platform open its database."""

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import click

from instrument_agent.core.errors import AgentError
from instrument_agent.i18n import _

if TYPE_CHECKING:
    from instrument_agent.receiver.enrolment import Enrolment

database_option = click.option(
    "--database",
    default="sqlite:///platform.db",
    show_default=True,
    envvar="INSTRUMENT_AGENT_DATABASE",
    show_envvar=True,
    help=_("where facts are kept: sqlite:///FILE or postgresql://USER@HOST/NAME"),
)


def enrolment_of(stack: ExitStack, database: str) -> "Enrolment":
    """Open who may speak for which box; ``stack`` closes it again."""
    with installed():
        from instrument_agent.receiver.enrolment import Enrolment
    enrolment: Enrolment = opened(lambda: Enrolment(database))
    stack.callback(enrolment.close)
    return enrolment


@contextmanager
def installed() -> Iterator[None]:
    """Turn a missing extra into a sentence."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise _not_installed(error, "platform") from error


def _not_installed(error: ModuleNotFoundError, extra: str) -> AgentError:
    return AgentError(
        _("the platform is not installed: {error}").format(error=error),
        _("install it: {python} -m pip install 'instrument-agent[{extra}]'").format(
            python=shlex.quote(sys.executable), extra=extra
        ),
    )


def opened(opening: Callable[[], Any]) -> Any:
    """Open a database; what is wrong with it becomes a sentence that does not show its password."""
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    try:
        return opening()
    except ModuleNotFoundError as error:
        raise _not_installed(error, "platform,postgres") from error
    except (ArgumentError, ValueError) as error:
        raise AgentError(
            _("the database cannot be used: {error}").format(error=error),
            _("give --database as sqlite:///FILE or postgresql://USER@HOST/NAME"),
        ) from error
    except SQLAlchemyError as error:
        raise AgentError(
            _("the database cannot be opened: {error}").format(error=getattr(error, "orig", error)),
            _("look whether it is there, runs, and may be written by this user"),
        ) from error
