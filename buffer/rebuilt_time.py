"""Writes what was salvaged of an instrument's time into a new database, without a hole.

Intervals and anchors count if they fit their checksums. Holes become unknown time, ``storage_fault``. Which day comes
next follows from the last daily summary if need be.
"""

from datetime import date, timedelta

from instrument_agent.buffer.books import ANCHOR_COLUMNS, INTERVAL_COLUMNS, announced, save_interval, save_state
from instrument_agent.buffer.calendar_days import MIDNIGHT_COLUMNS, NextDay, checked_day, save_next_day
from instrument_agent.buffer.salvage import Found
from instrument_agent.buffer.salvaged_log import first_of
from instrument_agent.buffer.salvaged_rows import Outcome, checked, rows
from instrument_agent.buffer.store import Transaction
from instrument_agent.core.checkpoint import read_back
from instrument_agent.core.days import Idle
from instrument_agent.core.ledger import Interval
from instrument_agent.core.readings import NS_PER_MS, Activity, FailedRead, UnknownReason
from instrument_agent.core.records import RecordType
from instrument_agent.core.rowsum import row_sum
from instrument_agent.core.step import State, begin


def write_time(change: Transaction, found: Found, outcome: Outcome) -> None:
    """Write intervals and anchors that fit their checksums; an anchor is in the chain as well."""
    for row in checked(found, "anchors", 5, outcome):
        change.execute(f"insert or ignore into anchors ({ANCHOR_COLUMNS}) values (?, ?, ?, ?, ?, ?)", row)  # noqa: S608
    for row in checked(found, "intervals", 6, outcome):
        change.execute(f"insert or ignore into intervals ({INTERVAL_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?)", row)  # noqa: S608
    for kept in found.records("type = ?", RecordType.TIME_ANCHOR.value):
        data = kept.record["data"]
        times = (data[name] * NS_PER_MS for name in ("boottime_ms", "utc_ms", "error_ms"))
        row = (kept.record["boot_id"], *times, data["source"])
        change.execute(
            f"insert or ignore into anchors ({ANCHOR_COLUMNS}) values (?, ?, ?, ?, ?, ?)",  # noqa: S608
            (*row, row_sum(*row)),
        )


def write_configured(change: Transaction, found: Found) -> None:
    """Write how each instrument was announced last, from its records."""
    for kept in found.records("type = ? order by coalesce(id, 0)", RecordType.LIFECYCLE_EVENT.value):
        record = kept.record
        if record["data"].get("event") == "configured":
            change.execute(
                "insert or replace into configured (instrument_id, data) values (?, ?)",
                (record.get("instrument_id"), announced(record["data"])),
            )


def write_days(change: Transaction, found: Found, kept_to: int, outcome: Outcome) -> None:
    """Write which day each instrument counts next; what does not fit its checksum follows from its last summary.

    Places in the log are kept up to ``kept_to``.
    A midnight that is lost is put down anew when it is needed; then it says so by its place in the log (``after_id``).
    """
    for item in found.records("type = ? order by json_extract(body, '$.data.day')", RecordType.DAILY_SUMMARY.value):
        data = item.record["data"]
        idle = Idle(data["days_not_powered"], data["unknown_days"])
        # From the first epoch on: looking at boots that are long over changes nothing.
        following = NextDay(date.fromisoformat(data["day"]) + timedelta(days=1), 0, idle)
        save_next_day(change, str(item.record.get("instrument_id")), following)
    for row in checked(found, "days", 5, outcome):
        save_next_day(change, row[0], checked_day(row))
    for boot_id, utc_ns, boottime_ns, after_id, _sum in checked(found, "midnights", 4, outcome):
        values = (boot_id, utc_ns, boottime_ns, min(after_id, kept_to))
        change.execute(
            f"insert or ignore into midnights ({MIDNIGHT_COLUMNS}) values (?, ?, ?, ?, ?)",  # noqa: S608
            (*values, row_sum(*values)),
        )


def write_resumable(change: Transaction, found: Found, last_epoch: str, outcome: Outcome) -> None:
    """Write what each instrument resumes from, and fill holes in its chain of intervals with unknown time."""
    boot_id = first_of(found, [last_epoch], last_epoch).record["boot_id"] if last_epoch else ""
    states: dict[str, State] = {}
    for instrument_id, body, sha256 in rows(found, "checkpoints"):
        try:
            states[instrument_id] = read_back(body, sha256)
        except (ValueError, TypeError, KeyError, AttributeError):
            outcome.bad_rows += 1
    ends = _filled_up(change, outcome)
    told = "select instrument_id, min(at_ms) from kept where boot_id = ? and instrument_id is not null group by 1"
    for name, at_ms in found.ask(told, boot_id):
        ends.setdefault((name, boot_id), at_ms * NS_PER_MS)
    for (instrument_id, boot), end_ns in ends.items():
        state = states.get(instrument_id)
        if state is not None and state.boot_id == boot:
            outcome.holes += _fill(change, instrument_id, boot, (end_ns, state.line.open.start_ns))
        elif state is None and boot == boot_id:
            states[instrument_id] = _unknown_from(boot, end_ns)
    for instrument_id, state in states.items():
        save_state(change, instrument_id, state)
        outcome.rows += 1


def _filled_up(change: Transaction, outcome: Outcome) -> dict[tuple[str, str], int]:
    """Fill the holes between intervals; return where the chain of each (instrument, boot) ends."""
    ends: dict[tuple[str, str], int] = {}
    holes: list[tuple[str, str, tuple[int, int]]] = []
    chains = "select instrument_id, boot_id, start_ns, end_ns from intervals order by instrument_id, boot_id, start_ns"
    for instrument_id, boot_id, start_ns, end_ns in change.execute(chains):
        reached_ns = ends.get((instrument_id, boot_id), start_ns)
        if reached_ns < start_ns:
            holes.append((instrument_id, boot_id, (reached_ns, start_ns)))
        ends[instrument_id, boot_id] = max(reached_ns, end_ns)
    for hole in holes:
        outcome.holes += _fill(change, *hole)
    return ends


def _fill(change: Transaction, instrument_id: str, boot_id: str, hole_ns: tuple[int, int]) -> bool:
    """Fill a hole; say whether there is one that an interval must have left (records have whole milliseconds only)."""
    if hole_ns[0] < hole_ns[1]:
        hole = Interval(*hole_ns, Activity.UNKNOWN, UnknownReason.STORAGE_FAULT)
        save_interval(change, instrument_id, boot_id, hole)
    return hole_ns[1] - hole_ns[0] >= NS_PER_MS


def _unknown_from(boot_id: str, at_ns: int) -> State:
    """Return a state that knows nothing since ``at_ns``, and why."""
    state = begin(boot_id, at_ns)
    return State(boot_id, state.line, at_ns, at_ns, silence=(FailedRead(at_ns, UnknownReason.STORAGE_FAULT),))
