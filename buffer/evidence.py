"""All that this box knows about one run: what an argument about it has to start from."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from instrument_agent.buffer.books import anchors, intervals, states
from instrument_agent.buffer.chain import roots
from instrument_agent.buffer.reader import Readable
from instrument_agent.buffer.traces import BUCKET_MS, Bucket, Seen, load_buckets, load_edges
from instrument_agent.core.activity import STATE_NUMBERS
from instrument_agent.core.anchors import Anchor
from instrument_agent.core.errors import AgentError
from instrument_agent.core.ledger import Interval
from instrument_agent.core.readings import NS_PER_MS, Activity, UnknownReason
from instrument_agent.core.records import RecordType
from instrument_agent.i18n import _

AROUND_MS = 120_000
SHORTEST_EPOCH = 4
"""How many characters of an epoch name it at least."""


@dataclass(frozen=True, slots=True)
class Edge:
    """The start or the end of a run; ``beyond`` is what the books say on its other side, None: nothing any more.

    ``readings`` are all readings within two minutes, ``buckets`` their ten-second means: both may have been pruned.
    """

    at_ms: int
    beyond: Interval | None
    readings: tuple[Seen, ...]
    buckets: tuple[Bucket, ...]

    def judged(self, rules: Mapping[str, Any]) -> tuple[float | None, ...]:
        """Return the numbers before, at and after the edge whose median was judged; empty if they are not kept."""
        known = [(at_ms, _number(value, rules)) for at_ms, value in self.readings]
        known = [(at_ms, number) for at_ms, number in known if number is not None]
        gap_ms = rules.get("gap_ms", AROUND_MS)
        for index, (at_ms, number) in enumerate(known):
            if at_ms == self.at_ms:
                before, after = known[max(0, index - 1)], known[min(len(known) - 1, index + 1)]
                return (
                    before[1] if 0 < at_ms - before[0] <= gap_ms else None,
                    number,
                    after[1] if 0 < after[0] - at_ms <= gap_ms else None,
                )
        return ()

    def points(self, rules: Mapping[str, Any]) -> list[tuple[float, float, float]]:
        """Return seconds from the edge, lowest and highest number, of every reading or else of every ten seconds."""
        numbers = [(at_ms, _number(value, rules)) for at_ms, value in self.readings]
        found = [((at_ms - self.at_ms) / 1000, number, number) for at_ms, number in numbers if number is not None]
        middle_ms = BUCKET_MS / 2 - self.at_ms
        return found or [((item.start_ms + middle_ms) / 1000, item.low, item.high) for item in self.buckets]

    def threshold(self, rules: Mapping[str, Any], *, ends: bool) -> float | None:
        """Return the number that parts running from not running here; None if no record tells it, or states do."""
        return None if not rules or "states" in rules else float(rules["run_below" if ends else "run_above"])


@dataclass(frozen=True, slots=True)
class Evidence:
    """The record of a run, the rules it was judged by, both edges, and what lies between.

    ``rules`` is the record of those in force when it began; ``changed`` are those made while it lasted, and ``set_by``
    tells of the person who set the first, if one did. ``continued`` is the id of the run of the boot before it.
    """

    record: dict[str, Any]
    hash: str
    agent_version: str
    config_hash: str
    rules: dict[str, Any] | None
    changed: tuple[dict[str, Any], ...]
    set_by: dict[str, Any] | None
    continued: str | None
    start: Edge
    end: Edge
    gaps: tuple[Interval, ...]
    anchors: tuple[Anchor, ...]
    oldest_trace_ms: int | None

    @property
    def last_rules(self) -> dict[str, Any] | None:
        """The record of the rules in force when it ended."""
        return self.changed[-1] if self.changed else self.rules


def session_id(record: dict[str, Any]) -> str:
    """Return what a run is called: the beginning of its epoch, and its number there."""
    return f"{record['epoch'][:8]}-{record['seq']}"


def evidence(source: Readable, wanted: str) -> Evidence:
    """Return all there is about the run of an id (as ``session_id`` gives it, or with a longer epoch).

    Raises:
        AgentError: there is no such run.
        StoreDamaged: something about it is not as it was written.
    """
    row_id, record, digest = _record(source, wanted)
    instrument_id, boot_id, data = record["instrument_id"], record["boot_id"], record["data"]
    chain = intervals(source, instrument_id, boot_id)
    state = states(source).get(instrument_id)
    if state is not None and state.boot_id == boot_id:
        chain.append(state.line.open)
    start_ms, end_ms = data["start_ms"], data["end_ms"]
    before = next((item for item in chain if item.end_ns // NS_PER_MS == start_ms), None)
    after = next((item for item in chain if item.start_ns // NS_PER_MS == end_ms), None)
    began = source.rows("select agent_version, config_hash from epochs where epoch = ?", (record["epoch"],))
    rules, changed = _in_force(_told(source, instrument_id, row_id, "configured", "drift"), record)
    people = _told(source, instrument_id, row_id, "commissioned", "adjusted")
    first = source.rows(
        "select min(start_ms) from buckets where instrument_id = ? and boot_id = ?", (instrument_id, boot_id)
    )
    return Evidence(
        record=record,
        hash=digest,
        agent_version=began[0][0] if began else "",
        config_hash=began[0][1] if began else "",
        rules=rules,
        changed=changed,
        set_by=_set_by(people, rules),
        continued=_continued(source, record),
        start=_edge(source, instrument_id, boot_id, start_ms, before),
        end=_edge(source, instrument_id, boot_id, end_ms, after),
        gaps=tuple(_gaps(chain, start_ms, end_ms)),
        anchors=tuple(_nearest(anchors(source, boot_id), start_ms, end_ms)),
        oldest_trace_ms=first[0][0],
    )


def plain(found: Evidence) -> dict[str, Any]:
    """Return the same as JSON has it; times on the boot clock are in ms, or in ns where their name says so."""
    first, last = (rules_of(told) for told in (found.rules, found.last_rules))
    return {
        "record": found.record,
        "hash": found.hash,
        "continues": found.continued,
        "agent_version": found.agent_version,
        "config_hash": found.config_hash,
        "rules_record": found.rules,
        "rules_changed_by": list(found.changed),
        "rules_set_by": found.set_by,
        "start": _plain_edge(found.start, first),
        "end": _plain_edge(found.end, last),
        "gaps": [asdict(item) for item in found.gaps],
        "anchors": [asdict(item) for item in found.anchors],
        "oldest_trace_ms": found.oldest_trace_ms,
    }


def rules_of(told: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the rules of a record; empty if there is none."""
    return {} if told is None else dict(told["data"]["rules"])


def _plain_edge(edge: Edge, rules: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "at_ms": edge.at_ms,
        "beyond": None if edge.beyond is None else asdict(edge.beyond),
        "judged": list(edge.judged(rules)),
        "readings": [
            {"at_ms": at_ms, "failed" if isinstance(value, UnknownReason) else "value": value}
            for at_ms, value in edge.readings
        ],
        "buckets": [{"start_ms": item.start_ms, **asdict(item)} for item in edge.buckets],
    }


def _record(source: Readable, wanted: str) -> tuple[int, dict[str, Any], str]:
    epoch, _dash, seq = wanted.rpartition("-")
    if len(epoch) < SHORTEST_EPOCH or not seq.isdecimal():
        raise AgentError(
            _("{text} is not the id of a run").format(text=wanted),
            _("take one from the list: instrument-agent sessions"),
        )
    rows = source.rows(
        "select id, body, hash from records where seq = ? and type = ? and substr(epoch, 1, ?) = ?",
        (int(seq), RecordType.RUN_SESSION.value, len(epoch), epoch),
    )
    if len(rows) > 1:
        raise AgentError(
            _("{count} runs have the id {id}").format(count=len(rows), id=wanted),
            _("give more characters of the epoch: instrument-agent sessions --format json has all of them"),
        )
    if not rows and any(name.startswith(epoch) and int(seq) <= last for name, (last, _hash) in roots(source).items()):
        raise AgentError(
            _("record {id} is not kept any more: it was confirmed and pruned").format(id=wanted),
            _("its hours are in `instrument-agent usage`, and the platforms have the record"),
        )
    if not rows:
        raise AgentError(
            _("there is no run {id} in this database").format(id=wanted),
            _("take one from the list: instrument-agent sessions; a run that goes on is not in it yet"),
        )
    row_id, body, digest = rows[0]
    return row_id, json.loads(body), digest


def _told(source: Readable, instrument_id: str, before_id: int, *events: str) -> list[dict[str, Any]]:
    """Return the records of such events that hold rules, oldest first, up to a place in the log.

    What was commissioned counts from when the agent took it up, which is a record of its own.
    """
    rows = source.rows(
        "select body from records where type = ? and instrument_id = ? and id < ? order by id",
        (RecordType.LIFECYCLE_EVENT.value, instrument_id, before_id),
    )
    bodies = [json.loads(body) for (body,) in rows]
    return [body for body in bodies if body["data"].get("event") in events and "rules" in body["data"]]


def _in_force(
    told: list[dict[str, Any]], run: Mapping[str, Any]
) -> tuple[dict[str, Any] | None, tuple[dict[str, Any], ...]]:
    """Return the record of the rules when a run began, and those of the changes until it ended."""
    start_ms, end_ms = run["data"]["start_ms"], run["data"]["end_ms"]
    later = [item for item in told if item["boot_id"] == run["boot_id"] and item["at_ms"] > start_ms]
    first = next((item for item in reversed(told) if item not in later), later[0] if later else None)
    return first, tuple(item for item in later if item["at_ms"] <= end_ms and item is not first)


def _set_by(people: list[dict[str, Any]], rules: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the newest record in which somebody set these rules; drift moves them, but is nobody's doing."""
    wanted = rules_of(rules)
    drifted = rules is not None and rules["data"]["event"] == "drift"
    keys = ("off_below", "standby_level") if drifted else tuple(wanted)
    found = [item for item in people if all(item["data"]["rules"].get(key) == wanted.get(key) for key in keys)]
    return found[-1] if found and wanted else None


def _continued(source: Readable, run: Mapping[str, Any]) -> str | None:
    """Return the id of the run that went on in this one; None if there is none, or its record is not kept any more."""
    earlier = run["data"].get("continues")
    if earlier is None:
        return None
    rows = source.rows(
        "select body from records where type = ? and instrument_id = ? and json_extract(body, '$.boot_id') = ?"
        " and json_extract(body, '$.data.start_ms') = ?",
        (RecordType.RUN_SESSION.value, run["instrument_id"], earlier["boot_id"], earlier["start_ms"]),
    )
    return session_id(json.loads(rows[0][0])) if rows else None


def _edge(source: Readable, instrument_id: str, boot_id: str, at_ms: int, beyond: Interval | None) -> Edge:
    span = (at_ms - AROUND_MS, at_ms + AROUND_MS)
    stretches = load_edges(source, instrument_id, boot_id, *span)
    readings = [seen for stretch in stretches for seen in stretch if span[0] <= seen[0] <= span[1]]
    around = next((stretch for stretch in stretches if stretch[0][0] <= at_ms <= stretch[-1][0]), None)
    buckets = load_buckets(source, instrument_id, boot_id, *span)
    # Readings of another run's edge near by are no evidence of this one.
    return Edge(at_ms, beyond, tuple(readings) if around is not None else (), tuple(buckets))


def _gaps(chain: Iterable[Interval], start_ms: int, end_ms: int) -> Iterable[Interval]:
    for item in chain:
        inside = start_ms * NS_PER_MS <= item.start_ns and item.end_ns // NS_PER_MS <= end_ms
        if inside and item.activity is Activity.UNKNOWN and item.start_ns < item.end_ns:
            yield item


def _nearest(known: list[Anchor], start_ms: int, end_ms: int) -> list[Anchor]:
    """Return the anchors between which a run lies, and the best one."""
    if not known:
        return []
    start_ns, end_ns = start_ms * NS_PER_MS, end_ms * NS_PER_MS
    before = [item for item in known if item.boottime_ns <= start_ns][-1:]
    after = [item for item in known if item.boottime_ns >= end_ns][:1]
    best = min(known, key=lambda item: item.error_ns)
    return sorted({*before, *after, best}, key=lambda item: item.boottime_ns)


def _number(value: object, rules: Mapping[str, Any]) -> float | None:
    """Return a reading as its rules took it: a number, or that of the activity its raw state means."""
    states_named = rules.get("states")
    if isinstance(value, UnknownReason) or value is None:
        return None
    if states_named:
        code = f"{value:g}" if isinstance(value, int | float) else value
        return STATE_NUMBERS.get(Activity(states_named.get(code, Activity.UNKNOWN)))
    return float(value) if isinstance(value, int | float) else None
