"""What other rules would have made of the readings that are still kept.

The kept trace is played through the core once for each set of rules: every reading where there are single ones, around
the edges of recorded runs, and else the mean of ten seconds. Nothing is written anywhere.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from heapq import merge
from zoneinfo import ZoneInfo

from instrument_agent.buffer.books import intervals, run_records, states
from instrument_agent.buffer.reader import Readable
from instrument_agent.buffer.traces import BUCKET_MS, Seen, load_buckets, load_edges, traced_boots
from instrument_agent.core.activity import Rules
from instrument_agent.core.anchors import Quality
from instrument_agent.core.chronology import Chronology
from instrument_agent.core.ledger import Interval
from instrument_agent.core.readings import (
    NS_PER_MS,
    NS_PER_S,
    Activity,
    FailedRead,
    Observation,
    Reading,
    UnknownReason,
)
from instrument_agent.core.sessions import RunSession
from instrument_agent.core.step import Event, State, begin, end, step

UNDATED = ""
"""The day of what no clock tells."""
_KNOWN = (Quality.EXACT, Quality.GOOD)


@dataclass(slots=True)
class Hours:
    """Runs that began on a day, and the time run on it."""

    runs: int = 0
    running_ns: int = 0


Days = dict[str, Hours]
"""By local date (ISO 8601), or ``UNDATED``."""


class Trace:
    """What is kept of one instrument's readings, and the clock and zone its days are those of."""

    def __init__(self, source: Readable, instrument_id: str, times: Chronology, zone: ZoneInfo) -> None:
        self._source = source
        self._instrument_id = instrument_id
        self._times = times
        self._zone = zone
        self.boots = traced_boots(source, instrument_id)

    def by(self, rules: Rules) -> Days:
        """Return what these rules make of it.

        Raises:
            StoreUnavailable: it cannot be read, or is not as it was written.
        """
        # A silence shows only to ten seconds here; what the daemon called no gap is to be none here either.
        bucket_ns = BUCKET_MS * NS_PER_MS
        gap_ns = max(rules.gap_ns, bucket_ns) + bucket_ns
        coarse = replace(rules, gap_ns=gap_ns, bridge_ns=max(rules.bridge_ns + bucket_ns, gap_ns))
        days: Days = defaultdict(Hours)
        for boot_id in self.boots:
            self._count(days, boot_id, _played(coarse, boot_id, self.readings(boot_id, rules.channel)))
        return days

    def reaching_over(self, rules: Rules) -> float:
        """Return which share of the ten seconds that are standby in the mean had a reading at or over ``run_below``.

        The means hide it: judged one by one such readings may make a run, or keep one going.
        """
        standby = [
            bucket.high >= rules.run_below
            for boot_id in self.boots
            for bucket in load_buckets(self._source, self._instrument_id, boot_id)
            if rules.off_below <= bucket.mean < rules.run_below
        ]
        return sum(standby) / len(standby) if standby else 0.0

    def recorded(self) -> Days:
        """Return what the books have of the same time, and what is open by the last checkpoint."""
        days: Days = defaultdict(Hours)
        records = run_records(self._source, self._instrument_id)
        state = states(self._source).get(self._instrument_id)
        for boot_id in self.boots:
            first_ns = next(iter(self.readings(boot_id, ""))).at_ns
            chain = intervals(self._source, self._instrument_id, boot_id)
            if state is not None and state.boot_id == boot_id:
                chain.append(state.line.open)
            found: list[Event] = [
                replace(item, start_ns=max(item.start_ns, first_ns)) for item in chain if item.end_ns > first_ns
            ]
            if state is not None and state.boot_id == boot_id and state.open_run is not None:
                found.append(RunSession(state.open_run.start_ns, state.open_run.seen_to_ns, 0))
            for record in records:
                start_ns = record["data"]["start_ms"] * NS_PER_MS
                if record["boot_id"] == boot_id and start_ns >= first_ns // NS_PER_MS * NS_PER_MS:
                    found.append(RunSession(start_ns, record["data"]["end_ms"] * NS_PER_MS, 0))
            self._count(days, boot_id, found)
        return days

    def readings(self, boot_id: str, channel: str) -> Iterator[Reading]:
        """Yield what is kept of a boot, in order of time."""
        stretches = load_edges(self._source, self._instrument_id, boot_id)
        single = (
            FailedRead(at_ms * NS_PER_MS, value)
            if isinstance(value, UnknownReason)
            else Observation(at_ms * NS_PER_MS, {channel: value})
            for stretch in stretches
            for at_ms, value in stretch
        )
        return merge(single, self._coarse(boot_id, channel, stretches), key=_at_ns)

    def _coarse(self, boot_id: str, channel: str, stretches: list[list[Seen]]) -> Iterator[Reading]:
        """Yield the mean of every ten seconds of which single readings are not kept."""
        ahead = iter(stretches)
        stretch = next(ahead, None)
        for bucket in load_buckets(self._source, self._instrument_id, boot_id):
            at_ms = bucket.start_ms + BUCKET_MS // 2
            while stretch is not None and stretch[-1][0] < at_ms:
                stretch = next(ahead, None)
            if stretch is None or at_ms < stretch[0][0]:
                yield Observation(at_ms * NS_PER_MS, {channel: bucket.mean})

    def _count(self, days: Days, boot_id: str, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, RunSession):
                moment = self._local(boot_id, event.start_ns)
                days[moment.date().isoformat() if moment else UNDATED].runs += 1
            elif isinstance(event, Interval) and event.activity is Activity.RUNNING:
                for day, running_ns in self._split(boot_id, event):
                    days[day].running_ns += running_ns

    def _split(self, boot_id: str, interval: Interval) -> Iterator[tuple[str, int]]:
        """Yield what an interval has of each local day."""
        left_ns = interval.end_ns - interval.start_ns
        moment = self._local(boot_id, interval.start_ns)
        while moment is not None and left_ns > 0:
            midnight = datetime.combine(moment.date() + timedelta(days=1), time(), self._zone)
            until_ns = round((midnight.astimezone(UTC) - moment.astimezone(UTC)).total_seconds() * NS_PER_S)
            yield moment.date().isoformat(), min(left_ns, until_ns)
            left_ns -= until_ns
            moment = midnight
        if moment is None:
            yield UNDATED, left_ns

    def _local(self, boot_id: str, at_ns: int) -> datetime | None:
        utc = self._times.utc(boot_id, at_ns)
        if utc is None or utc.quality not in _KNOWN:
            return None
        return (datetime.fromtimestamp(0, tz=UTC) + timedelta(microseconds=utc.utc_ns // 1000)).astimezone(self._zone)


def _at_ns(reading: Reading) -> int:
    return reading.at_ns


def _played(rules: Rules, boot_id: str, readings: Iterable[Reading]) -> Iterator[Event]:
    state: State | None = None
    for reading in readings:
        state = begin(boot_id, reading.at_ns) if state is None else state
        state, events = step(rules, state, reading)
        yield from events
    if state is not None:
        yield from end(rules, state)[1]
