"""Makes room: what is old enough and has arrived everywhere goes, what sums it up stays for life.

The wall clock decides nothing here. Records lie in the log in the order they were made, so everything before a time
anchor that is more than 400 days old is older still; an anchor that says so counts only if no other of its boot, and no
platform before it, contradicts: a time server that is years behind must cost nothing. Only whole epochs are pruned, so
that no platform meets a hole in one; each leaves its end as a root, (epoch, seq, hash), at which ``verify`` starts. The
pages that become free are used again: the file stops growing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from instrument_agent.buffer.books import anchors
from instrument_agent.buffer.reader import Readable
from instrument_agent.buffer.store import Store, Transaction
from instrument_agent.core.anchors import PLATFORM, Utc, utc_of
from instrument_agent.core.readings import NS_PER_MS, NS_PER_S
from instrument_agent.core.records import RecordType
from instrument_agent.core.rowsum import row_sum

DAY_NS = 86_400 * NS_PER_S
KEPT_NS = 400 * DAY_NS
PRUNE_EVERY_NS = DAY_NS
REPORTS = "(report)"
"""The way by file has a watermark like a destination; none in a config can be called so."""
DOUBTED = 20
"""So many anchors are looked at whether they can be believed; if none can, nothing is pruned this time."""
AT_ONCE = 1000
"""Records in one transaction: a poll that has something to write waits for no longer than that."""
ENDLESS_ID = ENDLESS_UTC_NS = 1 << 62
SAID = (
    "select r.id, e.number, e.boot_id, json_extract(r.body, '$.data.boottime_ms'),"
    " json_extract(r.body, '$.data.utc_ms') as utc_ms, json_extract(r.body, '$.data.error_ms') as error_ms"
    " from records r join epochs e on e.epoch = r.epoch where r.type = ?"
)
"""The time anchors in the log: place, epoch number, boot, boot time, and what they say."""
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


def prune(store: Store, now: Utc | None, destinations: Sequence[str], uncounted_utc_ns: int = ENDLESS_UTC_NS) -> Pruned:
    """Delete what may go; ``now`` is this moment, ``destinations`` are all that must have what goes.

    From ``uncounted_utc_ns`` on the days are not counted yet, so what they are made of stays, however old it is.

    Raises:
        StoreUnavailable: the database refused it.
    """
    edge = None if now is None else _edge(store, min(now.utc_ns - now.error_ns - KEPT_NS, uncounted_utc_ns))
    arrived_id = released_id(store, destinations)
    if edge is None or arrived_id == 0:
        return Pruned()
    records, through_id = 0, _end_of_epochs(store, edge, arrived_id)
    while gone := _prune_records(store, through_id):
        records += gone
    return Pruned(records, _prune_intervals(store, edge, arrived_id))


def _edge(source: Readable, before_utc_ns: int) -> Edge | None:
    """Return the newest anchor that is older than a moment, before the first of a platform that is younger."""
    young = (
        f"{SAID} and json_extract(r.body, '$.data.source') like ? || '%' and utc_ms - error_ms >= ?"
        " order by r.id limit ?"
    )
    before_ms = before_utc_ns // NS_PER_MS
    for place in source.rows(young, (RecordType.TIME_ANCHOR.value, PLATFORM, before_ms, DOUBTED)):
        edge, utc = _believed(source, place)
        if utc is not None and utc.utc_ns - utc.error_ns >= before_utc_ns:
            return _older(source, before_utc_ns, edge.id)
    return _older(source, before_utc_ns, ENDLESS_ID)


def _older(source: Readable, before_utc_ns: int, below_id: int) -> Edge | None:
    old = f"{SAID} and utc_ms + error_ms < ? and r.id < ? order by r.id desc limit ?"
    given = (RecordType.TIME_ANCHOR.value, before_utc_ns // NS_PER_MS, below_id, DOUBTED)
    for place in source.rows(old, given):
        edge, utc = _believed(source, place)
        if utc is not None and utc.utc_ns + utc.error_ns < before_utc_ns:
            return edge
    return None


def _believed(source: Readable, place: Sequence[Any]) -> tuple[Edge, Utc | None]:
    """Return where an anchor is, and the UTC there by all anchors of its boot; None if they were lost."""
    id_, number, boot_id, boottime_ms = place[:4]
    edge = Edge(id_, number, boot_id, boottime_ms * NS_PER_MS)
    return edge, utc_of(anchors(source, boot_id), boot_id, edge.boottime_ns)


def released_id(source: Readable, destinations: Sequence[str]) -> int:
    """Return up to where the log has arrived: at every destination, or in reports whose import was confirmed.

    With no destination only the reports count.
    """
    marks: dict[str, int] = dict(source.rows("select name, acked_id from destinations"))
    return max(min((marks.get(name, 0) for name in destinations), default=0), marks.get(REPORTS, 0))


def _end_of_epochs(source: Readable, edge: Edge, arrived_id: int) -> int:
    """Return the last place in the log of the last epoch that ended before the edge and has arrived."""
    rows = source.rows(
        "select max(r.id) as last_id from epochs e join records r on r.epoch = e.epoch where e.number < ?"
        " group by e.number having last_id <= ? order by e.number desc limit 1",
        (edge.epoch_number, arrived_id),
    )
    return rows[0][0] if rows else 0


def _prune_records(store: Store, through_id: int) -> int:
    """Delete some of the oldest records that are not kept for life, and make the ends of their epochs roots."""
    kinds = ", ".join("?" * len(FOR_LIFE))
    with store.write() as change:
        ids = change.execute(
            f"select id from records where id <= ? and type not in ({kinds})"  # noqa: S608  # placeholders
            " and id not in (select record_id from dead_letters) order by id limit ?",
            (through_id, *FOR_LIFE, AT_ONCE),
        ).fetchall()
        if ids:
            _root(change, ids[0][0], ids[-1][0])
            change.execute(
                f"delete from records where id between ? and ? and type not in ({kinds})"  # noqa: S608
                " and id not in (select record_id from dead_letters)",
                (ids[0][0], ids[-1][0], *FOR_LIFE),
            )
    return len(ids)


def _root(change: Transaction, from_id: int, through_id: int) -> None:
    ends = change.execute(
        "select epoch, max(seq), hash from records where epoch in"
        " (select epoch from records where id between ? and ?) group by epoch",
        (from_id, through_id),
    ).fetchall()
    for epoch, seq, digest in ends:
        change.execute(
            "insert or ignore into roots (epoch, seq, hash, row_sum) values (?, ?, ?, ?)",
            (epoch, seq, digest, row_sum(epoch, seq, digest)),
        )


def _prune_intervals(store: Store, edge: Edge, arrived_id: int) -> int:
    """Delete the intervals that ended before the edge, if the records made of them have arrived."""
    if arrived_id < edge.id:
        return 0
    with store.write() as change:
        gone = change.execute(
            "delete from intervals where (boot_id = ? and end_ns <= ?) or (boot_id <> ? and boot_id in"
            " (select boot_id from epochs group by boot_id having max(number) <= ?))",
            (edge.boot_id, edge.boottime_ns, edge.boot_id, edge.epoch_number),
        )
    return gone.rowcount
