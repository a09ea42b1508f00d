"""The platform's ledger: each fact once, keyed by (box, epoch, seq), however often it is sent.

At-least-once on the wire becomes exactly-once here. A key is settled when its record is stored or rejected, and
``acked_through`` is the highest seq up to which every key of the epoch is settled: the box may forget up to there.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import Connection, delete, func, insert, select, union_all, update

from instrument_agent.core.canonical import NO_HASH, canonical
from instrument_agent.receiver.contract import CONFLICT, why_rejected
from instrument_agent.receiver.engine import enter, laid_out, locked, writing
from instrument_agent.receiver.live import Heartbeats, heartbeats_of, note_heartbeat
from instrument_agent.receiver.tables import boxes, broken_links, epochs, records, rejections

Item = Mapping[str, Any]
"""One ``{"hash", "record"}`` of a records request, with ``utc`` if the sender added it."""

_Key = tuple[int, str]  # seq and hash


@dataclass(frozen=True, slots=True)
class Rejection:
    """A record that was refused; ``hash`` is the one it came with."""

    epoch: str
    seq: int
    hash: str
    reason: str


@dataclass(frozen=True, slots=True)
class StoreResult:
    """What became of one batch: how far the epoch is settled, and what was refused in this batch."""

    acked_through: int
    rejected: Sequence[Rejection]


class Ledger:
    """The facts of all boxes, in the database at a SQLAlchemy URL; may be used from many threads."""

    def __init__(self, url: str) -> None:
        self.engine = laid_out(url)
        self._writer = writing(self.engine)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the database back."""
        self.engine.dispose()

    def store(self, box_id: str, epoch: str, items: Iterable[Item]) -> StoreResult:
        """Store or reject each item of a checked envelope, in one transaction; return once it is committed."""
        judged = [(item, why_rejected(box_id, epoch, item)) for item in items]
        with self._writer.begin() as connection:
            locked(connection, boxes, {"box_id": box_id}, "box_id")
            epoch_id, acked_through = _open_epoch(connection, box_id, epoch)
            stored = _stored_hashes(connection, epoch_id, judged)
            accepted: set[_Key] = set()
            rows, rejected = [], []
            for item, fault in judged:
                seq, digest = item["record"]["seq"], item["hash"]
                reason = CONFLICT if fault is None and stored.get(seq, digest) != digest else fault
                if reason is not None:
                    rejected.append(Rejection(epoch, seq, digest, reason))
                    continue
                accepted.add((seq, digest))
                if seq not in stored:
                    stored[seq] = digest
                    rows.append(_row(epoch_id, item))
            if rows:
                connection.execute(insert(records), rows)
                _check_links(connection, epoch_id, rows)
            _remember(connection, epoch_id, accepted, rejected)
            return StoreResult(_advance(connection, epoch_id, acked_through), rejected)

    def watermarks(self, box_id: str) -> dict[str, int]:
        """Return ``acked_through`` of each epoch of a box, in the order they were first heard of."""
        query = select(epochs.c.epoch, epochs.c.acked_through).where(epochs.c.box_id == box_id).order_by(epochs.c.id)
        with self.engine.begin() as connection:
            return {row.epoch: row.acked_through for row in connection.execute(query)}

    def items(self, box_id: str | None = None, type: str | None = None) -> list[dict[str, Any]]:  # noqa: A002
        """Return stored records as they were sent (hash, record, utc), by arrival of their epoch, then seq."""
        query = select(records).join(epochs).order_by(records.c.epoch_id, records.c.seq)
        if box_id is not None:
            query = query.where(epochs.c.box_id == box_id)
        if type is not None:
            query = query.where(records.c.type == type)
        with self.engine.begin() as connection:
            return [_item(row.hash, row.body, row.utc) for row in connection.execute(query)]

    def records(self, box_id: str | None = None, type: str | None = None) -> list[dict[str, Any]]:  # noqa: A002
        """Return stored records, of one box or one type if asked, by arrival of their epoch, then seq."""
        return [item["record"] for item in self.items(box_id, type)]

    def rejected(self, box_id: str) -> list[Rejection]:
        """Return what was refused of a box and has not been stored since, by arrival of the epoch, then seq."""
        query = (
            select(epochs.c.epoch, rejections.c.seq, rejections.c.hash, rejections.c.reason)
            .join(epochs, rejections.c.epoch_id == epochs.c.id)
            .where(epochs.c.box_id == box_id)
            .order_by(rejections.c.epoch_id, rejections.c.seq, rejections.c.hash)
        )
        with self.engine.begin() as connection:
            return [Rejection(row.epoch, row.seq, row.hash, row.reason) for row in connection.execute(query)]

    def count(self, box_id: str) -> int:
        """Return how many records of a box are stored."""
        query = select(func.count()).select_from(records).join(epochs).where(epochs.c.box_id == box_id)
        with self.engine.begin() as connection:
            return connection.execute(query).scalar_one()

    def hash_at(self, box_id: str, epoch: str, seq: int) -> str | None:
        """Return the hash of one stored record."""
        query = select(records.c.hash).join(epochs).where(epochs.c.box_id == box_id, epochs.c.epoch == epoch)
        with self.engine.begin() as connection:
            return connection.execute(query.where(records.c.seq == seq)).scalar_one_or_none()

    def heartbeat(self, box_id: str, body: Mapping[str, Any], received_ns: int) -> None:
        """Keep a heartbeat in place of the last one of this box (``received_ns``: UTC since 1970)."""
        with self._writer.begin() as connection:
            note_heartbeat(connection, box_id, body, received_ns)

    def heartbeats(self, box_id: str) -> Heartbeats:
        """Return what is known of the heartbeats of a box."""
        with self.engine.begin() as connection:
            return heartbeats_of(connection, box_id)


def _open_epoch(connection: Connection, box_id: str, epoch: str) -> tuple[int, int]:
    """Return the id and ``acked_through`` of an epoch, which begins here if it is new."""
    query = select(epochs.c.id, epochs.c.acked_through).where(epochs.c.box_id == box_id, epochs.c.epoch == epoch)
    row = connection.execute(query).one_or_none()
    if row is not None:
        return row.id, row.acked_through
    new = connection.execute(insert(epochs).values(box_id=box_id, epoch=epoch, acked_through=0).returning(epochs.c.id))
    return new.scalar_one(), 0


def _stored_hashes(connection: Connection, epoch_id: int, judged: Sequence[tuple[Item, str | None]]) -> dict[int, str]:
    """Return seq → hash of what is stored within the range of a batch."""
    seqs = [item["record"]["seq"] for item, _fault in judged]
    if not seqs:
        return {}
    query = select(records.c.seq, records.c.hash).where(
        records.c.epoch_id == epoch_id, records.c.seq.between(min(seqs), max(seqs))
    )
    return {row.seq: row.hash for row in connection.execute(query)}


def _check_links(connection: Connection, epoch_id: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Note which records do not link to the one before them, and note what the first record says of its epoch."""
    first, last = min(row["seq"] for row in rows), max(row["seq"] for row in rows)
    near = select(records.c.seq, records.c.hash, records.c.prev_hash, records.c.type, records.c.body)
    near = near.where(records.c.epoch_id == epoch_id, records.c.seq.between(first - 1, last + 1))
    before = None
    for row in connection.execute(near.order_by(records.c.seq)):
        linked = {NO_HASH} if row.seq == 1 else _ends(before) if before and before.seq == row.seq - 1 else None
        if linked is not None and row.prev_hash not in linked:
            enter(connection, broken_links, {"epoch_id": epoch_id, "seq": row.seq})
        if row.seq == 1 and row.type == "epoch_started":
            data = json.loads(row.body)["data"]
            named = {name: data.get(name) for name in ("previous_epoch", "previous_seq", "previous_hash")}
            connection.execute(update(epochs).where(epochs.c.id == epoch_id).values(**named))
        before = row


def _ends(row: Any) -> set[str]:
    """Return the hashes the next record may link to: the box marks a damaged record and names what it was."""
    if row.type != "fault":
        return {row.hash}
    data = json.loads(row.body)["data"]
    return {row.hash, data.get("lost_hash", "")} if data.get("kind") == "record_lost" else {row.hash}


def _remember(connection: Connection, epoch_id: int, accepted: set[_Key], rejected: Sequence[Rejection]) -> None:
    """Note the rejections of a batch, once each, and strike out those that were accepted after all."""
    mine = rejections.c.epoch_id == epoch_id
    known: set[_Key] = {
        (row.seq, row.hash) for row in connection.execute(select(rejections.c.seq, rejections.c.hash).where(mine))
    }
    for seq, digest in known & accepted:
        connection.execute(delete(rejections).where(mine, rejections.c.seq == seq, rejections.c.hash == digest))
    for refusal in rejected:
        key = (refusal.seq, refusal.hash)
        if key in known or key in accepted:
            continue
        known.add(key)
        row = {"epoch_id": epoch_id, "seq": refusal.seq, "hash": refusal.hash, "reason": refusal.reason}
        connection.execute(insert(rejections).values(row))


def _advance(connection: Connection, epoch_id: int, acked_through: int) -> int:
    """Move ``acked_through`` up to the first seq that is neither stored nor rejected; return it."""
    settled = union_all(
        *(
            select(table.c.seq).where(table.c.epoch_id == epoch_id, table.c.seq > acked_through)
            for table in (records, rejections)
        )
    ).order_by("seq")
    reached = acked_through
    with connection.execute(settled) as rows:
        for seq in rows.scalars():
            if seq > reached + 1:
                break
            reached = seq
    if reached != acked_through:
        connection.execute(update(epochs).where(epochs.c.id == epoch_id).values(acked_through=reached))
    return reached


def _row(epoch_id: int, item: Item) -> dict[str, Any]:
    record, utc = item["record"], item.get("utc")
    return {
        "epoch_id": epoch_id,
        "seq": record["seq"],
        "hash": item["hash"],
        "prev_hash": record["prev_hash"],
        "type": record["type"],
        "instrument_id": record.get("instrument_id"),
        "body": canonical(record).decode(),
        "utc": None if utc is None else json.dumps(utc),
    }


def _item(digest: str, body: str, utc: str | None) -> dict[str, Any]:
    item = {"hash": digest, "record": json.loads(body)}
    return item if utc is None else {**item, "utc": json.loads(utc)}
