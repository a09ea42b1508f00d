"""What a month comes to for each instrument: sums over its calendar days, as the daily summaries have them."""

from calendar import monthrange
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from instrument_agent.buffer.chain import COLUMNS, checked_record
from instrument_agent.buffer.outbox import PRUNED_SQL
from instrument_agent.buffer.reader import Readable
from instrument_agent.buffer.retention import released_id
from instrument_agent.core.errors import AgentError
from instrument_agent.core.records import LifecycleWord, RecordType
from instrument_agent.i18n import _

SUMMED = ("length", "running", "standby", "powered", "off", "unknown", "clock_residual")
STREAK = ("days_not_powered", "unknown_days", "idle_level")
FIGURES = (*(f"{name}_ms" for name in SUMMED), "unknown_reasons_ms", *STREAK, "rules_origin")
"""What a row says of an instrument that has days; ``sums`` returns it."""
DAY = "json_extract(body, '$.data.day')"


@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month in the zone of the box."""

    year: int
    number: int

    @property
    def days(self) -> int:
        """How many days it has."""
        return monthrange(self.year, self.number)[1]

    @property
    def first(self) -> str:
        """Its first day, as ISO 8601."""
        return f"{self}-01"

    @property
    def last(self) -> str:
        """Its last day, as ISO 8601."""
        return f"{self}-{self.days:02d}"

    def __str__(self) -> str:
        """Return it as it is written: 2026-10."""
        return f"{self.year:04d}-{self.number:02d}"


@dataclass(frozen=True, slots=True)
class Span:
    """The part of the log that a report hands over: ``after_id`` < id <= ``through_id``.

    A report that is ``complete`` ends where the month does, so it can be made again to the byte. It is ``whole`` if
    nothing of the month was pruned.
    """

    after_id: int
    through_id: int
    complete: bool
    whole: bool = True


def month_of(text: str) -> Month:
    """Return the month written like 2026-10.

    Raises:
        AgentError: it is none.
    """
    try:
        first = date.fromisoformat(f"{text}-01")
    except ValueError:
        first = date.min
    month = Month(first.year, first.month)
    if str(month) != text:
        raise AgentError(_("{text} is no month").format(text=text), _("write it like 2026-10"))
    return month


def span_of(source: Readable, month: Month, watched: Sequence[str], destinations: Sequence[str]) -> Span:
    """Return which records go with a month: those of it, and before it what no platform has got yet.

    ``watched`` are the instruments of the config, ``destinations`` all that have a claim to what was recorded.
    """
    daily = RecordType.DAILY_SUMMARY.value
    before, last_id, pruned_id = source.rows(
        f"select (select coalesce(max(id), 0) from records where type = ? and {DAY} < ?),"  # noqa: S608  # constants
        f" (select coalesce(max(id), 0) from records), ({PRUNED_SQL})",
        (daily, month.first),
    )[0]
    first_id, through_id = source.rows(
        f"select min(id), max(id) from records where type = ? and {DAY} between ? and ?",  # noqa: S608
        (daily, month.first, month.last),
    )[0]
    complete = _is_over(source, month, watched)
    # One instrument may close the last day of a month after another has closed the first of the next.
    begin_id = before if first_id is None else min(before, first_id - 1)
    after_id = max(pruned_id, min(begin_id, released_id(source, destinations)))
    return Span(after_id, through_id if complete else last_id, complete, first_id is None or first_id > pruned_id)


def _is_over(source: Readable, month: Month, watched: Sequence[str]) -> bool:
    """Say whether the last day of the month is closed for each instrument that is watched and had days in it."""
    rows = source.rows(
        f"select instrument_id, max({DAY}) from records where type = ? and {DAY} between ? and ? group by 1",  # noqa: S608
        (RecordType.DAILY_SUMMARY.value, month.first, month.last),
    )
    retired = source.rows(
        "select instrument_id from records where type = ? and json_extract(body, '$.data.event') = ?",
        (RecordType.LIFECYCLE_EVENT.value, LifecycleWord.RETIRED.value),
    )
    counting = set(watched) - {name for (name,) in retired}
    ends = {name: day for name, day in rows if name in counting}
    return bool(ends) and all(day == month.last for day in ends.values())


def figures(source: Readable, month: Month, span: Span, watched: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row for each instrument that is watched or had days in the month, by id (see ``rows_of``).

    Raises:
        StoreDamaged: a record is not what was written.
    """
    days = _records(
        source, f"type = ? and {DAY} between ? and ?", (RecordType.DAILY_SUMMARY, month.first, month.last), span
    )
    told = _records(
        source, "type = ? and json_extract(body, '$.data.identity') is not null", (RecordType.LIFECYCLE_EVENT,), span
    )
    identities = {record["instrument_id"]: record["data"]["identity"] for record in told}
    return rows_of(month, days, identities, watched)


def rows_of(
    month: Month, days: Iterable[Mapping[str, Any]], identities: Mapping[str, Mapping[str, str]], watched: Sequence[str]
) -> list[dict[str, Any]]:
    """Return a row for each instrument from its daily summaries; all times in milliseconds.

    One that has no day that month has no figures: nobody knows them, and they are not zero.
    """
    members: dict[str, list[Mapping[str, Any]]] = {name: [] for name in watched}
    for record in days:
        members.setdefault(record["instrument_id"], []).append(record["data"])
    return [
        {
            "instrument_id": name,
            "identity": dict(identities.get(name, {})),
            "days": len(listed),
            "month_days": month.days,
            **(sums(listed) if listed else {}),
        }
        for name, listed in sorted(members.items())
    ]


def sums(days: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the days of one instrument come to; the idle streak is that of the last of them."""
    reasons: dict[str, int] = {}
    for data in days:
        for reason, spent_ms in data["unknown_reasons_ms"].items():
            reasons[reason] = reasons.get(reason, 0) + spent_ms
    return {
        **{f"{name}_ms": sum(data[f"{name}_ms"] for data in days) for name in SUMMED},
        "unknown_reasons_ms": reasons,
        **{key: days[-1][key] for key in STREAK},
        "rules_origin": str(days[-1].get("rules_origin", "")),
    }


def _records(source: Readable, where: str, values: tuple[str, ...], span: Span) -> list[dict[str, Any]]:
    rows: list[Any] = source.rows(
        f"select {COLUMNS} from records where {where} and id <= ? order by id",  # noqa: S608  # constants
        (*(str(value) for value in values), span.through_id),
    )
    return [checked_record(row) for row in rows]
