"""Which day of each instrument is to be counted next, and the summaries of the days that were."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from instrument_agent.buffer.books import INTERVAL_COLUMNS, checked_interval
from instrument_agent.buffer.reader import Readable
from instrument_agent.buffer.store import Transaction
from instrument_agent.core.days import Idle
from instrument_agent.core.ledger import Interval
from instrument_agent.core.records import Fact, RecordType


@dataclass(frozen=True, slots=True)
class NextDay:
    """The next day to count, from which epoch on (number) its boots are, and the idle streak before it."""

    day: date
    first_epoch_number: int
    idle: Idle


@dataclass(frozen=True, slots=True)
class BootSpan:
    """A boot an instrument was watched in: its first and newest epoch, and how far its closed intervals reach."""

    boot_id: str
    first_epoch_number: int
    last_epoch_number: int
    begin_ns: int | None
    end_ns: int | None


def next_day(source: Readable, instrument_id: str) -> NextDay | None:
    """Return the next day to count; None before the first."""
    rows = source.rows(
        "select next_day, first_epoch_number, days_not_powered, unknown_days from days where instrument_id = ?",
        (instrument_id,),
    )
    if not rows:
        return None
    day, number, days_not_powered, unknown_days = rows[0]
    return NextDay(date.fromisoformat(day), number, Idle(days_not_powered, unknown_days))


def save_day(
    change: Transaction, instrument_id: str, at: tuple[str, int], data: Mapping[str, Any], following: NextDay
) -> None:
    """Put the summary of a day in the log (at boot id and boot-clock time ``at``) and go on to the next."""
    change.append(Fact(RecordType.DAILY_SUMMARY, *at, data, instrument_id))
    change.execute(
        "insert into days (instrument_id, next_day, first_epoch_number, days_not_powered, unknown_days)"
        " values (?, ?, ?, ?, ?) on conflict (instrument_id) do update set next_day = excluded.next_day,"
        " first_epoch_number = excluded.first_epoch_number, days_not_powered = excluded.days_not_powered,"
        " unknown_days = excluded.unknown_days",
        (
            instrument_id,
            following.day.isoformat(),
            following.first_epoch_number,
            following.idle.days_not_powered,
            following.idle.unknown_days,
        ),
    )


def midnight(source: Readable, boot_id: str, utc_ns: int) -> int | None:
    """Return where a midnight was put on a boot's clock."""
    rows = source.rows("select boottime_ns from midnights where boot_id = ? and utc_ns = ?", (boot_id, utc_ns))
    return rows[0][0] if rows else None


def save_midnight(change: Transaction, boot_id: str, utc_ns: int, boottime_ns: int) -> None:
    """Note where a midnight lies on a boot's clock, once and for all: two days meet there."""
    change.execute(
        "insert or ignore into midnights (boot_id, utc_ns, boottime_ns) values (?, ?, ?)",
        (boot_id, utc_ns, boottime_ns),
    )


def boot_spans(source: Readable, instrument_id: str, first_epoch_number: int) -> list[BootSpan]:
    """Return the boots from an epoch on, in order."""
    rows = source.rows(
        "select e.boot_id, min(e.number) as first, max(e.number) as last,"
        " (select min(start_ns) from intervals i where i.instrument_id = ? and i.boot_id = e.boot_id),"
        " (select max(end_ns) from intervals i where i.instrument_id = ? and i.boot_id = e.boot_id)"
        " from epochs e where e.boot_id in (select boot_id from epochs where number >= ?)"
        " group by e.boot_id order by first",
        (instrument_id, instrument_id, first_epoch_number),
    )
    return [BootSpan(*row) for row in rows]


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


def daily_summaries(source: Readable, instrument_id: str | None = None) -> list[dict[str, Any]]:
    """Return the ``daily_summary`` records, oldest first, of one instrument or of all."""
    rows = source.rows(
        "select body from records where type = ? and (? is null or instrument_id = ?) order by id",
        (RecordType.DAILY_SUMMARY.value, instrument_id, instrument_id),
    )
    return [json.loads(body) for (body,) in rows]
