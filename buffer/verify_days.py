"""Works out every daily summary again: from the intervals, the midnights and the clock anchors it was made from.

An anchor counts from its place in the log on, so that a day is worked out with the anchors that were known when it was
closed, and comes out the same to the millisecond.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from instrument_agent.buffer.books import epochs
from instrument_agent.buffer.calendar_days import (
    DAY_COLUMNS,
    MIDNIGHT_COLUMNS,
    Midnight,
    NextDay,
    checked_day,
    checked_midnight,
)
from instrument_agent.buffer.reader import Readable
from instrument_agent.core.anchors import Anchor, Sights
from instrument_agent.core.days import (
    FAR_NS,
    DaySums,
    Idle,
    Stretch,
    clipped,
    counted_span,
    credible_begins,
    dated,
    day_sums,
    idle_after,
    local_day,
    shares_before,
)
from instrument_agent.core.errors import StoreDamaged
from instrument_agent.core.ledger import Interval
from instrument_agent.core.readings import NS_PER_MS, Activity, UnknownReason
from instrument_agent.i18n import _

if TYPE_CHECKING:
    from instrument_agent.buffer.verify import Report

CUT_MS = 1
"""Each sum is cut to a millisecond."""

READABLE = "select id, type, instrument_id, iif(json_valid(body), body, '{}') as body from records"
"""The records; one that is no JSON any more, of which the chain tells, says nothing."""

Worked = tuple[DaySums, int, list[dict[str, Any]]]
"""The sums of a day, the first epoch the next day needs, and what lay before each transfer."""

Books = dict[tuple[str, str], list[Interval]]
"""The intervals of each (instrument, boot), in order."""


@dataclass(frozen=True, slots=True)
class Counted:
    """The last day of an instrument that was counted, and from which epoch on the next one needs boots, if sure."""

    day: date
    zone: ZoneInfo
    idle: Idle
    first_epoch_number: int
    sure: bool


class DayProof:
    """Follows the log and says in the report what it finds of the days."""

    def __init__(self, source: Readable, books: Books, report: "Report") -> None:
        self._books, self._report, self._differs = books, report, report.differs
        self._numbers: dict[str, int] = {}
        self._boots: dict[str, tuple[int, int]] = {}
        self._anchors: dict[str, list[Anchor]] = {}
        self._sights: dict[str, Sights] = {}
        self._counted: dict[str, Counted] = {}
        self._handed: dict[str, list[tuple[str, int]]] = {}
        self._origins: dict[str, str | None] = {}
        self._late: list[str] = []
        self._torn = False
        self._config = ""
        self._levels: dict[str, dict[int, int]] = {}
        try:
            for epoch in epochs(source):
                self._numbers[epoch.epoch] = epoch.number
                first, _newest = self._boots.get(epoch.boot_id, (epoch.number, 0))
                self._boots[epoch.boot_id] = first, epoch.number
        except StoreDamaged as error:
            self._differs(str(error))
        self._marks = {(mark.boot_id, mark.utc_ns): mark for mark in self._checked_midnights(source)}
        self._pruned = bool(source.rows("select 1 from roots limit 1"))
        begun = source.rows(
            "select instrument_id, json_extract(body, '$.boot_id'), json_extract(body, '$.at_ms'), min(id)"  # noqa: S608
            f" from ({READABLE}) where type = 'lifecycle_event' group by instrument_id"
        )
        self._watched_from = {name: (boot_id, at_ms) for name, boot_id, at_ms, _id in begun}
        # What a damaged file lost of its rows is missing in the days before.
        damage = (
            f"select coalesce(max(id), 0) from ({READABLE}) where type = 'fault'"  # noqa: S608  # a constant
            " and json_extract(body, '$.data.kind') = 'database_damaged'"
        )
        self._damaged_before_id = source.rows(damage)[0][0]
        self._lost_before_id = source.rows(damage + " and json_extract(body, '$.data.rows_lost') > 0")[0][0]

    def begin(self, record: dict[str, Any]) -> None:
        """Take an ``epoch_started`` record."""
        self._config = str(record["data"].get("config_hash", ""))

    def learn(self, boot_id: str, data: Mapping[str, Any]) -> None:
        """Take a ``time_anchor`` record."""
        at_ns, utc_ns, error_ns = (data[name] * NS_PER_MS for name in ("boottime_ms", "utc_ms", "error_ms"))
        self._anchors.setdefault(boot_id, []).append(Anchor(boot_id, at_ns, utc_ns, error_ns, data["source"]))
        self._sights.pop(boot_id, None)

    def change(self, record: dict[str, Any]) -> None:
        """Take the record of a transfer, or of a configuration."""
        if record["data"]["event"] == "configured":
            self._origins[record["instrument_id"]] = record["data"].get("rules_origin")
            return
        self._handed.setdefault(record["instrument_id"], []).append((record["boot_id"], record["at_ms"] * NS_PER_MS))

    def judge(self, id_: int, record: dict[str, Any]) -> None:
        """Take a ``daily_summary`` record at its place in the log."""
        data, name = record["data"], record["instrument_id"]
        place = {"instrument": name, "day": data["day"]}
        day, zone, last = date.fromisoformat(data["day"]), ZoneInfo(data["zone"]), self._counted.get(name)
        idle = Idle(data["days_not_powered"], data["unknown_days"])
        expected, *day_ns = _after(last, zone) if last else counted_span(day, zone, None)
        follows = last is not None and day == expected
        self._look_before(record, day, expected if last else self._first_day(record))
        self._torn = False
        if day != expected:
            day_ns = list(counted_span(day, zone, None)[1:])
        found = self._worked_out(id_, record, (day_ns[0], day_ns[1]), last.first_epoch_number if last else 0)
        if not _adds_up(data):
            self._differs(_("{instrument}, {day}: the sums of the day do not add up").format(**place))
        elif not self._level_fits(data):
            self._differs(_("{instrument}, {day}: the idle level does not follow from the days").format(**place))
        elif last is not None and day <= last.day:
            self._differs(_("{instrument}, {day}: the day is counted twice").format(**place))
        elif found is None and self._torn and id_ > self._damaged_before_id and (last is None or last.sure):
            self._differs(_("{instrument}, {day}: where its midnights lie is not there").format(**place))
        elif found is None:
            self._report.unproven["days"] += 1
        elif not _same(data, found[0]) or data.get("before_transfers", []) != found[2]:
            self._doubt(id_, _("{instrument}, {day}: the intervals give other sums").format(**place))
        elif last is not None and follows and idle_after(last.idle, found[0]) != idle:
            self._differs(_("{instrument}, {day}: the days without power are miscounted").format(**place))
        else:
            self._report.proven["days"] += 1
        first_number = found[1] if found else (last.first_epoch_number if last else 0)
        self._counted[name] = Counted(day, zone, idle, first_number, sure=found is not None)

    def finish(self, source: Readable, *, whole: bool) -> None:
        """Compare what is to be counted next with the last summaries; ``whole``: none of them was lost."""
        uncounted = set(self._counted)
        for row in source.rows(f"select {DAY_COLUMNS} from days"):  # noqa: S608  # a constant
            try:
                following, last = checked_day(row), self._counted.get(row[0])
            except StoreDamaged as error:
                self._differs(str(error))
                continue
            finally:
                uncounted.discard(row[0])
            if whole and (last is None or not _follows(following, last)):
                uncounted.add(row[0])
        for name in sorted(uncounted if whole else ()):
            sentence = _("{instrument}: the next day to count does not follow from the last summary")
            self._differs(sentence.format(instrument=name))
        for sentence in self._late if whole else ():
            self._differs(sentence)

    def _look_before(self, record: dict[str, Any], day: date, expected: date | None) -> None:
        """Note what is amiss unless the log tells of a loss: a day that is missing before this one, another origin."""
        data, name = record["data"], record["instrument_id"]
        if expected is not None and day > expected:
            sentence = _("{instrument}: no summary tells of the days from {first} to {last}")
            newest = day - timedelta(days=1)
            self._late.append(sentence.format(instrument=name, first=expected, last=newest))
        if data.get("rules_origin") != self._origins.get(name):
            sentence = _("{instrument}, {day}: the origin of its rules is not that of its configuration")
            self._late.append(sentence.format(instrument=name, day=data["day"]))

    def _first_day(self, record: dict[str, Any]) -> date | None:
        """Return the day on which watching began, by what is left; None if no boot can tell."""
        name, zone = record["instrument_id"], ZoneInfo(record["data"]["zone"])
        chains = ((boot_id, self._books.get((name, boot_id))) for boot_id in self._boots if boot_id in self._anchors)
        began_ns = [Sights(self._anchors[boot_id]).utc(chain[0].start_ns).utc_ns for boot_id, chain in chains if chain]
        return next((local_day(at_ns + FAR_NS, zone) for at_ns in credible_begins(began_ns)), None)

    def _level_fits(self, data: Mapping[str, Any]) -> bool:
        """Say whether a level follows from its days; the levels are in no record, but the same for one config file."""
        days, level = data["days_not_powered"], data["idle_level"]
        known = self._levels.setdefault(self._config, {0: 0})
        fits = 0 <= level <= days and all((level - at) * (days - day) >= 0 for day, at in known.items())
        fits = fits and known.get(days, level) == level
        if fits:
            known[days] = level
        return fits

    def _doubt(self, id_: int, sentence: str) -> None:
        if id_ < self._lost_before_id:
            self._report.unproven["days"] += 1
        else:
            self._differs(sentence)

    def _worked_out(self, id_: int, record: dict[str, Any], day_ns: tuple[int, int], from_number: int) -> Worked | None:
        """Return what a day comes to and which epoch the next one begins with; None if what that needs is gone."""
        name = record["instrument_id"]
        if not self._books.get((name, record["boot_id"])):
            return None  # the boot it was counted in ended before anything was settled, or is pruned
        boots: list[tuple[str, Stretch | None]] = []
        through = self._numbers.get(record["epoch"], 0)
        for boot_id, (number, newest) in self._boots.items():
            chain = self._books.get((name, boot_id))
            if number > through or newest < from_number or not chain:
                continue
            stretch = self._stretch(id_, boot_id, chain, day_ns) if boot_id in self._anchors else None
            if stretch is None and self._torn:
                return None
            boots.append((boot_id, stretch))
        stretches = dated(boots)
        begun = [self._boots[boot_id][0] for boot_id, stretch in stretches if stretch.begin_utc_ns < day_ns[1]]
        if not stretches or (self._cut_off(id_, name) and stretches[0][1].begin_utc_ns > day_ns[0]):
            return None
        sums = day_sums(*day_ns, [stretch for _boot_id, stretch in stretches])
        return sums, max([from_number, *begun]), shares_before(day_ns[0], stretches, self._handed.get(name, []))

    def _cut_off(self, id_: int, name: str) -> bool:
        """Say whether the beginning of what was watched may be gone.

        Pruning within the first epoch leaves no root, but the rest of a boot. If nothing of the first boot is there, it
        ended before anything was settled, or a damaged file lost it.
        """
        chains = ((boot_id, self._books.get((name, boot_id))) for boot_id in self._boots)
        begins = next((boot_id, chain[0].start_ns // NS_PER_MS) for boot_id, chain in chains if chain)
        watched = self._watched_from.get(name, begins)
        emptied = begins[0] != watched[0] and id_ < self._damaged_before_id
        return self._pruned or emptied or begins[1] != (watched[1] if begins[0] == watched[0] else 0)

    def _stretch(self, id_: int, boot_id: str, chain: list[Interval], day_ns: tuple[int, int]) -> Stretch | None:
        """Return what a boot added to a day, as it was counted then; None if that cannot be told any more."""
        if boot_id not in self._sights:
            self._sights[boot_id] = Sights(self._anchors[boot_id])
        clock, begin_ns, end_ns = self._sights[boot_id].utc, chain[0].start_ns, chain[-1].end_ns
        begin_utc_ns, end_utc_ns = clock(begin_ns).utc_ns, clock(end_ns).utc_ns
        left = chain[-1].reason is UnknownReason.NOT_WATCHED
        if begin_utc_ns - FAR_NS > day_ns[1] or end_utc_ns + FAR_NS < day_ns[0]:
            return Stretch(begin_utc_ns, end_utc_ns, (), left)
        marks = [self._marks.get((boot_id, utc_ns)) for utc_ns in day_ns]
        cut = [min(max(mark.boottime_ns, begin_ns), end_ns) for mark in marks if mark and mark.after_id < id_]
        if len(cut) != len(marks):
            self._torn = True
            return None  # lost, or put down anew after this day had been counted
        first = bisect_left(chain, cut[0], key=lambda item: item.end_ns)
        after = bisect_left(chain, cut[1], key=lambda item: item.start_ns)
        return Stretch(begin_utc_ns, end_utc_ns, clipped(chain[first:after], *cut), left)

    def _checked_midnights(self, source: Readable) -> Iterator[Midnight]:
        for row in source.rows(f"select {MIDNIGHT_COLUMNS} from midnights"):  # noqa: S608  # a constant
            try:
                yield checked_midnight(row)
            except StoreDamaged as error:
                self._differs(str(error))


def _after(last: Counted, zone: ZoneInfo) -> tuple[date, int, int]:
    """Return the day that follows, and its span, in the zone the box was in by then."""
    return counted_span(last.day + timedelta(days=1), zone, (last.day, last.zone))


def _adds_up(data: Mapping[str, Any]) -> bool:
    """Say whether the parts of a day make up the whole, from the summary alone."""
    total_ms = sum(data[f"{activity.value}_ms"] for activity in Activity) + data["clock_residual_ms"]
    reasons_ms = data["unknown_reasons_ms"]
    cut_off_ms: int = data["unknown_ms"] - sum(reasons_ms.values())
    whole: bool = total_ms == data["length_ms"] and data["powered_ms"] == data["standby_ms"] + data["running_ms"]
    return whole and 0 <= cut_off_ms <= len(reasons_ms) * CUT_MS


def _same(data: Mapping[str, Any], sums: DaySums) -> bool:
    """Say whether a summary is what these sums give: each activity, and each reason of unknown time."""
    pairs = [(data[f"{activity.value}_ms"], spent_ns) for activity, spent_ns in sums.spent_ns.items()]
    said_ms = data["unknown_reasons_ms"]
    pairs += [(said_ms.get(reason.value, 0), sums.reasons_ns.get(reason, 0)) for reason in UnknownReason]
    whole = data["length_ms"] == sums.length_ns // NS_PER_MS and said_ms.keys() <= set(UnknownReason)
    return whole and all(abs(said - found_ns // NS_PER_MS) <= CUT_MS for said, found_ns in pairs)


def _follows(following: NextDay, last: Counted) -> bool:
    return (
        following.day == last.day + timedelta(days=1)
        and following.idle == last.idle
        and (not last.sure or following.first_epoch_number <= last.first_epoch_number)
    )
