"""Which day of each instrument is to be counted next, and the summaries of the days that were."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from instrument_agent.buffer.books import INTERVAL_COLUMNS, checked_interval, epochs
from instrument_agent.buffer.chain import newest_of, records_of
from instrument_agent.buffer.reader import Readable, damaged
from instrument_agent.buffer.store import Transaction
from instrument_agent.core.days import Idle
from instrument_agent.core.ledger import Interval
from instrument_agent.core.readings import UnknownReason
from instrument_agent.core.records import Fact, RecordType
from instrument_agent.core.rowsum import row_sum
from instrument_agent.i18n import _

DAY_COLUMNS = "instrument_id, next_day, first_epoch_number, days_not_powered, unknown_days, row_sum"
MIDNIGHT_COLUMNS = "boot_id, utc_ns, boottime_ns, after_id, row_sum"


@dataclass(frozen=True, slots=True)
class NextDay:
    """The next day to count, from which epoch on (number) its boots are, and the idle streak before it."""

    day: date
    first_epoch_number: int
    idle: Idle


@dataclass(frozen=True, slots=True)
class Midnight:
    """Where a midnight (UTC) lies on a boot's clock, put down after the record at ``after_id`` of the log."""

    boot_id: str
    utc_ns: int
    boottime_ns: int
    after_id: int


@dataclass(frozen=True, slots=True)
class BootSpan:
    """A boot an instrument was watched in: its first and newest epoch, and how far its closed intervals reach.

    ``watched_to_ns`` is how far it was watched; None if it was not.
    """

    boot_id: str
    first_epoch_number: int
    last_epoch_number: int
    begin_ns: int | None
    end_ns: int | None
    watched_to_ns: int | None

    @property
    def left(self) -> bool:
        """Whether the instrument was not watched any more at the end of it."""
        return self.end_ns is not None and self.watched_to_ns != self.end_ns


def next_day(source: Readable, instrument_id: str) -> NextDay | None:
    """Return the next day to count; None before the first."""
    rows = source.rows(f"select {DAY_COLUMNS} from days where instrument_id = ?", (instrument_id,))  # noqa: S608
    return checked_day(rows[0]) if rows else None


def checked_day(row: tuple[Any, ...]) -> NextDay:
    """Return the next day of a row (DAY_COLUMNS).

    Raises:
        StoreDamaged: it does not fit its checksum.
    """
    *values, noted = row
    if row_sum(*values) != noted:
        raise damaged(_("the next day of {instrument} does not fit its checksum").format(instrument=values[0]))
    _instrument_id, day, number, days_not_powered, unknown_days = values
    return NextDay(date.fromisoformat(day), number, Idle(days_not_powered, unknown_days))


def save_day(
    change: Transaction, instrument_id: str, at: tuple[str, int], data: Mapping[str, Any], following: NextDay
) -> None:
    """Put the summary of a day in the log (at boot id and boot-clock time ``at``) and go on to the next."""
    change.append(Fact(RecordType.DAILY_SUMMARY, *at, data, instrument_id))
    save_next_day(change, instrument_id, following)


def save_next_day(change: Transaction, instrument_id: str, following: NextDay) -> None:
    """Note which day is to be counted next."""
    idle = following.idle
    day, number = following.day.isoformat(), following.first_epoch_number
    row = (instrument_id, day, number, idle.days_not_powered, idle.unknown_days)
    change.execute(
        f"insert or replace into days ({DAY_COLUMNS}) values (?, ?, ?, ?, ?, ?)",  # noqa: S608  # a constant
        (*row, row_sum(*row)),
    )


def midnight(source: Readable, boot_id: str, utc_ns: int) -> int | None:
    """Return where a midnight was put on a boot's clock.

    Raises:
        StoreDamaged: it does not fit its checksum.
    """
    columns = f"select {MIDNIGHT_COLUMNS} from midnights where boot_id = ? and utc_ns = ?"  # noqa: S608  # a constant
    rows = source.rows(columns, (boot_id, utc_ns))
    return checked_midnight(rows[0]).boottime_ns if rows else None


def checked_midnight(row: tuple[Any, ...]) -> Midnight:
    """Return the midnight of a row (MIDNIGHT_COLUMNS).

    Raises:
        StoreDamaged: it does not fit its checksum.
    """
    *values, noted = row
    if row_sum(*values) != noted:
        raise damaged(_("a midnight does not fit its checksum"))
    return Midnight(*values)


def save_midnight(change: Transaction, boot_id: str, utc_ns: int, boottime_ns: int) -> None:
    """Note where a midnight lies on a boot's clock, once and for all: two days meet there."""
    after_id = change.execute("select coalesce(max(id), 0) from records").fetchone()[0]
    row = (boot_id, utc_ns, boottime_ns, after_id)
    change.execute(
        f"insert or ignore into midnights ({MIDNIGHT_COLUMNS}) values (?, ?, ?, ?, ?)",  # noqa: S608  # a constant
        (*row, row_sum(*row)),
    )


def boot_spans(source: Readable, instrument_id: str, first_epoch_number: int) -> list[BootSpan]:
    """Return the boots from an epoch on, in order.

    Raises:
        StoreDamaged: an epoch does not fit its checksum.
    """
    numbers: dict[str, list[int]] = {}
    for epoch in epochs(source):
        numbers.setdefault(epoch.boot_id, []).append(epoch.number)
    reach = (
        "select min(start_ns), max(end_ns), max(iif(reason is ?, null, end_ns)) from intervals"
        " where instrument_id = ? and boot_id = ?"
    )
    unwatched = UnknownReason.NOT_WATCHED.value
    return [
        BootSpan(boot_id, its[0], its[-1], *source.rows(reach, (unwatched, instrument_id, boot_id))[0])
        for boot_id, its in numbers.items()
        if its[-1] >= first_epoch_number
    ]


def intervals_between(source: Readable, instrument_id: str, boot_id: str, from_ns: int, to_ns: int) -> list[Interval]:
    """Return the closed intervals of a boot that touch [from, to).

    Raises:
        StoreDamaged: one of them does not fit its checksum.
    """
    rows = source.rows(
        f"select {INTERVAL_COLUMNS} from intervals"  # noqa: S608  # a constant
        " where instrument_id = ? and boot_id = ? and start_ns < ? and end_ns > ? order by start_ns",
        (instrument_id, boot_id, to_ns, from_ns),
    )
    return [checked_interval(row) for row in rows]


def last_summary(source: Readable, instrument_id: str) -> dict[str, Any] | None:
    """Return the data of the newest daily summary of an instrument; None if there is none.

    Raises:
        StoreDamaged: it is not what was written.
    """
    found = newest_of(source, RecordType.DAILY_SUMMARY, instrument_id)
    return None if found is None else dict(found["data"])


def daily_summaries(source: Readable, instrument_id: str | None = None) -> list[dict[str, Any]]:
    """Return the ``daily_summary`` records, oldest first, of one instrument or of all.

    Raises:
        StoreDamaged: one of them is not what was written.
    """
    return records_of(source, RecordType.DAILY_SUMMARY, instrument_id)
