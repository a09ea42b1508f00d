"""Whether records are what was written: each against its own hash, and each against the one before it."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from instrument_agent.buffer.reader import Readable, damaged
from instrument_agent.core.canonical import NO_HASH
from instrument_agent.core.records import RecordType
from instrument_agent.i18n import _

COLUMNS = "id, epoch, seq, type, instrument_id, body, hash"
AT_ONCE = 2000

Row = tuple[int, str, int, str, str | None, str, str]
"""A row of the log, in the order of COLUMNS."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A place in the chain that is not what was written, and why one knows."""

    epoch: str
    seq: int
    why: str


@dataclass(slots=True)
class Chain:
    """Follows the chains of all epochs; begins anywhere, and then cannot judge the first link it sees."""

    ends: dict[str, tuple[int, str]] = field(default_factory=dict)
    """The last seq of each epoch and the hash the next record must name."""
    whole: bool = False
    """Whether an epoch that was not seen before must begin at seq 1."""

    def faults(self, row: Row) -> list[Fault]:
        """Take the next row of the log; return what is wrong with it."""
        epoch, seq, body, digest = row[1], row[2], row[5], row[6]
        wrong = why_wrong(row)
        if wrong:
            self.ends[str(epoch)] = (seq if isinstance(seq, int) else 0, str(digest))
            return [Fault(str(epoch), seq, wrong)]
        record = json.loads(body)
        before = self.ends.get(epoch, (0, NO_HASH) if self.whole or seq == 1 else None)
        self.ends[epoch] = (seq, stands_for(record, digest))
        if before is None or before == (seq - 1, record["prev_hash"]):
            return []
        if before[0] != seq - 1:
            return [Fault(epoch, seq, _("follows seq {seq}").format(seq=before[0]))]
        return [Fault(epoch, seq, _("does not name the hash of seq {seq}").format(seq=before[0]))]


def why_wrong(row: Row) -> str:
    """Return why a row is not the record that was written, from the row alone; empty if it is."""
    epoch, seq, type_, instrument_id, body, digest = row[1:]
    if not isinstance(body, str) or hashlib.sha256(body.encode()).hexdigest() != digest:
        return _("does not fit its hash")
    record = json.loads(body)
    named = (record["epoch"], record["seq"], record["type"], record.get("instrument_id"))
    return "" if named == (epoch, seq, type_, instrument_id) else _("its columns do not fit it")


def checked_record(row: Row) -> dict[str, Any]:
    """Return the record of a row.

    Raises:
        StoreDamaged: it is not what was written.
    """
    if why_wrong(row):
        raise damaged(_("record {seq} of epoch {epoch} is not what was written").format(seq=row[2], epoch=row[1]))
    record: dict[str, Any] = json.loads(row[5])
    return record


def records_of(source: Readable, type_: RecordType, instrument_id: str | None = None) -> list[dict[str, Any]]:
    """Return the records of a type, oldest first, of one instrument or of all.

    Raises:
        StoreDamaged: one of them is not what was written.
    """
    rows: list[Any] = source.rows(
        f"select {COLUMNS} from records where type = ? and (? is null or instrument_id = ?) order by id",  # noqa: S608
        (type_.value, instrument_id, instrument_id),
    )
    return [checked_record(row) for row in rows]


def newest_of(source: Readable, type_: RecordType, instrument_id: str) -> dict[str, Any] | None:
    """Return the newest record of a type of an instrument; None if there is none.

    Raises:
        StoreDamaged: it is not what was written.
    """
    rows: list[Any] = source.rows(
        f"select {COLUMNS} from records where type = ? and instrument_id = ? order by id desc limit 1",  # noqa: S608
        (type_.value, instrument_id),
    )
    return checked_record(rows[0]) if rows else None


def stands_for(record: dict[str, Any], digest: str) -> str:
    """Return the hash the next record names: a record's own, or that of the lost record whose place it marks."""
    lost: str = record["data"].get("lost_hash", "") if record["data"].get("kind") == "record_lost" else ""
    return lost or digest


def tied(rows: Sequence[Row]) -> Sequence[Row]:
    """Return the first rows, as many as name the hash of the one before them each: one signature covers those."""
    for at, (before, after) in enumerate(pairwise(rows), 1):
        if json.loads(after[5])["prev_hash"] != before[6]:
            return rows[:at]
    return rows


def in_log_order(source: Readable, after_id: int = 0, through_id: int | None = None) -> Iterator[Row]:
    """Yield the rows of the log, a part at a time, so that a log of ten years needs no memory."""
    while True:
        rows: list[Any] = source.rows(
            f"select {COLUMNS} from records where id > ? and (? is null or id <= ?) order by id limit {AT_ONCE}",  # noqa: S608  # constants
            (after_id, through_id, through_id),
        )
        yield from rows
        if len(rows) < AT_ONCE:
            return
        after_id = rows[-1][0]


def roots(source: Readable) -> dict[str, tuple[int, str]]:
    """Return where the chain of each pruned epoch begins: the last seq that was pruned, and its hash."""
    return {epoch: (seq, digest) for epoch, seq, digest in source.rows("select epoch, seq, hash from roots")}


def first_fault(source: Readable, after_id: int) -> Fault | None:
    """Return the first fault in the log after a position."""
    chain, rooted = Chain(), roots(source)
    return next((fault for row in in_log_order(source, after_id) for fault in judged(chain, rooted, row)), None)


def judged(chain: Chain, rooted: dict[str, tuple[int, str]], row: Row) -> Iterable[Fault]:
    """Return the faults of a row; up to the root of its epoch a record stands alone, its neighbours may be pruned."""
    epoch, seq = row[1:3]
    root = rooted.get(epoch)
    if root is None or seq > root[0]:
        if root is not None and epoch not in chain.ends:
            chain.ends[epoch] = root
        return chain.faults(row)
    wrong = why_wrong(row)
    return [Fault(epoch, seq, wrong)] if wrong else []
