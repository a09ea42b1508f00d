"""What an instrument did in all: its closed days, and of its intervals what no closed day has counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from instrument_agent.buffer.books import anchors, intervals, newest_lifecycle, states
from instrument_agent.buffer.calendar_days import boot_spans, daily_summaries, midnight
from instrument_agent.buffer.reader import Readable
from instrument_agent.core.anchors import Sights
from instrument_agent.core.days import FAR_NS, clipped, local_day, midnights
from instrument_agent.core.ledger import Interval
from instrument_agent.core.readings import NS_PER_MS, Activity, UnknownReason
from instrument_agent.core.records import LifecycleWord

SINCE = {"since_commissioned": LifecycleWord.COMMISSIONED, "since_transferred": LifecycleWord.TRANSFERRED}
ENDLESS_NS = 1 << 62


@dataclass(frozen=True, slots=True)
class _Boot:
    """One boot's chain, and the mapping of its clock to UTC if it ever had a sight of it."""

    boot_id: str
    chain: Sequence[Interval]
    sights: Sights | None


def counters(source: Readable, instrument_id: str, zone: str) -> dict[str, dict[str, int]]:
    """Return the sums (ms) in all, and since the last commissioning and transfer if there were such.

    Power-off after the last closed day is in none of them. Of what is older than pruning reaches, the days count: the
    rest of the very day of a commissioning that long ago does not.

    Raises:
        StoreDamaged: something is not what was written.
    """
    found = {"in_all": _spent_ms(source, instrument_id, zone, None)}
    for name, word in SINCE.items():
        if record := newest_lifecycle(source, instrument_id, word):
            found[name] = _spent_ms(source, instrument_id, zone, record)
    return found


def _spent_ms(source: Readable, instrument_id: str, zone: str, since: Mapping[str, Any] | None) -> dict[str, int]:
    boots = _boots(source, instrument_id, since)
    days = [record["data"] for record in daily_summaries(source, instrument_id)]
    if since is not None:
        began = next((boot.sights for boot in boots if boot.boot_id == since["boot_id"]), None)
        first = None if began is None else local_day(began.utc(since["at_ms"] * NS_PER_MS).utc_ns, ZoneInfo(zone))
        days = [day for day in days if first is not None and date.fromisoformat(day["day"]) > first]
    spent_ns = {activity: NS_PER_MS * sum(day[f"{activity}_ms"] for day in days) for activity in Activity}
    for boot in boots:
        for item in _uncounted(source, boot, days):
            spent_ns[item.activity] += item.end_ns - item.start_ns
    # The days between which a boot without a date lies have its time once already, as unknown.
    undated_ns = sum(item.end_ns - item.start_ns for boot in boots if boot.sights is None for item in boot.chain)
    in_days_ms = sum(day.get("unknown_reasons_ms", {}).get(UnknownReason.UNDATED, 0) for day in days)
    spent_ns[Activity.UNKNOWN] -= min(undated_ns, in_days_ms * NS_PER_MS)
    spent_ms = {f"{activity}_ms": nanoseconds // NS_PER_MS for activity, nanoseconds in spent_ns.items()}
    return {"powered_ms": spent_ms["standby_ms"] + spent_ms["running_ms"], **spent_ms}


def _boots(source: Readable, instrument_id: str, since: Mapping[str, Any] | None) -> list[_Boot]:
    """Return the boots, in order, from a record on."""
    state, found = states(source).get(instrument_id), list[_Boot]()
    for span in boot_spans(source, instrument_id, 0):
        chain = intervals(source, instrument_id, span.boot_id)
        if state is not None and state.boot_id == span.boot_id:
            chain.append(state.line.open)
        if since is not None and span.boot_id == since["boot_id"]:
            found.clear()
            chain = list(clipped(chain, since["at_ms"] * NS_PER_MS, ENDLESS_NS))
        known = anchors(source, span.boot_id)
        found.append(_Boot(span.boot_id, chain, Sights(known) if known else None))
    return _believed(found)


def _believed(boots: list[_Boot]) -> list[_Boot]:
    """Take the date from each boot that seems to begin long after the last one did: no day has counted it."""
    begins = [boot.sights.utc(boot.chain[0].start_ns).utc_ns for boot in boots if boot.sights and boot.chain]
    return [
        replace(boot, sights=None)
        if boot.sights and boot.chain and boot.sights.utc(boot.chain[0].start_ns).utc_ns > begins[-1] + FAR_NS
        else boot
        for boot in boots
    ]


def _uncounted(source: Readable, boot: _Boot, days: Sequence[Mapping[str, Any]]) -> Sequence[Interval]:
    """Return what of a boot lies outside the closed days, which follow each other without a gap."""
    if boot.sights is None or not days or not boot.chain:
        return boot.chain
    from_utc_ns = midnights(date.fromisoformat(days[0]["day"]), ZoneInfo(days[0]["zone"]))[0]
    to_utc_ns = midnights(date.fromisoformat(days[-1]["day"]), ZoneInfo(days[-1]["zone"]))[1]
    begin_ns, end_ns = boot.chain[0].start_ns, boot.chain[-1].end_ns
    from_ns, to_ns = midnight(source, boot.boot_id, from_utc_ns), midnight(source, boot.boot_id, to_utc_ns)
    # A boot without a mark at a midnight lies wholly on one side of it.
    if from_ns is None:
        from_ns = end_ns if boot.sights.utc(end_ns).utc_ns <= from_utc_ns else begin_ns
    if to_ns is None:
        to_ns = begin_ns if boot.sights.utc(begin_ns).utc_ns >= to_utc_ns else end_ns
    return *clipped(boot.chain, begin_ns, from_ns), *clipped(boot.chain, max(to_ns, from_ns), end_ns)
