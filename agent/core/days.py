"""Calendar days out of boots.

The ledger is kept on boot clocks; people count local days. A day takes from each boot what lies between its two
midnights, worked out once per boot and midnight, so that no second is in two days. Time between two boots is unknown:
the box had no power, or was on without ever learning the time, or did not watch this instrument. What is left to the
day's length is the clock's residual, signed and shown.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

from instrument_agent.core.anchors import Utc
from instrument_agent.core.ledger import Interval
from instrument_agent.core.readings import NS_PER_MS, NS_PER_S, Activity, UnknownReason

FAR_NS = 3600 * NS_PER_S
"""No later anchor moves a boot by this much, so one that is farther from a day adds nothing to it."""
KNOWN_COVERAGE = 0.95
"""A day that was observed for at least this share and never powered counts as not powered."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """One boot: where its chain begins and ends in UTC, and what of the chain lies inside the day.

    ``left`` says that its chain ends with the instrument not watched any more. ``dark`` is why nothing dated is known
    of the time before it, back to the last dated boot.
    """

    begin_utc_ns: int
    end_utc_ns: int
    inside: tuple[Interval, ...]
    left: bool = False
    dark: UnknownReason = UnknownReason.POWER_LOSS


@dataclass(slots=True)
class DaySums:
    """Nanoseconds of one day by activity, the unknown ones by reason too; all of them add up to ``length_ns``."""

    length_ns: int
    spent_ns: dict[Activity, int] = field(default_factory=lambda: dict.fromkeys(Activity, 0))
    reasons_ns: dict[UnknownReason, int] = field(default_factory=dict)

    @property
    def residual_ns(self) -> int:
        """What the boot clocks and UTC disagree about."""
        return self.length_ns - sum(self.spent_ns.values())

    def add(self, activity: Activity, reason: UnknownReason | None, nanoseconds: int) -> None:
        """Count time."""
        self.spent_ns[activity] += nanoseconds
        if reason is not None:
            self.reasons_ns[reason] = self.reasons_ns.get(reason, 0) + nanoseconds


@dataclass(frozen=True, slots=True)
class Idle:
    """Observed days in a row without power, and the unknown days among them, which neither add nor reset."""

    days_not_powered: int = 0
    unknown_days: int = 0


def midnights(day: date, zone: tzinfo) -> tuple[int, int]:
    """Return the UTC (ns since 1970) at which a local day begins and ends; 23 or 25 hours apart when clocks change."""
    return _midnight(day, zone), _midnight(day + timedelta(days=1), zone)


def counted_span(day: date, zone: tzinfo, before: tuple[date, tzinfo] | None) -> tuple[date, int, int]:
    """Return the day to count, and the UTC (ns since 1970) at which it begins and ends.

    It begins where the day ``before`` it ended, also if that was a day of another zone: no second is lost between two
    zones, or counted in both. A day that is over by then is left out.
    """
    start_ns, end_ns = midnights(day, zone)
    if before is None:
        return day, start_ns, end_ns
    start_ns = midnights(*before)[1]
    while end_ns <= start_ns:
        day, end_ns = day + timedelta(days=1), midnights(day + timedelta(days=1), zone)[1]
    return day, start_ns, end_ns


def local_day(utc_ns: int, zone: tzinfo) -> date:
    """Return the local day of a moment."""
    return datetime.fromtimestamp(utc_ns // NS_PER_S, tz=UTC).astimezone(zone).date()


def boot_moment(to_utc: Callable[[int], Utc | None], utc_ns: int, from_ns: int, to_ns: int) -> int:
    """Return the boot-clock time of a moment in UTC: never before ``from_ns``, and by ``to_ns`` if it has come by then.

    Where sights of UTC contradict each other it may pass more than once, or be jumped over: then it is where it comes.
    """
    low_ns, high_ns = from_ns, to_ns

    def ahead_ns(at_ns: int) -> int:
        seen = to_utc(at_ns)
        return 0 if seen is None else utc_ns - seen.utc_ns

    if ahead_ns(low_ns) <= 0:
        return low_ns
    if ahead_ns(high_ns) > 0:
        for _round in range(3):  # the clocks differ by 100 ppm at most, so each round leaves a ten-thousandth
            high_ns += ahead_ns(high_ns)
        return max(high_ns, to_ns)
    while high_ns - low_ns > 1:
        middle_ns = (low_ns + high_ns) // 2
        low_ns, high_ns = (middle_ns, high_ns) if ahead_ns(middle_ns) > 0 else (low_ns, middle_ns)
    return high_ns


def clipped(chain: Iterable[Interval], from_ns: int, to_ns: int) -> tuple[Interval, ...]:
    """Return what of a chain lies in [from, to)."""
    cut = (Interval(max(item.start_ns, from_ns), min(item.end_ns, to_ns), item.activity, item.reason) for item in chain)
    return tuple(item for item in cut if item.start_ns < item.end_ns)


def credible_begins(begins_utc_ns: Sequence[int]) -> list[int]:
    """Return, of the moments (UTC, ns) at which boots seem to begin, in order, those that the last one allows."""
    return [begin_ns for begin_ns in begins_utc_ns if begin_ns <= begins_utc_ns[-1] + FAR_NS]


def dated(boots: Sequence[tuple[str, Stretch | None]]) -> list[tuple[str, Stretch]]:
    """Return the boots whose time is known, in order, each with why nothing dated is known of the time before it.

    ``boots`` are those in which the instrument was watched; None stands for one that never learned the time. One that
    seems to begin long after the last one did was told a false time, and is as good as one that was told none.
    """
    credible_ns = set(credible_begins([stretch.begin_utc_ns for _boot_id, stretch in boots if stretch is not None]))
    found, dark = list[tuple[str, Stretch]](), UnknownReason.POWER_LOSS
    for boot_id, stretch in boots:
        if stretch is None or stretch.begin_utc_ns not in credible_ns:
            dark = UnknownReason.UNDATED
        else:
            found.append((boot_id, replace(stretch, dark=dark)))
            dark = UnknownReason.NOT_WATCHED if stretch.left else UnknownReason.POWER_LOSS
    return found


def day_sums(start_utc_ns: int, end_utc_ns: int, stretches: Sequence[Stretch]) -> DaySums:
    """Return the sums of one day from the boots that touch it, in order."""
    sums = DaySums(end_utc_ns - start_utc_ns)
    dark_from_ns = start_utc_ns
    for number, stretch in enumerate(stretches):
        dark_to_ns = min(stretch.begin_utc_ns, end_utc_ns)
        if dark_to_ns > dark_from_ns:
            first = number == 0 and stretch.dark is UnknownReason.POWER_LOSS
            reason = UnknownReason.NOT_WATCHED if first else stretch.dark
            sums.add(Activity.UNKNOWN, reason, dark_to_ns - dark_from_ns)
        for item in stretch.inside:
            sums.add(item.activity, item.reason, item.end_ns - item.start_ns)
        dark_from_ns = max(dark_from_ns, stretch.end_utc_ns)
    return sums


def shares_before(
    start_utc_ns: int, stretches: Sequence[tuple[str, Stretch]], instants: Iterable[tuple[str, int]]
) -> list[dict[str, Any]]:
    """Return, for each instant (boot id, boot-clock ns) inside a day, what of that day lies before it.

    ``stretches`` are those of the day, with their boot ids: at such an instant the instrument changed hands.
    """
    boots = [boot_id for boot_id, _stretch in stretches]
    shares = []
    for boot_id, at_ns in instants:
        through = [stretch for _boot_id, stretch in stretches[: boots.index(boot_id) + 1]] if boot_id in boots else []
        inside = through[-1].inside if through else ()
        if not inside or not inside[0].start_ns <= at_ns <= inside[-1].end_ns:
            continue
        last = through[-1]
        through[-1] = replace(last, inside=clipped(inside, inside[0].start_ns, at_ns))
        spent_ms = _in_ms(day_sums(start_utc_ns, max(start_utc_ns, last.begin_utc_ns), through))
        shares.append({"boot_id": boot_id, "at_ms": at_ns // NS_PER_MS, **spent_ms})
    return shares


def idle_after(idle: Idle, sums: DaySums) -> Idle:
    """Return the streak after one more day: only a powered day ends it, an unknown day leaves it as it is."""
    powered_ns = sums.spent_ns[Activity.STANDBY] + sums.spent_ns[Activity.RUNNING]
    if powered_ns > 0:
        return Idle()
    if 1 - sums.spent_ns[Activity.UNKNOWN] / sums.length_ns >= KNOWN_COVERAGE:
        return Idle(idle.days_not_powered + 1, idle.unknown_days)
    return Idle(idle.days_not_powered, idle.unknown_days + 1)


def idle_level(idle: Idle, levels_days: Sequence[int]) -> int:
    """Return how many of the policy's levels (1, 3 and 6 months) the streak has reached."""
    return sum(idle.days_not_powered >= days for days in levels_days)


def daily_summary(day: date, zone_name: str, sums: DaySums, idle: Idle, levels_days: Sequence[int]) -> dict[str, Any]:
    """Return the data of the record; off + standby + running + unknown + clock residual = length, to the ms."""
    spent_ms = _in_ms(sums)
    length_ms = sums.length_ns // NS_PER_MS
    return {
        "day": day.isoformat(),
        "zone": zone_name,
        "length_ms": length_ms,
        **spent_ms,
        "clock_residual_ms": length_ms - sum(spent_ms.values()) + spent_ms["powered_ms"],
        "unknown_reasons_ms": {reason.value: spent // NS_PER_MS for reason, spent in sorted(sums.reasons_ns.items())},
        "days_not_powered": idle.days_not_powered,
        "unknown_days": idle.unknown_days,
        "idle_level": idle_level(idle, levels_days),
    }


def _in_ms(sums: DaySums) -> dict[str, int]:
    spent_ms = {f"{activity.value}_ms": sums.spent_ns[activity] // NS_PER_MS for activity in Activity}
    return spent_ms | {"powered_ms": spent_ms["standby_ms"] + spent_ms["running_ms"]}


def _midnight(day: date, zone: tzinfo) -> int:
    # A zone that skips midnight begins its day at the first moment there is; datetime resolves that by itself.
    return round(datetime.combine(day, time.min, tzinfo=zone).timestamp()) * NS_PER_S
