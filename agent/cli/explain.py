"""``instrument-agent explain``: everything behind one run, enough to argue about it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from instrument_agent.buffer.boots import chronology
from instrument_agent.buffer.evidence import AROUND_MS, Edge, Evidence, evidence, plain, rules_of, session_id
from instrument_agent.buffer.opening import look
from instrument_agent.buffer.reader import FILE_NAME
from instrument_agent.cli import words
from instrument_agent.cli.edge_plot import edge_plot
from instrument_agent.cli.options import as_json, config_option, examples
from instrument_agent.cli.sessions import session_row
from instrument_agent.core.anchors import Quality
from instrument_agent.core.chronology import Chronology
from instrument_agent.core.readings import NS_PER_MS, Activity, UnknownReason
from instrument_agent.core.records import RulesOrigin
from instrument_agent.i18n import _

BESIDE = 4
"""So many readings are printed on each side of an edge."""
TOOLS = {"calibrate": "calibrate --write", "what_if": "replay --what-if --apply"}
"""The commands behind the tool of an ``adjusted`` record."""


@click.command(
    help=_("Show why a run is in the books: readings, rule, thresholds, clock and software behind it."),
    epilog=examples("explain 1f0c2e9a-42", "explain 1f0c2e9a-42 --database /media/usb/buffer.db --json"),
)
@click.argument("session", metavar="ID")
@config_option
@click.option(
    "--database",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=_("a database file, for instance a copy, instead of the one of the config file"),
)
@click.option("--json", "json_wanted", is_flag=True, help=_("print the result as JSON"))
def explain(session: str, config_path: Path, database: Path | None, json_wanted: bool) -> None:
    """Print it; times are those of the box's zone, or UTC for a database without a config file."""
    from instrument_agent.config import load_config

    zone = "UTC"
    if database is None or config_path.exists():
        box = load_config(config_path).box
        zone = box.timezone
        database = box.state_dir / FILE_NAME if database is None else database
    reader = look(database.parent, database.name)
    try:
        found = evidence(reader, session)
        times = chronology(reader)
    finally:
        reader.close()
    if json_wanted:
        click.echo(as_json({"id": session_id(found.record)} | plain(found) | {"times": _times(found, times, zone)}))
        return
    for line in (
        *_head(found, times, zone),
        *_rule(found),
        *_edge(found, found.start, _("Start"), ends=False),
        *_edge(found, found.end, _("End"), ends=True),
        *_between(found),
        *_clock(found, times),
    ):
        click.echo(line)


def _times(found: Evidence, times: Chronology, zone: str) -> dict[str, Any]:
    row = session_row(found.record, times, ZoneInfo(zone))
    names = ("quality", "start_earliest", "start_latest", "end_earliest", "end_latest")
    return {"timezone": zone} | {name: row[name] for name in ("start", "end", "utc_error_s", *names)}


def _head(found: Evidence, times: Chronology, zone: str) -> Iterator[str]:
    record, data = found.record, found.record["data"]
    yield _("Run {id} of {instrument}").format(id=session_id(record), instrument=record["instrument_id"])
    row = session_row(record, times, ZoneInfo(zone))
    for word, name in ((_("start"), "start"), (_("end"), "end")):
        if row[f"{name}_earliest"] is None and row[f"{name}_latest"] is None:
            sentence = _("{word}: boot clock {seconds:.3f} s; what time that was is not known")
            yield "  " + sentence.format(word=word, seconds=data[f"{name}_ms"] / 1000)
            continue
        bounds = " .. ".join(row[f"{name}_{side}"] or words.NOTHING for side in ("earliest", "latest"))
        seconds = data[f"{name}_ms"] / 1000
        sentence = _("{word}: {at} ({zone}), certainly within {bounds}; boot clock {seconds:.3f} s")
        at = row[name] or words.NOTHING
        yield "  " + sentence.format(word=word, at=at, zone=zone, bounds=bounds, seconds=seconds)
    yield "  " + _("running time {running}, unobserved inside it {unseen}").format(
        running=words.duration(data["running_ms"]), unseen=words.duration(data["unseen_ms"])
    )
    if "continues" in data:
        sentence = _("goes on from run {id}, which began at {seconds:.3f} s of boot {boot}")
        earlier, before = data["continues"], found.continued or words.NOTHING
        yield "  " + sentence.format(id=before, seconds=earlier["start_ms"] / 1000, boot=earlier["boot_id"])
    yield "  " + _("record {seq} of epoch {epoch}, SHA-256 {hash}").format(
        seq=record["seq"], epoch=record["epoch"], hash=found.hash
    )
    sentence = _("written by version {version} under the config with SHA-256 {hash}")
    yield "  " + sentence.format(version=found.agent_version or words.NOTHING, hash=found.config_hash or words.NOTHING)


def _rule(found: Evidence) -> Iterator[str]:
    yield _("Rule")
    if found.rules is None:
        yield "  " + _("no record says how this instrument was judged")
        return
    yield from _rules(found.rules, _("as record {seq} of epoch {epoch} says, for channel {channel}:"))
    yield "  " + _origin(found)
    for changed in found.changed:
        yield from _rules(changed, _("changed during this run, at {seconds:.3f} s, by record {seq} of epoch {epoch}:"))


def _rules(told: Mapping[str, Any], sentence: str) -> Iterator[str]:
    rules = told["data"]["rules"]
    where = {"seq": told["seq"], "epoch": told["epoch"], "seconds": told["at_ms"] / 1000}
    yield "  " + sentence.format(**where, channel=rules["channel"])
    if "states" in rules:
        named = ", ".join(f"{code} = {words.activity_word(name)}" for code, name in rules["states"].items())
        yield "  " + _("raw states: {states}").format(states=named)
    else:
        sentence = _("off below {off_below}; a run begins at {run_above} or over, and ends below {run_below}")
        yield "  " + sentence.format(**rules)
        if rules.get("single_readings"):
            yield "  " + _("a run begins by the median of three readings, and ends by single readings")
        else:
            yield "  " + _("each reading counts as the median of itself and its two neighbours")
    sentence = _(
        "a run must last {on:g} s, a pause {off:g} s; silence over {gap:g} s is unknown, over {bridge:g} s ends it"
    )
    names = {"on": "min_on_ms", "off": "min_off_ms", "gap": "gap_ms", "bridge": "bridge_ms"}
    yield "  " + sentence.format(**{name: rules[key] / 1000 for name, key in names.items()})


def _origin(found: Evidence) -> str:
    """Say who set the rules, and by which record."""
    if found.set_by is not None:
        data = found.set_by["data"]
        where = {"seq": found.set_by["seq"], "epoch": found.set_by["epoch"]}
        sentence = _("set by {by} with `{command}`, record {seq} of epoch {epoch}")
        command = TOOLS.get(data.get("tool"), "commission")
        return sentence.format(by=data.get("by") or _("somebody who gave no name"), command=command, **where)
    if found.rules is not None and found.rules["data"].get("rules_origin") == RulesOrigin.LEARNED:
        return _("learned by the agent itself; nobody has confirmed it")
    return _("as they stood in the config file; no record says who wrote them there")


def _edge(found: Evidence, edge: Edge, title: str, *, ends: bool) -> Iterator[str]:
    yield title
    rules = rules_of(found.last_rules if ends else found.rules)
    states = rules.get("states", {})
    yield "  " + _why(found, edge, ends=ends, by_states=bool(states))
    judged = [] if states else edge.judged(rules)
    if judged:
        shown = ", ".join(words.NOTHING if number is None else f"{number:g}" for number in judged)
        yield "  " + _("readings before, at and after it: {numbers}").format(numbers=shown)
    points = edge.points(rules)
    if not points:
        yield "  " + _no_trace(found, edge)
        return
    if not edge.readings:
        yield "  " + _("single readings are not kept of this time any more, only what ten seconds had")
    threshold = edge.threshold(rules, ends=ends)
    if threshold is not None:
        yield from edge_plot(points, threshold, AROUND_MS / 1000)
    yield from _readings(edge, states)


def _why(found: Evidence, edge: Edge, *, ends: bool, by_states: bool) -> str:
    """Say which crossing, or which silence, this edge was dated by."""
    beyond, data = edge.beyond, found.record["data"]
    if beyond is None and ends and "end_uncertainty_ms" in data:
        sentence = _("the last sight before the boot ended; it may have gone on for {seconds:g} s more")
        return sentence.format(seconds=data["end_uncertainty_ms"] / 1000)
    if beyond is None:
        return _("what the books had on the other side is not kept any more, or never was")
    if beyond.activity is Activity.UNKNOWN:
        reason = words.reason_word(beyond.reason)
        if ends:
            return _("the last sight before a silence too long to be spanned: {reason}").format(reason=reason)
        return _("seen running at the first sight after: {reason}").format(reason=reason)
    if by_states:
        sentence = _("the first state with another meaning, which lasted long enough; on the other side: {activity}")
    elif ends:
        sentence = _("the first value on the other side of the threshold, which stayed there long enough: {activity}")
    else:
        sentence = _("the first value at or over the threshold, which stayed there long enough; before it: {activity}")
    return sentence.format(activity=words.activity_word(beyond.activity.value))


def _no_trace(found: Evidence, edge: Edge) -> str:
    if found.oldest_trace_ms is None:
        return _("no readings of this boot are kept any more: only the records stand")
    if edge.at_ms < found.oldest_trace_ms:
        sentence = _("readings of this time were pruned; the oldest kept of this boot are of {seconds:.0f} s")
        return sentence.format(seconds=found.oldest_trace_ms / 1000)
    return _("no readings of this time were written down")


def _readings(edge: Edge, states: Mapping[str, str]) -> Iterator[str]:
    """Yield the readings next to the edge, the one it is dated by marked, and what each state means."""
    at = next((number for number, seen in enumerate(edge.readings) if seen[0] >= edge.at_ms), len(edge.readings))
    for at_ms, value in edge.readings[max(0, at - BESIDE) : at + BESIDE + 1]:
        shown = words.reason_word(value) if isinstance(value, UnknownReason) else _shown(value)
        meaning = f" = {words.activity_word(states[shown])}" if shown in states else ""
        mark = " <" if at_ms == edge.at_ms else ""
        yield f"  {(at_ms - edge.at_ms) / 1000:>+10.3f} s  {shown}{meaning}{mark}"


def _shown(value: object) -> str:
    if value is None:
        return _("not credible")
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _between(found: Evidence) -> Iterator[str]:
    yield _("Unknown time inside")
    if not found.gaps:
        yield "  " + (_("none") if not found.record["data"]["unseen_ms"] else _("its intervals are not kept any more"))
    for gap in found.gaps:
        sentence = _("{seconds:g} s from {start:.3f} s of the boot clock: {reason}")
        seconds = (gap.end_ns - gap.start_ns) / 1e9
        reason = words.reason_word(gap.reason)
        yield "  " + sentence.format(seconds=seconds, start=gap.start_ns / 1e9, reason=reason)


def _clock(found: Evidence, times: Chronology) -> Iterator[str]:
    yield _("Clock")
    if not found.anchors:
        moment = times.moment(found.record["boot_id"], found.record["data"]["start_ms"] * NS_PER_MS)
        unknown = moment.quality is Quality.UNKNOWN
        yield "  " + (
            _("nothing tells the time of this boot") if unknown else _("only the boots before and after bound its time")
        )
    for anchor in found.anchors:
        sentence = _("at {seconds:.3f} s of the boot clock {source} said {utc} UTC, within {error:g} s")
        utc = words.local_time(anchor.utc_ns // NS_PER_MS, "UTC")
        error = anchor.error_ns / 1e9
        yield "  " + sentence.format(seconds=anchor.boottime_ns / 1e9, source=anchor.source, utc=utc, error=error)
