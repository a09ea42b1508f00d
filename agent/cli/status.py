"""``instrument-agent status``: what the box and its instruments do now."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from instrument_agent.cli import words
from instrument_agent.cli.options import as_json, config_option, examples
from instrument_agent.core.anchors import Quality
from instrument_agent.i18n import _, ngettext

if TYPE_CHECKING:
    from rich.console import RenderableType


@click.command(
    help=_("Show what each instrument does, how it is read, and what waits for delivery."),
    epilog=examples("status", "status --json"),
)
@config_option
@click.option("--json", "json_wanted", is_flag=True, help=_("print everything as one JSON object"))
def status(config_path: Path, json_wanted: bool) -> None:
    """Ask the running agent; without one, look into the database."""
    from instrument_agent.config import load_config

    config = load_config(config_path)
    found = current_status(config)
    if json_wanted:
        click.echo(as_json(found))
        return
    from rich.console import Console

    Console().print(status_view(found, config.box.timezone))


def current_status(config: Any) -> dict[str, Any]:  # Config, imported only where it is used
    """Return the status from the running agent, or from its database if none runs."""
    from instrument_agent.clock import SystemClock
    from instrument_agent.control import NoAgent, ask
    from instrument_agent.snapshot import stopped_status

    try:
        answer: dict[str, Any] = ask(config.box.runtime_dir, {"do": "status"})
    except NoAgent:
        return stopped_status(config, SystemClock())
    return answer


def status_view(found: dict[str, Any], zone: str, truth: Mapping[str, str] | None = None) -> "RenderableType":
    """Return the status as a picture for a terminal; the demo knows the ``truth`` (activity by instrument) too."""
    from rich.console import Group

    parts: list[RenderableType] = [_headline(found, zone), "", _instruments(found, truth or {})]
    parts += ["", _destinations(found)] if found["destinations"] else []
    parts.append("")
    if found.get("storage_error"):
        parts.append(_problem(_("Nothing can be written down"), found["storage_error"], ""))
    if found["epochs_unknown_here"]:
        count = len(found["epochs_unknown_here"])
        error = ngettext(
            "a platform has records of {count} epoch of this box that is not in its database",
            "a platform has records of {count} epochs of this box that are not in its database",
            count,
        )
        hint = _("a card was put back or copied, or a database was lost; see docs/durability.md")
        parts.append(_problem(found["box_id"], error.format(count=count), hint))
    parts += [
        _problem(item["instrument_id"], item["driver"]["error"], item["driver"]["hint"])
        for item in found["instruments"]
        if item["driver"] and item["driver"]["error"]
    ]
    sentence, hint = _("its witness {witness} says otherwise"), _("one of the two is wrong: look at both sensors")
    parts += [
        _problem(item["instrument_id"], sentence.format(witness=item["contradicted_by"]), hint)
        for item in found["instruments"]
        if item.get("contradicted_by")
    ]
    parts += [
        _problem(item["name"], item["contact"]["error"], item["contact"]["hint"])
        for item in found["destinations"]
        if item.get("contact", {}).get("error")
    ]
    hint = _("see: instrument-agent deadletter list")
    parts += [
        _problem(item["name"], _("it refused {count} records").format(count=item["queue"]["dead_lettered"]), hint)
        for item in found["destinations"]
        if item["queue"]["dead_lettered"]
    ]
    return Group(*parts)


def _headline(found: dict[str, Any], zone: str) -> str:
    from rich.markup import escape

    utc = found["utc"]
    clock = words.local_time(utc["at_ms"], zone) if utc else _("the time is not known yet")
    if utc and utc["quality"] == Quality.BOUNDED:
        clock += f" ± {words.duration(utc['error_ms'])}"
    agent = "[bold red]" + _("no agent is running, and none has run in this boot") + "[/]"
    if found["running"]:
        agent = _("the agent is running")
    elif found["ran_in_this_boot"]:
        agent = "[bold red]" + _("no agent is running") + "[/]"
    box = _("box {id}").format(id=found["box_id"])
    return f"[bold]{box}[/]  {agent}  {clock}  {escape(found['config'])}"


def _problem(what: str, error: str, hint: str) -> str:
    from rich.markup import escape

    sentence = _("{what}: {error}. {hint}") if hint else _("{what}: {error}")
    return sentence.format(what=f"[red]{escape(what)}[/]", error=escape(error), hint=escape(hint))


def _instruments(found: dict[str, Any], truth: Mapping[str, str]) -> "RenderableType":
    from rich.markup import escape

    table = words.plain_table(
        _("instrument"),
        _("activity"),
        _("reading"),
        _("open run"),
        _("running time"),
        _("coverage"),
        _("in truth") if truth else _("driver"),  # what is amiss with a driver is told under the tables anyway
    )
    for item in found["instruments"]:
        run = item["open_run"]
        table.add_row(
            f"{item['instrument_id']}\n[dim]{escape(words.own_name(item))}[/]",
            _activity_now(item, found),
            words.reading(item["reading"]),
            words.duration(found["boottime_ms"] - run["start_ms"]) if run and found["running"] else words.NOTHING,
            words.duration(item["spent_ms"]["running"]),
            words.percent(item["coverage"]),
            _activity(truth[item["instrument_id"]]) if truth else _driver(item["driver"]),
        )
    return table


def _activity_now(item: dict[str, Any], found: dict[str, Any]) -> str:
    """Return the activity, how long it has lasted, and why it is unknown, below each other."""
    lines = [_activity(item["activity"])]
    if found["running"]:
        lines.append(_("for {time}").format(time=words.duration(found["boottime_ms"] - item["since_ms"])))
    elif not found["ran_in_this_boot"]:
        return lines[0]  # the headline says all that is known of now
    return "\n".join([*lines, words.reason_word(item["reason"])]).rstrip()


def _activity(activity: str) -> str:
    return f"[{words.ACTIVITY_STYLE[activity]}]{words.activity_word(activity)}[/]"


def _driver(health: dict[str, Any] | None) -> str:
    if health is None:
        return words.NOTHING
    if health["failing"]:
        return "[red]" + _("failing") + "[/]"  # the reason is told under the tables
    if health["failures"]:
        return _("ok, {failures} of {reads} reads failed").format(**health)
    return "[green]" + _("ok") + "[/]"


def _destinations(found: dict[str, Any]) -> "RenderableType":
    table = words.plain_table(
        _("destination"), _("records made"), _("acknowledged"), _("waiting"), _("refused"), _("heartbeats")
    )
    for item in found["destinations"]:
        queue = item["queue"]
        acknowledged = str(queue["acknowledged"])
        if queue["acked_at_ns"] is not None and queue["acked_boot_id"] == found["boot_id"]:
            passed = words.duration(found["boottime_ms"] - queue["acked_at_ns"] // 1_000_000)
            acknowledged += "\n" + _("last {time} ago").format(time=passed)
        waiting, refused = str(queue["waiting"]), str(queue["dead_lettered"])
        beats = str(item.get("heartbeats_sent", words.NOTHING))
        table.add_row(item["name"], str(queue["made"]), acknowledged, waiting, refused, beats)
    return table
