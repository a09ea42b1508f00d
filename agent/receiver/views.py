"""What the ledger is asked: which boxes there are, what does not fit, and the hours of instruments."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from instrument_agent.receiver.contract import CONFLICT
from instrument_agent.receiver.counting import COUNTED, Hours, hours
from instrument_agent.receiver.ledger import Ledger
from instrument_agent.receiver.live import heartbeats_of
from instrument_agent.receiver.tables import boxes, broken_links, epochs, heartbeats, records, rejections


@dataclass(frozen=True, slots=True)
class Oddity:
    """Something a person should look at; nothing was lost by it.

    ``kind``: conflict (another content came under a stored key), rejected, gap (a record is missing), broken_link (a
    record does not name the one before it), fork (two epochs follow the same one: a copied or restored card),
    broken_epoch (an epoch names an end of another that is not so), two_boxes (two boxes are alive under this name).
    """

    kind: str
    epoch: str = ""
    seq: int = 0


def box_ids(ledger: Ledger) -> list[str]:
    """Return every box that was ever heard of, sorted."""
    with ledger.engine.begin() as connection:
        heard = connection.execute(select(boxes.c.box_id).union(select(heartbeats.c.box_id)))
        return sorted(heard.scalars())


def oddities(ledger: Ledger, box_id: str) -> list[Oddity]:
    """Return what does not fit in what a box sent."""
    with ledger.engine.begin() as connection:
        mine = epochs.c.box_id == box_id
        known = connection.execute(select(epochs).where(mine).order_by(epochs.c.id)).all()
        links = select(epochs.c.epoch, broken_links.c.seq).join(epochs).where(mine).order_by(epochs.c.id)
        refused = select(epochs.c.epoch, rejections.c.seq, rejections.c.reason).join(epochs).where(mine)
        return [
            *([Oddity("two_boxes")] if heartbeats_of(connection, box_id).two_boxes else []),
            *_forks(known),
            *(Oddity("broken_epoch", row.epoch, 1) for row in known if _names_another_end(connection, known, row)),
            *(Oddity("broken_link", row.epoch, row.seq) for row in connection.execute(links)),
            *(Oddity("gap", row.epoch, row.acked_through + 1) for row in known if _highest(connection, row) > 0),
            *(
                Oddity("conflict" if row.reason == CONFLICT else "rejected", row.epoch, row.seq)
                for row in connection.execute(refused.order_by(epochs.c.id, rejections.c.seq))
            ),
        ]


def hours_of(ledger: Ledger, box_id: str | None = None) -> list[Hours]:
    """Return the hours of every instrument, or of those a box has watched; each second of an instrument counts once.

    Other boxes that watched an instrument of the same platform code are taken into account.
    """
    if box_id is None:
        return hours(_loaded(ledger, None))
    told = _records(ledger, None, ["lifecycle_event"])
    codes = _codes(record for record in told if record["box_id"] == box_id)
    together = {record["box_id"] for record in told if _codes([record]) & codes} | {box_id}
    found = hours(_loaded(ledger, together))
    return [item for item in found if item.instrument.box_id == box_id or item.instrument.platform_code in codes]


def _loaded(ledger: Ledger, of_boxes: set[str] | None) -> list[dict[str, Any]]:
    return _records(ledger, of_boxes, [*COUNTED, "observation_gap", "time_anchor", "lifecycle_event"])


def _records(ledger: Ledger, of_boxes: set[str] | None, types: list[str]) -> list[dict[str, Any]]:
    query = select(records.c.body).join(epochs).where(records.c.type.in_(types))
    if of_boxes is not None:
        query = query.where(epochs.c.box_id.in_(of_boxes))
    with ledger.engine.begin() as connection:
        rows = connection.execute(query.order_by(records.c.epoch_id, records.c.seq))
        return [json.loads(body) for body in rows.scalars()]


def _codes(told: Iterable[Mapping[str, Any]]) -> set[str]:
    return {str(record["data"].get("identity", {}).get("platform_code", "")) for record in told} - {""}


def _forks(known: Iterable[Any]) -> list[Oddity]:
    followers: dict[str, list[str]] = defaultdict(list)
    for row in known:
        if row.previous_epoch is not None:
            followers[row.previous_epoch].append(row.epoch)
    return [Oddity("fork", epoch, 1) for listed in followers.values() for epoch in listed[1:]]


def _names_another_end(connection: Connection, known: Iterable[Any], row: Any) -> bool:
    """Say whether the record an epoch names as the end of another is stored with another hash, or not the last."""
    before = {item.epoch: item.id for item in known}.get(row.previous_epoch)
    if before is None:
        return False
    query = select(records.c.hash).where(records.c.epoch_id == before)
    stored = connection.execute(query.where(records.c.seq == row.previous_seq)).scalar_one_or_none()
    last = connection.execute(select(func.max(records.c.seq)).where(records.c.epoch_id == before)).scalar_one() or 0
    return (stored is not None and stored != row.previous_hash) or bool(last > row.previous_seq)


def _highest(connection: Connection, row: Any) -> int:
    """Return the highest seq of an epoch that lies beyond a missing one; 0 if none is missing."""
    query = select(func.max(records.c.seq)).where(records.c.epoch_id == row.id, records.c.seq > row.acked_through)
    return connection.execute(query).scalar_one() or 0
