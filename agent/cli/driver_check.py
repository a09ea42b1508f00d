"""``instrument-agent driver-check``: does a driver do what every driver must?"""

import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from instrument_agent.cli.at_terminal import quiet_log
from instrument_agent.cli.options import as_json, examples
from instrument_agent.core.errors import ConfigError
from instrument_agent.i18n import _, ngettext

if TYPE_CHECKING:
    from instrument_agent.drivers.conformance import Finding


MARKS = {"ok": "✓", "failed": "✗", "unanswered": "?", "skipped": "-"}


@click.command(
    name="driver-check",
    help=_("Check whether a driver does what every driver must: on its device, and on lines that misbehave."),
    epilog=examples(
        "driver-check mock --option script=[20.0]",
        "driver-check my-driver --option port=/dev/ttyUSB0",
        "driver-check --config config.toml xrd-1",
    ),
)
@click.argument("name")
@click.option("--option", "given", multiple=True, metavar="KEY=VALUE", help=_("an option of the driver, as in TOML"))
@click.option(
    "--config", "config_path", type=click.Path(path_type=Path), help=_("NAME is an instrument of this config file")
)
@click.option("--json", "json_wanted", is_flag=True, help=_("print the result as JSON"))
def driver_check(name: str, given: Sequence[str], config_path: Path | None, json_wanted: bool) -> None:
    """Run every check; exit status 1 if one failed, or the device did not answer."""
    quiet_log()
    if config_path is None:
        found = _by_name(name, given)
    elif given:
        raise ConfigError(_("--option and --config exclude each other"))
    else:
        found = _of_instrument(name, config_path)
    good = not any(item.failed or item.unanswered for item in found)
    if json_wanted:
        findings = [_as_json(item) for item in found]
        click.echo(as_json({"ok": good, "not_run": _not_run(found), "findings": findings}))
    else:
        _print(found)
    sys.exit(0 if good else 1)


def _by_name(name: str, given: Sequence[str]) -> list["Finding"]:
    from instrument_agent.drivers.conformance import findings
    from instrument_agent.drivers.registry import driver_class
    from instrument_agent.tables.binding import bind, takes_options
    from instrument_agent.tables.mistakes import InvalidConfig, Notebook

    driver = driver_class(name)
    book = Notebook(Path("--option"), {})
    options = dict(map(_option, given))
    if takes_options(driver):  # of any other the first check says what it is
        options = bind(driver, options, (), book)
    if book.mistakes:
        raise InvalidConfig(book.mistakes)
    return findings(driver, options)


def _of_instrument(name: str, config_path: Path) -> list["Finding"]:
    from instrument_agent.config import load_config
    from instrument_agent.drivers.conformance import findings
    from instrument_agent.field.access import instrument_of, without_agent

    config = load_config(config_path)
    chosen = instrument_of(config, name)
    with without_agent(config):
        return findings(chosen.driver.driver, chosen.driver.options)


def _option(text: str) -> tuple[str, object]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ConfigError(_("{text} is no option: write KEY=VALUE").format(text=text))
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value  # a text without its quotes, which the shell ate


def _not_run(found: Sequence["Finding"]) -> int:
    from instrument_agent.drivers.conformance import checks

    return len(checks()) - len(found)


def _result(item: "Finding") -> str:
    if item.failed:
        return "failed"
    if item.unanswered:
        return "unanswered"
    return "skipped" if item.skipped else "ok"


def _as_json(item: "Finding") -> Mapping[str, Any]:
    problem = item.problem or item.unanswered or item.skipped
    return {"check": item.check, "result": _result(item), "problem": problem, "hint": item.hint}


def _print(found: Sequence["Finding"]) -> None:
    for item in found:
        click.echo(f"{MARKS[_result(item)]} {item.check}")
        if item.skipped:
            click.echo("    " + _("not applicable: {reason}").format(reason=item.skipped))
        if item.problem or item.unanswered:
            click.echo(f"    {item.problem or item.unanswered}")
        if item.hint:
            click.echo("    " + _("What to do: {hint}").format(hint=item.hint))
    _print_end(found)


def _print_end(found: Sequence["Finding"]) -> None:
    if not_run := _not_run(found):
        sentence = ngettext(
            "{count} check was not run: correct this first", "{count} checks were not run: correct this first", not_run
        )
        click.echo(sentence.format(count=not_run))
    failed, skipped = sum(item.failed for item in found), sum(bool(item.skipped) for item in found)
    unanswered = any(item.unanswered for item in found)
    if failed:
        click.echo(ngettext("{count} check failed", "{count} checks failed", failed).format(count=failed))
    elif skipped:
        sentence = ngettext(
            "nothing failed; {count} check does not apply here",
            "nothing failed; {count} checks do not apply here",
            skipped,
        )
        click.echo(sentence.format(count=skipped))
    elif not unanswered:
        click.echo(_("everything a driver must do, this one does"))
    if unanswered:
        click.echo(_("the device itself did not answer: only the driver was tried"))
