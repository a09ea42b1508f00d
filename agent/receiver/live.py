"""Live state: the last heartbeat of each box, and what the heartbeats said of each instrument.

A box has one boot at a time. One that was left and comes back again and again belongs to a second live box that
has the same name and key. A heartbeat that was on its way for long makes two comebacks, its own and the next one's. A
boot that is new begins the count anew: two that are still alive are soon seen again, and one that was put right is not
accused for ever.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, select, update

from instrument_agent.core.readings import NS_PER_MS
from instrument_agent.receiver.engine import enter, locked
from instrument_agent.receiver.tables import boots_left, heartbeats, sights

KEPT_MS = 40 * 86_400_000
"""How long it is kept what heartbeats said; facts stay for ever."""
COMEBACKS_OF_TWO = 3


@dataclass(frozen=True, slots=True)
class Heartbeats:
    """How often a box was heard, what it said last, and when (UTC ns); None if it was never heard.

    ``two_boxes``: its heartbeats come from two boots in turn, so two boxes are alive under this name.
    """

    count: int
    latest: dict[str, Any] | None
    received_ns: int | None
    two_boxes: bool = False


def note_heartbeat(connection: Connection, box_id: str, body: Mapping[str, Any], received_ns: int) -> None:
    """Keep a heartbeat that came in at ``received_ns`` (UTC since 1970), and what it says of each instrument."""
    text, boot_id = json.dumps(body), body["boot_id"]
    new = {"box_id": box_id, "count": 0, "received_ns": received_ns, "body": text, "boot_id": boot_id, "comebacks": 0}
    before = locked(connection, heartbeats, new, "box_id")
    comebacks = before.comebacks
    if before.boot_id != boot_id:
        comebacks = comebacks + 1 if _left_before(connection, box_id, boot_id) else 0
        enter(connection, boots_left, {"box_id": box_id, "boot_id": before.boot_id})
    values = {"count": before[1] + 1, "received_ns": received_ns, "body": text, "boot_id": boot_id}
    mine = heartbeats.c.box_id == box_id
    connection.execute(update(heartbeats).where(mine).values(**values, comebacks=comebacks))
    for item in body["instruments"]:
        _note_sight(connection, box_id, body, item, received_ns // NS_PER_MS)


def heartbeats_of(connection: Connection, box_id: str) -> Heartbeats:
    """Return what is known of the heartbeats of a box."""
    row = connection.execute(select(heartbeats).where(heartbeats.c.box_id == box_id)).one_or_none()
    if row is None:
        return Heartbeats(0, None, None)
    # By position: a row is a tuple, which has a count() of its own.
    return Heartbeats(row[1], json.loads(row.body), row.received_ns, row.comebacks >= COMEBACKS_OF_TWO)


def _left_before(connection: Connection, box_id: str, boot_id: str) -> bool:
    query = select(boots_left).where(boots_left.c.box_id == box_id, boots_left.c.boot_id == boot_id)
    return connection.execute(query).one_or_none() is not None


def _note_sight(
    connection: Connection, box_id: str, body: Mapping[str, Any], item: Mapping[str, Any], now_utc_ms: int
) -> None:
    """Let the stretch of an activity grow up to now; times are put on the platform's clock."""
    named = {"box_id": box_id, "instrument_id": item["instrument_id"], "boot_id": body["boot_id"]}
    key = {**named, "since_ms": item["since_ms"], "activity": item["activity"]}
    mine = [sights.c[name] == value for name, value in key.items()]
    grown = connection.execute(update(sights).where(*mine).values(end_utc_ms=now_utc_ms))
    if grown.rowcount:
        return
    start_utc_ms = now_utc_ms - max(0, body["boottime_ms"] - item["since_ms"])
    enter(connection, sights, {**key, "start_utc_ms": start_utc_ms, "end_utc_ms": now_utc_ms})
    old = sights.c.end_utc_ms < now_utc_ms - KEPT_MS
    connection.execute(delete(sights).where(old, sights.c.box_id == box_id))
