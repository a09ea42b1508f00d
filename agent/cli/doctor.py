"""``instrument-agent doctor``: is all well with this box, and what is to be done where not?"""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from instrument_agent.cli.at_terminal import quiet_log
from instrument_agent.cli.options import as_json, config_option, examples
from instrument_agent.doctor.verdict import Grade, Verdict
from instrument_agent.i18n import _

if TYPE_CHECKING:
    from rich.table import Table

STYLE = {Grade.OK: "green", Grade.WARN: "yellow", Grade.FAIL: "bold red", Grade.NOT_APPLICABLE: "dim"}


@click.command(
    help=_("Look at everything this box depends on, and say of each whether it is well and what to do."),
    epilog=examples("doctor", "doctor --deep", "doctor --json"),
)
@config_option
@click.option("--deep", is_flag=True, help=_("verify every record too, which takes longer"))
@click.option("--json", "json_wanted", is_flag=True, help=_("print the result as JSON"))
def doctor(config_path: Path, deep: bool, json_wanted: bool) -> None:
    """Exit with 1 if anything fails; warnings are 0."""
    from instrument_agent.clock import SystemClock
    from instrument_agent.doctor.examination import examine
    from instrument_agent.doctor.machine import Places

    quiet_log()
    found = examine(config_path, SystemClock(), Places(), deep=deep)
    if json_wanted:
        click.echo(as_json(plain(found.verdicts)))
    else:
        from rich.console import Console

        Console().print(table(found.verdicts))
        click.echo(total(found.verdicts))
    sys.exit(0 if well(found.verdicts) else 1)


def well(verdicts: Sequence[Verdict]) -> bool:
    """Say whether nothing fails."""
    return all(item.grade is not Grade.FAIL for item in verdicts)


def plain(verdicts: Sequence[Verdict]) -> dict[str, object]:
    """Return the verdicts as data."""
    return {"ok": well(verdicts), "verdicts": [asdict(item) for item in verdicts]}


def total(verdicts: Sequence[Verdict]) -> str:
    """Return how many there are of each grade, in one line."""
    counts = {grade: sum(item.grade is grade for item in verdicts) for grade in Grade}
    return _("{ok} ok, {warn} warnings, {fail} failures, {others} not applicable").format(
        ok=counts[Grade.OK],
        warn=counts[Grade.WARN],
        fail=counts[Grade.FAIL],
        others=counts[Grade.NOT_APPLICABLE],
    )


def table(verdicts: Sequence[Verdict]) -> "Table":
    """Return the verdicts as a table for a terminal."""
    from rich.markup import escape

    from instrument_agent.cli.words import plain_table

    found = plain_table(_("looked at"), _("result"), _("what was found, and what to do"))
    found.columns[0].ratio, found.columns[2].ratio = 1, 3
    found.columns[1].no_wrap = True
    words, checks = _grade_words(), _check_words()
    for item in verdicts:
        style = STYLE[item.grade]
        about = f"\n[dim]{escape(item.about)}[/]" if item.about else ""
        finding = escape(item.finding)
        if item.advice and item.grade is not Grade.OK:
            finding += "\n[bold]" + _("→ {advice}").format(advice=escape(item.advice)) + "[/]"
        found.add_row(checks[item.check] + about, f"[{style}]{words[item.grade]}[/]", finding)
    return found


def _grade_words() -> dict[Grade, str]:
    return {
        Grade.OK: _("ok"),
        Grade.WARN: _("warning"),
        Grade.FAIL: _("failure"),
        Grade.NOT_APPLICABLE: _("not applicable"),
    }


def _check_words() -> dict[str, str]:
    return {
        "config": _("config file"),
        "agent": _("agent"),
        "unit": _("service"),
        "database": _("database"),
        "time": _("time (UTC)"),
        "wall_clock": _("system clock"),
        "zone": _("time zone"),
        "room": _("free space"),
        "filesystem": _("file system"),
        "wear": _("wear of the card"),
        "power": _("power and heat"),
        "port": _("port"),
        "instrument": _("instrument"),
        "clamp": _("current clamp"),
        "credential": _("credential"),
        "platform": _("platform"),
        "delivery": _("delivery"),
    }
