"""What an instrument did, as stretches of UTC: facts where there are any, else what heartbeats said, else unknown.

No record says "off". It follows where power sessions say when there was none: within a boot, from its first fact to
the end of its last power session, whatever is no session and no gap, as long as no record is missing in between that
could be one. After that only a heartbeat can say it.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from instrument_agent.core.anchors import Sights
from instrument_agent.core.readings import NS_PER_MS, Activity
from instrument_agent.receiver.counting import boot_clocks
from instrument_agent.receiver.tables import epochs, records, rejections, sights

NEWEST = 2000
"""How many facts of an instrument are looked at; before the oldest of them nothing is drawn from facts."""
_FACTS = ("run_session", "power_session", "observation_gap")
_PAINTED_AS = {
    "power_session": Activity.STANDBY,
    "run_session": Activity.RUNNING,
    "observation_gap": Activity.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class Stretch:
    """``activity`` from ``start_ms`` to ``end_ms``, UTC since 1970."""

    start_ms: int
    end_ms: int
    activity: Activity


@dataclass(frozen=True, slots=True)
class Fact:
    """A record; nothing is missing between two of the same ``run``. None: something before it is."""

    record: Mapping[str, Any]
    run: int | None


def timeline(connection: Connection, box_id: str, instrument_id: str, from_ms: int, to_ms: int) -> list[Stretch]:
    """Return what an instrument did from ``from_ms`` to ``to_ms`` (UTC since 1970), without a hole."""
    facts = _facts(connection, box_id, instrument_id)
    clocks = boot_clocks(_anchors(connection, box_id))
    return painted([*_said(connection, box_id, instrument_id, from_ms), *from_facts(facts, clocks)], from_ms, to_ms)


def from_facts(facts: Sequence[Fact], clocks: Mapping[str, Sights]) -> list[Stretch]:
    """Return what facts of one instrument say, in the order in which it is to be painted."""
    of_boot: dict[str, list[Fact]] = defaultdict(list)
    for fact in facts:
        of_boot[fact.record["boot_id"]].append(fact)
    found: list[Stretch] = []
    for boot_id, listed in of_boot.items():
        if boot_id not in clocks:
            continue
        layers = [(begin, end, Activity.OFF) for begin, end in _known_off(listed) if end > begin]
        for kind, activity in _PAINTED_AS.items():
            spans = (fact.record["data"] for fact in listed if fact.record["type"] == kind)
            layers += [(data["start_ms"], data["end_ms"], activity) for data in spans]
        found += [_in_utc(clocks[boot_id], *layer) for layer in layers]
    return found


def painted(layers: Iterable[Stretch], from_ms: int, to_ms: int) -> list[Stretch]:
    """Return stretches without a hole or an overlap: what comes later covers what came earlier."""
    listed = [item for item in layers if item.start_ms < to_ms and item.end_ms > from_ms]
    edges = {from_ms, to_ms} | {edge for item in listed for edge in (item.start_ms, item.end_ms)}
    cuts = sorted(edge for edge in edges if from_ms <= edge <= to_ms)
    colours = [Activity.UNKNOWN] * (len(cuts) - 1)
    place = {edge: at for at, edge in enumerate(cuts)}
    for item in listed:
        first, last = place[max(item.start_ms, from_ms)], place[min(item.end_ms, to_ms)]
        colours[first:last] = [item.activity] * (last - first)
    joined: list[Stretch] = []
    for at, activity in enumerate(colours):
        start_ms = joined.pop().start_ms if joined and joined[-1].activity is activity else cuts[at]
        joined.append(Stretch(start_ms, cuts[at + 1], activity))
    return joined


def _known_off(listed: Sequence[Fact]) -> list[tuple[int, int]]:
    """Return from when to when of a boot everything that is neither a session nor a gap was off."""
    of_run: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for fact in listed:
        if fact.run is not None:
            of_run[fact.run].append(fact.record)
    spans = []
    for of_one in of_run.values():
        ends = [record["data"]["end_ms"] for record in of_one if record["type"] == "power_session"]
        spans.append((min(record["data"]["start_ms"] for record in of_one), max(ends, default=0)))
    return spans


def _in_utc(clock: Sights, start_ms: int, end_ms: int, activity: Activity) -> Stretch:
    start, end = (clock.utc(moment_ms * NS_PER_MS).utc_ns // NS_PER_MS for moment_ms in (start_ms, end_ms))
    return Stretch(start, end, activity)


def _facts(connection: Connection, box_id: str, instrument_id: str) -> list[Fact]:
    query = select(records.c.epoch_id, records.c.seq, records.c.body).join(epochs)
    query = query.where(epochs.c.box_id == box_id, records.c.type.in_(_FACTS), records.c.instrument_id == instrument_id)
    newest = connection.execute(query.order_by(records.c.epoch_id.desc(), records.c.seq.desc()).limit(NEWEST))
    runs = _runs(connection, box_id)
    listed = []
    for row in newest:
        run, through = runs[row.epoch_id]
        listed.append(Fact(json.loads(row.body), run if row.seq <= through else None))
    if len(listed) < NEWEST:
        return listed
    # What lies before the oldest of them is known in part only: a session of power would lack its runs.
    boot_id, at_ms = listed[-1].record["boot_id"], listed[-1].record["at_ms"]
    return [fact for fact in listed if fact.record["boot_id"] != boot_id or fact.record["data"]["start_ms"] >= at_ms]


def _runs(connection: Connection, box_id: str) -> dict[int, tuple[int, int]]:
    """Return of each epoch (by id) the run it belongs to, and up to which seq all of it was stored.

    It belongs to the run of the epoch it follows if that one was stored to its end.
    """
    refused = select(func.min(rejections.c.seq)).where(rejections.c.epoch_id == epochs.c.id).scalar_subquery()
    query = select(epochs, refused.label("refused")).where(epochs.c.box_id == box_id).order_by(epochs.c.id)
    found: dict[int, tuple[int, int]] = {}
    named: dict[str, tuple[int, int]] = {}
    for row in connection.execute(query):
        through = row.acked_through if row.refused is None else min(row.acked_through, row.refused - 1)
        before = named.get(row.previous_epoch or "")
        whole = before is not None and row.previous_seq is not None and before[1] >= row.previous_seq
        found[row.id] = named[row.epoch] = (before[0] if before is not None and whole else row.id, through)
    return found


def _anchors(connection: Connection, box_id: str) -> list[dict[str, Any]]:
    query = select(records.c.body).join(epochs).where(epochs.c.box_id == box_id, records.c.type == "time_anchor")
    return [json.loads(body) for body in connection.execute(query).scalars()]


def _said(connection: Connection, box_id: str, instrument_id: str, from_ms: int) -> list[Stretch]:
    mine = (sights.c.box_id == box_id, sights.c.instrument_id == instrument_id, sights.c.end_utc_ms > from_ms)
    rows = connection.execute(select(sights).where(*mine).order_by(sights.c.end_utc_ms))
    return [Stretch(row.start_utc_ms, row.end_utc_ms, Activity(row.activity)) for row in rows]
