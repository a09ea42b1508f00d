"""Writes what was salvaged into a new database: every record in its place, every hole marked, time unbroken.

A lost record leaves a mark in its place, a ``fault`` of kind ``record_lost`` that carries the hash the next record
names. So the chain can still be followed, seq stays gapless, and no platform waits for ever for what is not there.
"""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from instrument_agent.buffer.books import ANCHOR_COLUMNS, INTERVAL_COLUMNS, save_interval, save_state
from instrument_agent.buffer.chain import stands_for
from instrument_agent.buffer.salvage import Found, Kept
from instrument_agent.buffer.salvaged_log import in_order, named_ends, of_epoch, offsets_of
from instrument_agent.buffer.store import Transaction
from instrument_agent.core.canonical import NO_HASH, canonical
from instrument_agent.core.checkpoint import read_back
from instrument_agent.core.ledger import Interval
from instrument_agent.core.readings import NS_PER_MS, Activity, FailedRead, UnknownReason
from instrument_agent.core.records import Fact, Link, RecordType, sealed
from instrument_agent.core.rowsum import row_sum
from instrument_agent.core.step import State, begin

WANTED = {
    "epochs": "number, epoch, boot_id, started_ns, stopped_ns, agent_version, config_hash",
    "destinations": "name, acked_id, acked_boot_id, acked_at_ns, row_sum",
    "dead_letters": "destination, record_id, reason",
    "intervals": INTERVAL_COLUMNS,
    "anchors": ANCHOR_COLUMNS,
    "checkpoints": "instrument_id, body, sha256",
    "roots": "epoch, seq, hash, row_sum",
    "days": "instrument_id, next_day, first_epoch_number, days_not_powered, unknown_days",
    "midnights": "boot_id, utc_ns, boottime_ns",
}
"""The tables besides the records, and their columns in the order used here."""


@dataclass(slots=True)
class Outcome:
    """How much was kept and what was lost; ``lost`` are stretches of records (epoch, from_seq, to_seq)."""

    records: int = 0
    rows: int = 0
    bad_rows: int = 0
    lost: list[dict[str, Any]] = field(default_factory=list)

    def data(self, file_name: str) -> dict[str, Any]:
        """Return what the ``fault`` record says."""
        return {
            "kind": "database_damaged",
            "file": file_name,
            "records_kept": self.records,
            "records_lost": sum(item["to_seq"] - item["from_seq"] + 1 for item in self.lost),
            "lost": self.lost[:100],
            "rows_kept": self.rows,
            "rows_lost": self.bad_rows,
        }


def rebuild(change: Transaction, found: Found, box_id: str) -> Outcome:
    """Write everything that verifies; ``change`` is a transaction of the new, empty database."""
    outcome = Outcome()
    rooted = _roots(change, found, outcome)
    epochs = in_order(found)
    offsets = offsets_of(found, epochs)
    ends = named_ends(found)
    position = 0
    for epoch in epochs:
        position = offsets[epoch] if offsets is not None else position
        span = (*rooted.get(epoch, (0, NO_HASH)), *ends.get(epoch, (0, "")))
        position = _epoch(change, found, epoch, span, (box_id, position, outcome))
    _epoch_rows(change, found, epochs)
    _watermarks(change, found, kept=offsets is not None, outcome=outcome)
    _time(change, found, outcome)
    _configured(change, found)
    for instrument_id, next_day, number, idle_days, unknown_days in _rows(found, "days"):
        values = (instrument_id, next_day, number, idle_days, unknown_days)
        change.execute("insert or ignore into days values (?, ?, ?, ?, ?)", values)
    for row in _rows(found, "midnights"):
        change.execute("insert or ignore into midnights values (?, ?, ?)", row)
    _resumable(change, found, epochs[-1] if epochs else "", outcome)
    return outcome


def _rows(found: Found, table: str) -> list[tuple[Any, ...]]:
    return found.tables.get(table, [])


def _checked(found: Found, table: str, values: int, outcome: Outcome) -> list[tuple[Any, ...]]:
    """Return the rows of a table whose checksum (the last column) fits their first ``values`` columns."""
    good = [row for row in _rows(found, table) if row_sum(*row[:values]) == row[-1]]
    outcome.rows += len(good)
    outcome.bad_rows += len(_rows(found, table)) - len(good)
    return good


def _roots(change: Transaction, found: Found, outcome: Outcome) -> dict[str, tuple[int, str]]:
    rows = _checked(found, "roots", 3, outcome)
    for row in rows:
        change.execute("insert or ignore into roots (epoch, seq, hash, row_sum) values (?, ?, ?, ?)", row)
    return {epoch: (seq, digest) for epoch, seq, digest, _sum in rows}


def _epoch(
    change: Transaction, found: Found, epoch: str, span: tuple[int, str, int, str], context: tuple[str, int, Outcome]
) -> int:
    """Write the records of an epoch and the marks of the lost ones; return the log position of its last.

    ``span`` is its root (seq and hash) and its end (likewise), as far as they are known.
    """
    box_id, offset, outcome = context
    root_seq, link, named_seq, named_hash = span
    kept = of_epoch(found, epoch)
    last_seq = max([*kept, named_seq])
    for seq in sorted(number for number in kept if number <= root_seq):
        _insert(change, offset + seq, kept[seq].record, kept[seq].body, kept[seq].hash)
    for seq in range(root_seq + 1, last_seq + 1):
        item = kept.get(seq)
        if item is None:
            next_link = named_hash if seq == named_seq else ""
            item = _mark(kept, Link(box_id, epoch, seq, link), next_link)
            _note_lost(outcome, epoch, seq)
        else:
            outcome.records += 1
        _insert(change, offset + seq, item.record, item.body, item.hash)
        link = stands_for(item.record, item.hash)
    return offset + last_seq


def _mark(kept: dict[int, Kept], link: Link, lost_hash: str) -> Kept:
    following = kept.get(link.seq + 1)
    lost_hash = lost_hash if following is None else following.record["prev_hash"]
    near = kept[min(kept, key=lambda seq: abs(seq - link.seq))].record
    data = {"kind": "record_lost"} | ({"lost_hash": lost_hash} if lost_hash else {})
    record, digest = sealed(link, Fact(RecordType.FAULT, near["boot_id"], near["at_ms"] * NS_PER_MS, data))
    return Kept(record, canonical(record).decode(), digest, None)


def _note_lost(outcome: Outcome, epoch: str, seq: int) -> None:
    if outcome.lost and (outcome.lost[-1]["epoch"], outcome.lost[-1]["to_seq"]) == (epoch, seq - 1):
        outcome.lost[-1]["to_seq"] = seq
    else:
        outcome.lost.append({"epoch": epoch, "from_seq": seq, "to_seq": seq})


def _insert(change: Transaction, id_: int, record: dict[str, Any], body: str, digest: str) -> None:
    change.execute(
        "insert into records (id, epoch, seq, type, instrument_id, body, hash) values (?, ?, ?, ?, ?, ?, ?)",
        (id_, record["epoch"], record["seq"], record["type"], record.get("instrument_id"), body, digest),
    )


def _epoch_rows(change: Transaction, found: Found, epochs: list[str]) -> None:
    """Write the epochs with what their records say of them; only their number and orderly end are in no record."""
    known = {row[1]: row for row in _rows(found, "epochs")}
    numbers = [known[epoch][0] if epoch in known else None for epoch in epochs]
    filled: list[int] = []
    for number in numbers:
        filled.append(number if isinstance(number, int) else (filled[-1] if filled else 0) + 1)
    if any(later <= earlier for earlier, later in pairwise(filled)):
        filled = list(range(1, len(epochs) + 1))
    for number, epoch in zip(filled, epochs, strict=True):
        kept = of_epoch(found, epoch)
        first = kept[min(kept)].record
        row = known.get(epoch, (None,) * 7)
        started_ns = row[3] if isinstance(row[3], int) else first["at_ms"] * NS_PER_MS
        stopped_ns = row[4] if isinstance(row[4], int) and row[4] >= started_ns else None
        said = first["data"].get("agent_version"), first["data"].get("config_hash")
        change.execute(
            "insert into epochs (number, epoch, boot_id, started_ns, stopped_ns, agent_version, config_hash)"
            " values (?, ?, ?, ?, ?, ?, ?)",
            (number, epoch, first["boot_id"], started_ns, stopped_ns, *said),
        )


def _watermarks(change: Transaction, found: Found, *, kept: bool, outcome: Outcome) -> None:
    """Write how far each destination has got; one that cannot be told is asked about everything again."""
    for name, acked_id, boot_id, at_ns, noted in _checked(found, "destinations", 2, outcome):
        row = (name, acked_id, boot_id, at_ns, noted) if kept else (name, 0, None, None, row_sum(name, 0))
        change.execute(
            "insert or ignore into destinations (name, acked_id, acked_boot_id, acked_at_ns, row_sum)"
            " values (?, ?, ?, ?, ?)",
            row,
        )
    if kept:
        for row in _rows(found, "dead_letters"):
            change.execute(
                "insert or ignore into dead_letters select ?, ?, ? where ? in (select id from records)"
                " and ? in (select name from destinations)",
                (*row, row[1], row[0]),
            )


def _time(change: Transaction, found: Found, outcome: Outcome) -> None:
    """Write intervals and anchors that fit their checksums; an anchor is in the chain as well."""
    for row in _checked(found, "anchors", 5, outcome):
        change.execute(f"insert or ignore into anchors ({ANCHOR_COLUMNS}) values (?, ?, ?, ?, ?, ?)", row)  # noqa: S608
    for row in _checked(found, "intervals", 6, outcome):
        change.execute(f"insert or ignore into intervals ({INTERVAL_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?)", row)  # noqa: S608
    for kept in found.records.values():
        if kept.record["type"] == RecordType.TIME_ANCHOR:
            data = kept.record["data"]
            times = (data[name] * NS_PER_MS for name in ("boottime_ms", "utc_ms", "error_ms"))
            row = (kept.record["boot_id"], *times, data["source"])
            change.execute(
                f"insert or ignore into anchors ({ANCHOR_COLUMNS}) values (?, ?, ?, ?, ?, ?)",  # noqa: S608
                (*row, row_sum(*row)),
            )


def _configured(change: Transaction, found: Found) -> None:
    """Write how each instrument was announced last, from its records."""
    told = (kept.record for _key, kept in sorted(found.records.items(), key=lambda item: item[1].id or 0))
    for record in told:
        if record["type"] == RecordType.LIFECYCLE_EVENT and record["data"].get("event") == "configured":
            change.execute(
                "insert or replace into configured (instrument_id, data) values (?, ?)",
                (record.get("instrument_id"), canonical(record["data"]).decode()),
            )


def _resumable(change: Transaction, found: Found, last_epoch: str, outcome: Outcome) -> None:
    """Write what each instrument resumes from, and fill holes in its chain of intervals with unknown time."""
    boot_id = next((kept.record["boot_id"] for (epoch, _seq), kept in found.records.items() if epoch == last_epoch), "")
    states: dict[str, State] = {}
    for instrument_id, body, sha256 in _rows(found, "checkpoints"):
        try:
            states[instrument_id] = read_back(body, sha256)
        except (ValueError, TypeError, KeyError, AttributeError):
            outcome.bad_rows += 1
    ends: dict[tuple[str, str], int] = {}
    chains = change.execute("select * from intervals order by instrument_id, boot_id, start_ns").fetchall()
    for instrument_id, boot, start_ns, end_ns, *_rest in chains:
        reached_ns = ends.get((instrument_id, boot), start_ns)
        _fill(change, instrument_id, boot, (reached_ns, start_ns))
        ends[instrument_id, boot] = max(reached_ns, end_ns)
    for kept in found.records.values():
        name = kept.record.get("instrument_id")
        if name is not None and kept.record["boot_id"] == boot_id:
            ends.setdefault((name, boot_id), kept.record["at_ms"] * NS_PER_MS)
    for (instrument_id, boot), end_ns in ends.items():
        state = states.get(instrument_id)
        if state is not None and state.boot_id == boot:
            _fill(change, instrument_id, boot, (end_ns, state.line.open.start_ns))
        elif state is None and boot == boot_id:
            states[instrument_id] = _unknown_from(boot, end_ns)
    for instrument_id, state in states.items():
        save_state(change, instrument_id, state)
        outcome.rows += 1


def _fill(change: Transaction, instrument_id: str, boot_id: str, hole_ns: tuple[int, int]) -> None:
    if hole_ns[0] < hole_ns[1]:
        hole = Interval(*hole_ns, Activity.UNKNOWN, UnknownReason.STORAGE_FAULT)
        save_interval(change, instrument_id, boot_id, hole)


def _unknown_from(boot_id: str, at_ns: int) -> State:
    """Return a state that knows nothing since ``at_ns``, and why."""
    state = begin(boot_id, at_ns)
    return State(boot_id, state.line, at_ns, at_ns, silence=(FailedRead(at_ns, UnknownReason.STORAGE_FAULT),))
