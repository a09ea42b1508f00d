"""Writes what was salvaged into a new database: every record in its place, every hole marked, time unbroken.

A lost record leaves a mark in its place, a ``fault`` of kind ``record_lost`` that carries the hash the next record
names. So the chain can still be followed, seq stays gapless, and no platform waits for ever for what is not there.
"""

from itertools import pairwise

from instrument_agent.buffer.books import EPOCH_COLUMNS
from instrument_agent.buffer.chain import stands_for
from instrument_agent.buffer.headfile import NotedHead
from instrument_agent.buffer.proofs import PROOF_COLUMNS
from instrument_agent.buffer.rebuilt_time import write_configured, write_days, write_resumable, write_time
from instrument_agent.buffer.salvage import Found, Kept
from instrument_agent.buffer.salvaged_log import first_of, in_order, last_seq, named_ends, offsets_of
from instrument_agent.buffer.salvaged_rows import Outcome, checked, rows
from instrument_agent.buffer.store import Transaction
from instrument_agent.buffer.traces import save_again
from instrument_agent.core.canonical import NO_HASH, canonical
from instrument_agent.core.readings import NS_PER_MS
from instrument_agent.core.records import Fact, Link, RecordType, sealed
from instrument_agent.core.rowsum import row_sum


def rebuild(change: Transaction, found: Found, box_id: str, head: NotedHead | None) -> Outcome:
    """Write everything that verifies.

    ``change`` is a transaction of the new, empty database, ``head`` the end of the log as it was noted beside it.
    """
    outcome = Outcome()
    rooted = _roots(change, found, outcome)
    epochs = in_order(found)
    offsets = offsets_of(found, epochs)
    ends = named_ends(found)
    position = skipped = 0
    for epoch in epochs:
        begin = offsets[epoch] if offsets is not None else position
        skipped += begin - position
        span = (*rooted.get(epoch, (0, NO_HASH)), *ends.get(epoch, (0, "")))
        position = _epoch(change, (found, first_of(found, epochs, epoch)), epoch, span, (box_id, begin, outcome))
    outcome.more_records = _more_lost(change, found, head, position, skipped)
    _epoch_rows(change, found, epochs, outcome)
    # What is acknowledged, or was seen, up to a place behind the end is so up to the end: what comes now is new.
    kept_to = position if offsets is not None else 0
    _watermarks(change, found, kept_to, outcome)
    write_time(change, found, outcome)
    write_configured(change, found)
    write_days(change, found, kept_to, outcome)
    write_resumable(change, found, epochs[-1] if epochs else "", outcome)
    _evidence(change, found)
    outcome.unread = found.unread - {"records"}
    return outcome


def _more_lost(change: Transaction, found: Found, head: NotedHead | None, position: int, skipped: int) -> int | None:
    """Return how many records are lost of which nothing is known but that there were some; None if not even that.

    The head file says how long the log was; up to ``position`` it is there now, but for what was ``skipped``.
    """
    earlier = found.ask(
        "select coalesce(sum(json_extract(body, '$.data.more_records_lost')), 0) from kept where type = 'fault'"
    )[0][0]
    skipped = max(0, skipped - int(earlier))  # of what was lost before another fault tells
    if head is None:
        return None if "records" in found.unread and not skipped else skipped
    newest = change.execute("select coalesce(max(seq), 0) from records where epoch = ?", (head.epoch,))
    last: int = newest.fetchone()[0]
    named_by_it = max(0, head.seq - last)  # a fault of its own tells of these
    return skipped + max(0, head.id - position - named_by_it)


def _roots(change: Transaction, found: Found, outcome: Outcome) -> dict[str, tuple[int, str]]:
    good = list(checked(found, "roots", 3, outcome))
    for row in good:
        change.execute("insert or ignore into roots (epoch, seq, hash, row_sum) values (?, ?, ?, ?)", row)
    return {epoch: (seq, digest) for epoch, seq, digest, _sum in good}


def _epoch(
    change: Transaction,
    source: tuple[Found, Kept],
    epoch: str,
    span: tuple[int, str, int, str],
    context: tuple[str, int, Outcome],
) -> int:
    """Write the records of an epoch and the marks of the lost ones; return the log position of its last.

    ``source`` has a record near its beginning, ``span`` is its root (seq and hash) and its end (likewise), as far as
    they are known.
    """
    found, before = source
    box_id, offset, outcome = context
    root_seq, link, named_seq, named_hash = span
    for item in found.records("epoch = ? and seq <= ? order by seq", epoch, root_seq):
        _insert(change, offset + item.record["seq"], item)
    end = max(last_seq(found, epoch), named_seq, root_seq)
    after: Kept | None = None
    following = found.records("epoch = ? and seq > ? order by seq", epoch, root_seq)
    for seq in range(root_seq + 1, end + 1):
        if after is None or after.record["seq"] < seq:
            before, after = after or before, next(following, None)
        if after is not None and after.record["seq"] == seq:
            item = after
            outcome.records += 1
        else:
            next_link = named_hash if seq == named_seq else ""
            item = _mark((before, after), Link(box_id, epoch, seq, link), next_link)
            _note_lost(outcome, epoch, seq)
        _insert(change, offset + seq, item)
        link = stands_for(item.record, item.hash)
    return offset + end


def _mark(neighbours: tuple[Kept, Kept | None], link: Link, lost_hash: str) -> Kept:
    """Return the mark of a lost record; it is dated like the nearer of its neighbours."""
    before, after = neighbours
    if after is not None and after.record["seq"] == link.seq + 1:
        lost_hash = after.record["prev_hash"]
    nearer = after is not None and after.record["seq"] - link.seq < abs(link.seq - before.record["seq"])
    near = after.record if after is not None and nearer else before.record
    data = {"kind": "record_lost"} | ({"lost_hash": lost_hash} if lost_hash else {})
    record, digest = sealed(link, Fact(RecordType.FAULT, near["boot_id"], near["at_ms"] * NS_PER_MS, data))
    return Kept(record, canonical(record).decode(), digest, None)


def _note_lost(outcome: Outcome, epoch: str, seq: int) -> None:
    if outcome.lost and (outcome.lost[-1]["epoch"], outcome.lost[-1]["to_seq"]) == (epoch, seq - 1):
        outcome.lost[-1]["to_seq"] = seq
    else:
        outcome.lost.append({"epoch": epoch, "from_seq": seq, "to_seq": seq})


def _insert(change: Transaction, id_: int, kept: Kept) -> None:
    record = kept.record
    change.execute(
        "insert into records (id, epoch, seq, type, instrument_id, body, hash) values (?, ?, ?, ?, ?, ?, ?)",
        (id_, record["epoch"], record["seq"], record["type"], record.get("instrument_id"), kept.body, kept.hash),
    )


def _epoch_rows(change: Transaction, found: Found, epochs: list[str], outcome: Outcome) -> None:
    """Write the epochs with what their records say of them; only their number and orderly end are in no record."""
    known = {row[1]: row for row in checked(found, "epochs", 5, outcome)}
    outcome.epochs = [epoch for epoch in known if epoch not in epochs]
    filled: list[int] = []
    for epoch in epochs:
        filled.append(known[epoch][0] if epoch in known else (filled[-1] if filled else 0) + 1)
    if any(later <= earlier for earlier, later in pairwise(filled)):
        filled = list(range(1, len(epochs) + 1))
    for number, epoch in zip(filled, epochs, strict=True):
        first = first_of(found, epochs, epoch).record
        # The boot is that of its first record, be that only a mark: then its times may be of another clock.
        fits = epoch in known and known[epoch][2] == first["boot_id"]
        started_ns, stopped_ns = known[epoch][3:5] if fits else (first["at_ms"] * NS_PER_MS, None)
        row = (number, epoch, first["boot_id"], started_ns, stopped_ns)
        data = first["data"] if first["epoch"] == epoch else {}
        said = data.get("agent_version"), data.get("config_hash")
        change.execute(
            f"insert into epochs ({EPOCH_COLUMNS}, agent_version, config_hash) values (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
            (*row, row_sum(*row), *said),
        )


def _evidence(change: Transaction, found: Found) -> None:
    """Write what proves and explains the records: each carries its own signature or checksum."""
    for row in rows(found, "proofs"):
        change.execute(f"insert or ignore into proofs ({PROOF_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?)", row)  # noqa: S608
    for table in ("buckets", "edges"):
        for row in rows(found, table):
            save_again(change, table, row)


def _watermarks(change: Transaction, found: Found, kept_to: int, outcome: Outcome) -> None:
    """Write how far each destination has got; one that cannot be told is asked about everything again.

    Places in the log are kept up to ``kept_to``.
    """
    for name, acked_id, boot_id, at_ns, _noted in checked(found, "destinations", 2, outcome):
        through = min(acked_id, kept_to)
        row = (name, through, *((boot_id, at_ns) if through else (None, None)), row_sum(name, through))
        change.execute(
            "insert or ignore into destinations (name, acked_id, acked_boot_id, acked_at_ns, row_sum)"
            " values (?, ?, ?, ?, ?)",
            row,
        )
    if kept_to:
        for row in rows(found, "dead_letters"):
            change.execute(
                "insert or ignore into dead_letters select ?, ?, ? where ? in (select id from records)"
                " and ? in (select name from destinations)",
                (*row, row[1], row[0]),
            )
