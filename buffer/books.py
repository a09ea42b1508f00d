"""The books of each instrument: its chain of intervals, the state it resumes from, and how it was configured."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from instrument_agent.buffer.chain import records_of
from instrument_agent.buffer.reader import Readable, damaged
from instrument_agent.buffer.store import Transaction
from instrument_agent.core.anchors import Anchor
from instrument_agent.core.canonical import canonical
from instrument_agent.core.checkpoint import read_back, written
from instrument_agent.core.ledger import Interval, totals_ns
from instrument_agent.core.readings import NS_PER_MS, Activity, UnknownReason
from instrument_agent.core.records import Fact, LifecycleWord, RecordType, event_facts, time_anchor
from instrument_agent.core.rowsum import row_sum
from instrument_agent.core.step import Event, State
from instrument_agent.i18n import _

INTERVAL_COLUMNS = "instrument_id, boot_id, start_ns, end_ns, activity, reason, row_sum"
EPOCH_COLUMNS = "number, epoch, boot_id, started_ns, stopped_ns, row_sum"
ANCHOR_COLUMNS = "boot_id, boottime_ns, utc_ns, error_ns, source, row_sum"

RULES_TOLD = (
    "select body from records where type = ? and instrument_id = ?"
    " and json_extract(body, '$.data.event') in ('configured', 'drift') order by id desc limit 1"
)


@dataclass(frozen=True, slots=True)
class Epoch:
    """An epoch and its boot; ``stopped_ns`` is None unless the agent ended it itself."""

    number: int
    epoch: str
    boot_id: str
    started_ns: int
    stopped_ns: int | None


@dataclass(frozen=True, slots=True)
class LastEpoch:
    """The epoch before this start; ``stopped_ns`` is None if the agent did not end it itself.

    ``unsaved`` says that nothing could be written down any more when it did.
    """

    boot_id: str
    stopped_ns: int | None
    unsaved: bool = False


def save_state(change: Transaction, instrument_id: str, state: State) -> None:
    """Write down what the instrument resumes from."""
    body, sha256 = written(state)
    change.execute(
        "insert into checkpoints (instrument_id, body, sha256) values (?, ?, ?)"
        " on conflict (instrument_id) do update set body = excluded.body, sha256 = excluded.sha256",
        (instrument_id, body, sha256),
    )


def save_events(change: Transaction, instrument_id: str, state: State, events: tuple[Event, ...]) -> None:
    """Write down what became certain, and put what must be sent in the log."""
    for event in events:
        if isinstance(event, Interval):
            save_interval(change, instrument_id, state.boot_id, event)
    for fact in event_facts(state.boot_id, instrument_id, state.latest_ns, events):
        change.append(fact)


def save_interval(change: Transaction, instrument_id: str, boot_id: str, interval: Interval) -> None:
    """Write down a closed interval."""
    reason = None if interval.reason is None else interval.reason.value
    row = (instrument_id, boot_id, interval.start_ns, interval.end_ns, interval.activity.value, reason)
    change.execute(
        "insert into intervals (instrument_id, boot_id, start_ns, end_ns, activity, reason, row_sum)"
        " values (?, ?, ?, ?, ?, ?, ?)",
        (*row, row_sum(*row)),
    )


def save_configured(change: Transaction, instrument_id: str, boot_id: str, at_ns: int, data: Mapping[str, Any]) -> bool:
    """Put a ``lifecycle_event`` in the log if the instrument is new or is watched differently from before.

    It names the one it takes the place of.
    """
    text = announced(data)
    known = change.execute("select data from configured where instrument_id = ?", (instrument_id,)).fetchone()
    if known is not None and known[0] == text:
        return False
    change.execute(
        "insert into configured (instrument_id, data) values (?, ?)"
        " on conflict (instrument_id) do update set data = excluded.data",
        (instrument_id, text),
    )
    before = change.execute(RULES_TOLD, (RecordType.LIFECYCLE_EVENT.value, instrument_id)).fetchone()
    replaces = {} if before is None else place_of(json.loads(before[0]))
    change.append(Fact(RecordType.LIFECYCLE_EVENT, boot_id, at_ns, {**data, **replaces}, instrument_id))
    return True


def announced(data: Mapping[str, Any]) -> str:
    """Return how an instrument is watched, as the table of these has it, from the data of a ``configured`` record."""
    return canonical({key: value for key, value in data.items() if key != "replaces"}).decode()


def rules_told(source: Readable, instrument_id: str) -> dict[str, Any] | None:
    """Return the newest record that says how an instrument is judged; None if there is none."""
    rows = source.rows(RULES_TOLD, (RecordType.LIFECYCLE_EVENT.value, instrument_id))
    return dict(json.loads(rows[0][0])) if rows else None


def place_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a record names the one it takes the place of."""
    return {"replaces": {"epoch": record["epoch"], "seq": record["seq"]}}


def configured_data(source: Readable, instrument_id: str) -> dict[str, Any]:
    """Return how an instrument was announced last (the data of its ``configured`` event); empty if never."""
    rows = source.rows("select data from configured where instrument_id = ?", (instrument_id,))
    return dict(json.loads(rows[0][0])) if rows else {}


def newest_event(source: Readable, instrument_id: str, word: LifecycleWord) -> dict[str, Any]:
    """Return the data of the newest ``lifecycle_event`` of one kind; empty if there is none."""
    found = newest_lifecycle(source, instrument_id, word)
    return dict(found["data"]) if found else {}


def newest_lifecycle(source: Readable, instrument_id: str, word: LifecycleWord) -> dict[str, Any] | None:
    """Return the newest ``lifecycle_event`` of one kind, the whole record; None if there is none."""
    rows = source.rows(
        "select body from records where type = ? and instrument_id = ? and json_extract(body, '$.data.event') = ?"
        " order by id desc limit 1",
        (RecordType.LIFECYCLE_EVENT.value, instrument_id, word.value),
    )
    return dict(json.loads(rows[0][0])) if rows else None


def changes_of_hands(source: Readable, instrument_id: str) -> list[tuple[str, int]]:
    """Return the instants (boot id, boot-clock ns) at which an instrument changed hands, in order."""
    rows = source.rows(
        "select json_extract(body, '$.boot_id'), json_extract(body, '$.at_ms') from records where type = ?"
        " and instrument_id = ? and json_extract(body, '$.data.event') = ? order by id",
        (RecordType.LIFECYCLE_EVENT.value, instrument_id, LifecycleWord.TRANSFERRED.value),
    )
    return [(boot_id, at_ms * NS_PER_MS) for boot_id, at_ms in rows]


def save_anchor(change: Transaction, anchor: Anchor) -> None:
    """Put a sight of UTC in the log."""
    row = (anchor.boot_id, anchor.boottime_ns, anchor.utc_ns, anchor.error_ns, anchor.source)
    change.execute(
        "insert or replace into anchors (boot_id, boottime_ns, utc_ns, error_ns, source, row_sum)"
        " values (?, ?, ?, ?, ?, ?)",
        (*row, row_sum(*row)),
    )
    change.append(Fact(RecordType.TIME_ANCHOR, anchor.boot_id, anchor.boottime_ns, time_anchor(anchor)))


def save_stop(change: Transaction, epoch: str, at_ns: int) -> None:
    """Note that the agent ended this epoch itself."""
    number, boot_id, started_ns = change.execute(
        "select number, boot_id, started_ns from epochs where epoch = ?", (epoch,)
    ).fetchone()
    change.execute(
        "update epochs set stopped_ns = ?, row_sum = ? where number = ?",
        (at_ns, row_sum(number, epoch, boot_id, started_ns, at_ns), number),
    )


def last_epoch(source: Readable) -> LastEpoch | None:
    """Return the newest epoch in the database.

    Raises:
        StoreDamaged: it does not fit its checksum.
    """
    found = epochs(source, newest=1)
    return LastEpoch(found[-1].boot_id, found[-1].stopped_ns) if found else None


def epochs(source: Readable, newest: int = -1) -> list[Epoch]:
    """Return all epochs, or so many of the newest, oldest first.

    Raises:
        StoreDamaged: one of them does not fit its checksum.
    """
    columns = f"select {EPOCH_COLUMNS} from epochs order by number desc limit ?"  # noqa: S608  # a constant
    return [checked_epoch(row) for row in reversed(source.rows(columns, (newest,)))]


def checked_epoch(row: tuple[Any, ...]) -> Epoch:
    """Return the epoch of a row (EPOCH_COLUMNS).

    Raises:
        StoreDamaged: it does not fit its checksum.
    """
    *values, noted = row
    if row_sum(*values) != noted:
        raise damaged(_("an epoch does not fit its checksum"))
    return Epoch(*values)


def states(source: Readable) -> dict[str, State]:
    """Return the last state written of each instrument.

    Raises:
        StoreDamaged: one of them does not fit its checksum.
    """
    rows = source.rows("select instrument_id, body, sha256 from checkpoints")
    try:
        return {instrument_id: read_back(body, sha256) for instrument_id, body, sha256 in rows}
    except ValueError as error:
        raise damaged(str(error)) from error


def intervals(source: Readable, instrument_id: str, boot_id: str) -> list[Interval]:
    """Return the closed intervals of an instrument in one boot, in order.

    Raises:
        StoreDamaged: one of them does not fit its checksum.
    """
    rows = source.rows(
        f"select {INTERVAL_COLUMNS} from intervals where instrument_id = ? and boot_id = ? order by start_ns",  # noqa: S608
        (instrument_id, boot_id),
    )
    return [checked_interval(row) for row in rows]


def checked_interval(row: tuple[Any, ...]) -> Interval:
    """Return the interval of a row (INTERVAL_COLUMNS).

    Raises:
        StoreDamaged: it does not fit its checksum.
    """
    *values, noted = row
    if row_sum(*values) != noted:
        raise damaged(_("an interval of {instrument} does not fit its checksum").format(instrument=values[0]))
    _instrument_id, _boot_id, start_ns, end_ns, activity, reason = values
    return Interval(start_ns, end_ns, Activity(activity), None if reason is None else UnknownReason(reason))


def anchors(source: Readable, boot_id: str | None = None) -> list[Anchor]:
    """Return the sights of UTC, of one boot or of all."""
    which, given = ("", ()) if boot_id is None else ("where boot_id = ?", (boot_id,))
    rows = source.rows(f"select {ANCHOR_COLUMNS} from anchors {which} order by boottime_ns", given)  # noqa: S608  # constants
    return [checked_anchor(row) for row in rows]


def anchors_after(source: Readable, utc_ns: int) -> list[Anchor]:
    """Return the sights of UTC, of whatever boot, that lie certainly after a moment."""
    columns = f"select {ANCHOR_COLUMNS} from anchors where utc_ns - error_ns > ?"  # noqa: S608  # a constant
    return [checked_anchor(row) for row in source.rows(columns, (utc_ns,))]


def checked_anchor(row: tuple[Any, ...]) -> Anchor:
    """Return the anchor of a row (ANCHOR_COLUMNS).

    Raises:
        StoreDamaged: it does not fit its checksum.
    """
    *values, noted = row
    if row_sum(*values) != noted:
        raise damaged(_("a time anchor does not fit its checksum"))
    return Anchor(*values)


def run_records(source: Readable, instrument_id: str | None = None) -> list[dict[str, Any]]:
    """Return the ``run_session`` records, oldest first, of one instrument or of all.

    Raises:
        StoreDamaged: one of them is not what was written.
    """
    return records_of(source, RecordType.RUN_SESSION, instrument_id)


def time_spent_ns(source: Readable, instrument_id: str, boot_id: str) -> dict[Activity, int]:
    """Return the nanoseconds an instrument spent in each activity in one boot, closed intervals only.

    Of a boot in which it changed hands, the time since then.
    """
    from_ns = max((at_ns for boot, at_ns in changes_of_hands(source, instrument_id) if boot == boot_id), default=0)
    return totals_ns(item for item in intervals(source, instrument_id, boot_id) if item.start_ns >= from_ns)
