"""What an instrument did, as stretches of UTC: facts where there are any, else what heartbeats said, else unknown.

No record says "off". It follows where power sessions say when there was none: within a boot, from its first fact to
the end of its last power session, whatever is no session and no gap. After that only a heartbeat can say it.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from instrument_agent.core.anchors import Sights
from instrument_agent.core.readings import NS_PER_MS, Activity
from instrument_agent.receiver.counting import boot_clocks
from instrument_agent.receiver.tables import epochs, records, sights

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


def timeline(connection: Connection, box_id: str, instrument_id: str, from_ms: int, to_ms: int) -> list[Stretch]:
    """Return what an instrument did from ``from_ms`` to ``to_ms`` (UTC since 1970), without a hole."""
    facts = _facts(connection, box_id, instrument_id)
    clocks = boot_clocks(_anchors(connection, box_id))
    return painted([*_said(connection, box_id, instrument_id, from_ms), *from_facts(facts, clocks)], from_ms, to_ms)


def from_facts(facts: Sequence[Mapping[str, Any]], clocks: Mapping[str, Sights]) -> list[Stretch]:
    """Return what facts of one instrument say, in the order in which it is to be painted."""
    of_boot: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for fact in facts:
        of_boot[fact["boot_id"]].append(fact)
    found: list[Stretch] = []
    for boot_id, listed in of_boot.items():
        if boot_id not in clocks:
            continue
        layers = [(begin, end, Activity.OFF) for begin, end in [_known_off(listed)] if end > begin]
        for kind, activity in _PAINTED_AS.items():
            spans = (fact["data"] for fact in listed if fact["type"] == kind)
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


def _known_off(listed: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """Return from when to when of a boot everything that is neither a session nor a gap was off."""
    ends = [fact["data"]["end_ms"] for fact in listed if fact["type"] == "power_session"]
    return min(fact["data"]["start_ms"] for fact in listed), max(ends, default=0)


def _in_utc(clock: Sights, start_ms: int, end_ms: int, activity: Activity) -> Stretch:
    start, end = (clock.utc(moment_ms * NS_PER_MS).utc_ns // NS_PER_MS for moment_ms in (start_ms, end_ms))
    return Stretch(start, end, activity)


def _facts(connection: Connection, box_id: str, instrument_id: str) -> list[dict[str, Any]]:
    query = select(records.c.body).join(epochs).where(epochs.c.box_id == box_id, records.c.type.in_(_FACTS))
    query = query.where(records.c.instrument_id == instrument_id)
    newest = connection.execute(query.order_by(records.c.epoch_id.desc(), records.c.seq.desc()).limit(NEWEST))
    listed = [json.loads(body) for body in newest.scalars()]
    if len(listed) < NEWEST:
        return listed
    # What lies before the oldest of them is known in part only: a session of power would lack its runs.
    boot_id, at_ms = listed[-1]["boot_id"], listed[-1]["at_ms"]
    return [fact for fact in listed if fact["boot_id"] != boot_id or fact["data"]["start_ms"] >= at_ms]


def _anchors(connection: Connection, box_id: str) -> list[dict[str, Any]]:
    query = select(records.c.body).join(epochs).where(epochs.c.box_id == box_id, records.c.type == "time_anchor")
    return [json.loads(body) for body in connection.execute(query).scalars()]


def _said(connection: Connection, box_id: str, instrument_id: str, from_ms: int) -> list[Stretch]:
    mine = (sights.c.box_id == box_id, sights.c.instrument_id == instrument_id, sights.c.end_utc_ms > from_ms)
    rows = connection.execute(select(sights).where(*mine).order_by(sights.c.end_utc_ms))
    return [Stretch(row.start_utc_ms, row.end_utc_ms, Activity(row.activity)) for row in rows]
