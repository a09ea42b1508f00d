"""Proves a database to somebody who does not trust it: chains, durations, sums and times, from the rows alone.

What does not follow from the rows is a difference. What cannot follow because it is no longer there (pruned, or lost
with a damaged file, which is said in a record) is not proven, and counted as that.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from instrument_agent.buffer.books import ANCHOR_COLUMNS, INTERVAL_COLUMNS, checked_anchor, checked_interval, states
from instrument_agent.buffer.chain import Chain, in_log_order, judged, roots, stands_for
from instrument_agent.buffer.headfile import NotedHead, lost_tail
from instrument_agent.buffer.reader import Readable
from instrument_agent.buffer.verify_days import Books, DayProof
from instrument_agent.buffer.verify_sessions import COUNTED, GAP, SessionProof
from instrument_agent.buffer.verify_signatures import signatures
from instrument_agent.buffer.verify_tables import Listed
from instrument_agent.buffer.verify_untold import Told
from instrument_agent.core.anchors import Anchor
from instrument_agent.core.errors import StoreDamaged
from instrument_agent.core.readings import NS_PER_MS
from instrument_agent.core.rowsum import row_sum
from instrument_agent.core.step import State
from instrument_agent.i18n import _

SHOWN = 200
"""So many differences are told one by one; the others are counted."""


@dataclass(slots=True)
class Report:
    """What was proven and what could not be (counts by kind), and every difference, as a sentence."""

    proven: Counter[str] = field(default_factory=Counter)
    unproven: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)
    roots: dict[str, int] = field(default_factory=dict)
    faults: list[dict[str, Any]] = field(default_factory=list)
    """Every fault that the log tells of, with its place; the marks of lost records are only counted."""
    count: int = 0
    broken: int = 0
    """So many of the differences are records that are not what was written, or not in their place."""
    keys: list[dict[str, str]] = field(default_factory=list)
    """The public keys with which signatures were checked: ``destination``, ``of`` (box or platform), ``public_key``."""
    unsigned: str = ""
    """Why signatures could not be checked here."""
    head: bool | None = None
    """Whether the log ends as the head file says; None if there was none to be trusted."""

    @property
    def lossy(self) -> bool:
        """Whether the log itself tells that records were lost."""
        told = any(fault.get(name) for fault in self.faults for name in ("records_lost", "more_records_lost", "to_seq"))
        return told or bool(self.unproven["lost_records"])

    def differs(self, sentence: str) -> None:
        """Note a difference."""
        self.count += 1
        if len(self.differences) < SHOWN:
            self.differences.append(sentence)


def verify(source: Readable, head: NotedHead | None, progress: Callable[[int], None] = lambda _count: None) -> Report:
    """Walk through everything; ``progress`` is told how many records were walked.

    Raises:
        StoreUnavailable: the database cannot be read at all.
    """
    report = Report()
    books = _books(source, report)
    known = _anchors(source, report)
    resumed = _checkpoints(source, report, books)
    _chain_of_time(report, books)
    told, listed = Told(), Listed()
    days, sessions = DayProof(source, books, report), SessionProof(source, books, report)
    for number, (id_, record) in enumerate(_records(source, report)):
        progress(number + 1)
        try:
            told.take(record)
            listed.take(record, report)
            _judge(id_, record, (days, sessions), report)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            # It fits its hash: whoever wrote it was not this agent.
            sentence = _("record {seq} of epoch {epoch}: it does not say what a record of its type says")
            report.differs(sentence.format(seq=record["seq"], epoch=record["epoch"]))
    days.finish(source, whole=not report.lossy)
    told.settle(source, books, resumed, report)
    listed.settle(source, known, report)
    _watermarks(source, report)
    signatures(source, report)
    _end(source, report, head)
    return report


def _judge(id_: int, record: dict[str, Any], proofs: tuple[DayProof, SessionProof], report: Report) -> None:
    days, sessions = proofs
    if record["type"] in COUNTED or record["type"] == GAP:
        sessions.judge(id_, record)
    elif record["type"] == "time_anchor":
        days.learn(record["boot_id"], record["data"])
    elif record["type"] == "daily_summary":
        days.judge(id_, record)
    elif record["type"] == "epoch_started":
        days.begin(record)
    elif record["data"].get("event") in ("configured", "transferred"):
        days.change(record)
    elif record["type"] == "fault" and record["data"].get("kind") != "record_lost":
        report.faults.append(record["data"] | {"in_epoch": record["epoch"], "in_seq": record["seq"]})


def _records(source: Readable, report: Report) -> Iterator[tuple[int, dict[str, Any]]]:
    chain, rooted = Chain(whole=True), roots(source)
    report.roots = {epoch: seq for epoch, (seq, _hash) in rooted.items()}
    for epoch, seq, digest, noted in source.rows("select epoch, seq, hash, row_sum from roots"):
        if row_sum(epoch, seq, digest) != noted:
            report.differs(_("the root of epoch {epoch} does not fit its checksum").format(epoch=epoch))
    ended: tuple[str, int, str] | None = None
    for row in in_log_order(source):
        id_, epoch, seq, _type, _instrument, body, digest = row
        faults = list(judged(chain, rooted, row))
        for fault in faults:
            sentence = _("record {seq} of epoch {epoch}: {why}")
            report.broken += 1
            report.differs(sentence.format(seq=fault.seq, epoch=fault.epoch, why=fault.why))
        if any(fault.seq == seq and fault.epoch == epoch for fault in faults):
            ended = (epoch, seq, digest)
            continue
        record = json.loads(body)
        alone = epoch in rooted and seq <= rooted[epoch][0]
        report.unproven["lone_records"] += alone
        report.proven["records"] += not alone
        report.unproven["lost_records"] += record["data"].get("kind") == "record_lost"
        if seq == 1 and ended is not None and record["data"].get("kind") != "record_lost":
            _begins_after(report, record, ended, rooted)
        ended = (epoch, seq, stands_for(record, digest))
        yield id_, record


def _begins_after(
    report: Report, record: dict[str, Any], ended: tuple[str, int, str], rooted: dict[str, tuple[int, str]]
) -> None:
    """Check that an epoch names the end of the one before it, or its root if its end is pruned."""
    named = tuple(record["data"].get(name) for name in ("previous_epoch", "previous_seq", "previous_hash"))
    root = rooted.get(ended[0])
    # After a loss at the very end of an epoch the next one names what was there; the fault in it says so.
    if named not in (ended, (ended[0], *(root or ()))):
        report.differs(_("epoch {epoch} does not name the end of the one before it").format(epoch=record["epoch"]))


def _books(source: Readable, report: Report) -> Books:
    books: Books = {}
    for row in source.rows(f"select {INTERVAL_COLUMNS} from intervals order by instrument_id, boot_id, start_ns"):  # noqa: S608
        try:
            books.setdefault((row[0], row[1]), []).append(checked_interval(row))
            report.proven["intervals"] += 1
        except StoreDamaged as error:
            report.differs(str(error))
    return books


def _anchors(source: Readable, report: Report) -> list[Anchor]:
    known: list[Anchor] = []
    for row in source.rows(f"select {ANCHOR_COLUMNS} from anchors order by boot_id, boottime_ns"):  # noqa: S608
        try:
            known.append(checked_anchor(row))
        except StoreDamaged as error:
            report.differs(str(error))
    return known


def _checkpoints(source: Readable, report: Report, books: Books) -> dict[str, State]:
    """Check what is resumed from, and put the interval that is still open at the end of each chain."""
    try:
        resumed = states(source)
    except StoreDamaged as error:
        report.differs(str(error))
        return {}
    for instrument_id, state in resumed.items():
        report.proven["checkpoints"] += 1
        books.setdefault((instrument_id, state.boot_id), []).append(state.line.open)
    return resumed


def _chain_of_time(report: Report, books: Books) -> None:
    for (instrument_id, boot_id), chain in books.items():
        for before, after in pairwise(chain):
            if before.end_ns != after.start_ns:
                sentence = _("{instrument}, boot {boot}: time is missing or counted twice at {at_ms} ms")
                at_ms = before.end_ns // NS_PER_MS
                report.differs(sentence.format(instrument=instrument_id, boot=boot_id, at_ms=at_ms))


def _watermarks(source: Readable, report: Report) -> None:
    last_id = source.rows("select coalesce(max(id), 0) from records")[0][0]
    for name, acked_id, noted in source.rows("select name, acked_id, row_sum from destinations"):
        if row_sum(name, acked_id) != noted:
            report.differs(_("the watermark of {name} does not fit its checksum").format(name=name))
        elif acked_id > last_id:
            report.differs(_("the watermark of {name} lies beyond the last record").format(name=name))
    strange = (
        "select destination, record_id from dead_letters where record_id not in (select id from records)"
        " or record_id > coalesce((select acked_id from destinations where name = destination), 0)"
    )
    for name, record_id in source.rows(strange):
        sentence = _("{name} cannot have refused record {id}: it was never settled there")
        report.differs(sentence.format(name=name, id=record_id))


def _end(source: Readable, report: Report, head: NotedHead | None) -> None:
    """Hold the end of the log against the head file."""
    tail = lost_tail(source, head)
    report.head = None if head is None else tail is None
    if head is None or tail is None:
        return
    if source.rows("select 1 from records where epoch = ? and seq = ?", (head.epoch, head.seq)):
        sentence = _("record {seq} of epoch {epoch} was changed: the head file names another hash")
        report.differs(sentence.format(seq=head.seq, epoch=head.epoch))
    else:
        report.differs(_("the log ends too early: epoch {epoch} lacks seq {from_seq} to {to_seq}").format(**tail))
