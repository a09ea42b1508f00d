"""``instrument-agent platform-check``: try out what a platform must do."""

import re
import ssl
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from instrument_agent.cli.options import as_json, examples
from instrument_agent.cli.platform import read_secret
from instrument_agent.cli.platform_database import installed
from instrument_agent.core.errors import AgentError
from instrument_agent.i18n import _

if TYPE_CHECKING:
    from instrument_agent.receiver.musts import Verdict
    from instrument_agent.receiver.trial import Trial


@click.command(
    help=_(
        "Try out whether a platform does what the contract demands, number by number (docs/contract/README.md)."
        " It writes some hundred records under the box it is given: use a box of its own."
    ),
    epilog=examples(
        "platform-check http://127.0.0.1:8080",
        "platform-check https://platform.example.org --box check-1 --code-file code.txt",
    ),
)
@click.argument("url")
@click.option("--box", "box_id", default="platform-check", show_default=True, help=_("the box it speaks for"))
@click.option("--token-file", type=click.Path(path_type=Path), help=_("file with the credential of that box"))
@click.option("--code-file", type=click.Path(path_type=Path), help=_("file with a one-time code for that box"))
@click.option("--ca-file", type=click.Path(path_type=Path), help=_("certificate of the authority to trust (PEM)"))
@click.option("--json", "json_wanted", is_flag=True, help=_("print the result as JSON"))
def platform_check(
    url: str, box_id: str, token_file: Path | None, code_file: Path | None, ca_file: Path | None, json_wanted: bool
) -> None:
    """Exit with 1 if a demand is not met."""
    token = None if token_file is None else read_secret(token_file)
    code = None if code_file is None else read_secret(code_file)
    _check_arguments(url, token, secret=token is not None or code is not None)
    with installed():
        from instrument_agent.receiver.musts import judge
        from instrument_agent.receiver.trial import NoAnswer, Trial
    try:
        trial = Trial(url, box_id, token, ca_file)
        _begin(trial, code)
    except NoAnswer as error:
        hint = _("look at the address, and whether the platform runs")
        if isinstance(error.__cause__, ssl.SSLError):
            hint = _("M18: boxes take no other certificate either; give that of your own authority with --ca-file")
        raise AgentError(_("{url}: {error}").format(url=url, error=error), hint) from error
    except OSError as error:
        raise AgentError(
            _("the file {path} cannot be read").format(path=ca_file), _("give the certificate as a PEM file")
        ) from error
    verdicts = list(judge(trial)) if json_wanted else list(_shown(judge(trial)))
    failed = sum(verdict.result == "fail" for verdict in verdicts)
    if json_wanted:
        click.echo(as_json({"ok": not failed, "musts": [asdict(verdict) for verdict in verdicts]}))
    else:
        passed = sum(verdict.result == "pass" for verdict in verdicts)
        told = _("{passed} passed, {failed} failed, {others} not tried")
        click.echo(told.format(passed=passed, failed=failed, others=len(verdicts) - passed - failed))
    sys.exit(1 if failed else 0)


def _shown(verdicts: "Iterable[Verdict]") -> "Iterable[Verdict]":
    words = {"pass": _("pass"), "fail": _("FAIL"), "not_tried": _("not tried")}
    for verdict in verdicts:
        click.echo(f"{verdict.number:<4} {words[verdict.result]}  {verdict.title}")
        if verdict.found:
            click.echo(f"       {verdict.found}")
        if verdict.todo:
            click.echo("       " + _("What to do: {hint}").format(hint=verdict.todo))
        yield verdict


def _begin(trial: "Trial", code: str | None) -> None:
    """See whether anybody is there, and enrol the box if there is a code for it."""
    if code is None:
        answer = trial.watermark()
        if answer.status in (401, 403):
            raise AgentError(
                _("the platform does not let this box in: {status} {body}").format(
                    status=answer.status, body=str(answer.body)[:200]
                ),
                _("give a one-time code with --code-file, or the credential of the box with --token-file"),
            )
        return
    answer = trial.enrol(code)
    if not trial.private_key:
        raise AgentError(
            _("the box was not enrolled: {status} {body}").format(status=answer.status, body=str(answer.body)[:200]),
            _("make a code for it: instrument-agent platform codes new --box {box}").format(box=trial.box_id),
        )


def _check_arguments(url: str, token: str | None, *, secret: bool) -> None:
    from instrument_agent.config.fields import is_loopback

    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise AgentError(
            _("{url} is not the address of a platform").format(url=url), _("write it like https://platform.example.org")
        )
    if secret and parts.scheme == "http" and not is_loopback(url):
        raise AgentError(
            _("over plain http everybody on the way could read the credential"),
            _("give an address that begins with https"),
        )
    if token is not None and not re.fullmatch("[!-~]+", token):
        raise AgentError(
            _("the credential is not one word of ASCII"), _("put it into the file as the platform gave it")
        )
