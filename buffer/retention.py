"""Makes room: what is old enough and has arrived everywhere goes, what sums it up stays for life.

The wall clock decides nothing here. Records lie in the log in the order they were made, so everything before a time
anchor that is more than 400 days old is older still. Pruning leaves the last pruned place of each epoch as its root,
(epoch, seq, hash), from which ``verify`` starts. The pages that become free are used again: the file stops growing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from instrument_agent.buffer.reader import Readable
from instrument_agent.buffer.store import Store, Transaction
from instrument_agent.core.anchors import Utc
from instrument_agent.core.readings import NS_PER_MS, NS_PER_S
from instrument_agent.core.records import RecordType
from instrument_agent.core.rowsum import row_sum

DAY_NS = 86_400 * NS_PER_S
KEPT_NS = 400 * DAY_NS
PRUNE_EVERY_NS = DAY_NS
AT_ONCE = 1000
"""Records in one transaction: a poll that has something to write waits for no longer than that."""
FOR_LIFE = (
    RecordType.DAILY_SUMMARY,
    RecordType.EPOCH_STARTED,
    RecordType.FAULT,
    RecordType.LIFECYCLE_EVENT,
    RecordType.TIME_ANCHOR,
)
"""Sums, thresholds, clock anchors, and what makes sense of them."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many records and intervals went."""

    records: int = 0
    intervals: int = 0


@dataclass(frozen=True, slots=True)
class Edge:
    """The newest anchor that is old enough: its place in the log, its epoch's number, and its boot and boot time."""

    id: int
    epoch_number: int
    boot_id: str
    boottime_ns: int


def prune(store: Store, now: Utc | None, destinations: Sequence[str]) -> Pruned:
    """Delete what may go; ``now`` is this moment, ``destinations`` are all that must have what goes.

    Raises:
        StoreUnavailable: the database refused it.
    """
    edge = None if now is None else _edge(store, now.utc_ns - now.error_ns - KEPT_NS)
    released_id = _released_id(store, destinations)
    if edge is None or released_id == 0:
        return Pruned()
    records = 0
    while gone := _prune_records(store, min(edge.id - 1, released_id)):
        records += gone
    return Pruned(records, _prune_intervals(store, edge, released_id))


def _edge(source: Readable, before_utc_ns: int) -> Edge | None:
    rows = source.rows(
        "select r.id, e.number, e.boot_id, json_extract(r.body, '$.data.boottime_ms') from records r"
        " join epochs e on e.epoch = r.epoch where r.type = ?"
        " and json_extract(r.body, '$.data.utc_ms') + json_extract(r.body, '$.data.error_ms') < ?"
        " order by r.id desc limit 1",
        (RecordType.TIME_ANCHOR.value, before_utc_ns // NS_PER_MS),
    )
    return Edge(rows[0][0], rows[0][1], rows[0][2], rows[0][3] * NS_PER_MS) if rows else None


def _released_id(source: Readable, destinations: Sequence[str]) -> int:
    """Return up to where every destination has acknowledged the log; with none, nothing is released."""
    marks = {name: acked_id for name, acked_id in source.rows("select name, acked_id from destinations")}
    return min((marks.get(name, 0) for name in destinations), default=0)


def _prune_records(store: Store, through_id: int) -> int:
    """Delete some of the oldest records that are not kept for life, and move the roots behind them."""
    kinds = ", ".join("?" * len(FOR_LIFE))
    with store.write() as change:
        ids = change.execute(
            f"select id from records where id <= ? and type not in ({kinds})"  # noqa: S608  # placeholders
            " and id not in (select record_id from dead_letters) order by id limit ?",
            (through_id, *FOR_LIFE, AT_ONCE),
        ).fetchall()
        if ids:
            _move_roots(change, ids[0][0], ids[-1][0])
            change.execute(
                f"delete from records where id between ? and ? and type not in ({kinds})"  # noqa: S608
                " and id not in (select record_id from dead_letters)",
                (ids[0][0], ids[-1][0], *FOR_LIFE),
            )
    return len(ids)


def _move_roots(change: Transaction, from_id: int, through_id: int) -> None:
    ends = change.execute(
        "select epoch, max(seq), hash from records where id between ? and ? group by epoch", (from_id, through_id)
    ).fetchall()
    for epoch, seq, digest in ends:
        change.execute(
            "insert or replace into roots (epoch, seq, hash, row_sum) values (?, ?, ?, ?)",
            (epoch, seq, digest, row_sum(epoch, seq, digest)),
        )


def _prune_intervals(store: Store, edge: Edge, released_id: int) -> int:
    """Delete the intervals that ended before the edge, if the records made of them have arrived."""
    if released_id < edge.id:
        return 0
    with store.write() as change:
        gone = change.execute(
            "delete from intervals where (boot_id = ? and end_ns <= ?) or (boot_id <> ? and boot_id in"
            " (select boot_id from epochs group by boot_id having max(number) <= ?))",
            (edge.boot_id, edge.boottime_ns, edge.boot_id, edge.epoch_number),
        )
    return gone.rowcount
