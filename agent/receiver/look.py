"""What the page shows, gathered from the database."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from instrument_agent.core.readings import NS_PER_S, Activity
from instrument_agent.receiver.ledger import Ledger
from instrument_agent.receiver.live import Heartbeats, heartbeats_of
from instrument_agent.receiver.tables import REVOKED, credentials, epochs, heartbeats, records
from instrument_agent.receiver.timeline import Stretch, timeline
from instrument_agent.receiver.views import Oddity, box_ids, oddities

BOXES_A_PAGE = 50
OFFLINE_AFTER_NS = 300 * NS_PER_S
"""Five heartbeats at the usual pace."""
COVERAGE_DAYS = 7


@dataclass(frozen=True, slots=True)
class Shown:
    """One instrument: its names, what it does now (None: nobody says), its last closed days, its timeline."""

    instrument_id: str
    name_zh: str
    name_en: str
    activity: Activity | None
    coverage: float | None
    stretches: list[Stretch]


@dataclass(frozen=True, slots=True)
class BoxShown:
    """One box; ``online``: it was heard within ``OFFLINE_AFTER_NS``."""

    box_id: str
    heard: Heartbeats
    online: bool
    waiting: int | None
    oddities: list[Oddity]
    instruments: list[Shown]


def lost(ledger: Ledger, now_ns: int) -> list[str]:
    """Return the boxes that were heard once and are offline now, the latest lost first; not those that were revoked."""
    gone = select(credentials.c.box_id).where(credentials.c.token_hash == REVOKED)
    query = select(heartbeats.c.box_id).where(heartbeats.c.received_ns < now_ns - OFFLINE_AFTER_NS)
    query = query.where(heartbeats.c.box_id.not_in(gone))
    with ledger.engine.begin() as connection:
        return list(connection.execute(query.order_by(heartbeats.c.received_ns.desc())).scalars())


def look(ledger: Ledger, now_ns: int, hours: int, page: int) -> tuple[list[BoxShown], int]:
    """Return the boxes of one page (from 1) with the last ``hours``, and how many pages there are."""
    names = box_ids(ledger)
    chosen = names[(page - 1) * BOXES_A_PAGE : page * BOXES_A_PAGE]
    return [look_at(ledger, name, now_ns, hours) for name in chosen], max(1, -(-len(names) // BOXES_A_PAGE))


def look_at(ledger: Ledger, box_id: str, now_ns: int, hours: int) -> BoxShown:
    """Return one box."""
    with ledger.engine.begin() as connection:
        heard = heartbeats_of(connection, box_id)
        online = heard.received_ns is not None and now_ns - heard.received_ns <= OFFLINE_AFTER_NS
        live = {item["instrument_id"]: item for item in (heard.latest or {}).get("instruments", [])}
        told = _identities(connection, box_id)
        now_ms = now_ns // 1_000_000
        shown = [
            Shown(
                name,
                str(told.get(name, {}).get("name_zh", "")),
                str(told.get(name, {}).get("name_en", "")),
                Activity(live[name]["activity"]) if online and name in live else None,
                _coverage(connection, box_id, name),
                timeline(connection, box_id, name, now_ms - hours * 3_600_000, now_ms),
            )
            for name in sorted(live.keys() | told.keys() | _measured(connection, box_id))
        ]
    waiting = (heard.latest or {}).get("queue", {}).get("waiting")
    return BoxShown(
        box_id, heard, online, waiting if isinstance(waiting, int) else None, oddities(ledger, box_id), shown
    )


def _identities(connection: Connection, box_id: str) -> dict[str, Mapping[str, Any]]:
    """Return the newest identity of each instrument of a box."""
    told: dict[str, Mapping[str, Any]] = {}
    for record in _of_type(connection, box_id, "lifecycle_event"):
        if "instrument_id" in record:
            told[record["instrument_id"]] = record["data"].get("identity", told.get(record["instrument_id"], {}))
    return told


def _measured(connection: Connection, box_id: str) -> set[str]:
    """Return the instruments of a box that any session or day tells of."""
    query = select(records.c.instrument_id).distinct().join(epochs).where(epochs.c.box_id == box_id)
    query = query.where(records.c.instrument_id.is_not(None))
    return set(connection.execute(query).scalars())


def _coverage(connection: Connection, box_id: str, instrument_id: str) -> float | None:
    """Return which share of the last closed days was observed; None without a closed day."""
    query = select(records.c.body).join(epochs).where(epochs.c.box_id == box_id, records.c.type == "daily_summary")
    query = query.where(records.c.instrument_id == instrument_id)
    newest = connection.execute(query.order_by(records.c.epoch_id.desc(), records.c.seq.desc()).limit(COVERAGE_DAYS))
    days = [json.loads(body)["data"] for body in newest.scalars()]
    length_ms = sum(day["length_ms"] for day in days)
    return 1 - sum(day["unknown_ms"] for day in days) / length_ms if length_ms else None


def _of_type(connection: Connection, box_id: str, kind: str) -> list[dict[str, Any]]:
    query = select(records.c.body).join(epochs).where(epochs.c.box_id == box_id, records.c.type == kind)
    rows = connection.execute(query.order_by(records.c.epoch_id, records.c.seq))
    return [json.loads(body) for body in rows.scalars()]
