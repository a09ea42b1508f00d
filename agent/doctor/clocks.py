"""Is UTC known, from whom, since when; and does the wall clock say the same?"""

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from instrument_agent.core.anchors import DAY_NS, GOOD_NS, Quality, Utc
from instrument_agent.core.readings import NS_PER_S
from instrument_agent.doctor.verdict import Grade, Verdict
from instrument_agent.i18n import _

PATIENCE_NS = 900 * NS_PER_S
"""First contact is spread over 300 s after boot by default; within so long an unknown time is no fault."""
STALE_NS = DAY_NS
"""While anybody tells the time, it is written down every 6 h."""


@dataclass(frozen=True, slots=True)
class TimeFacts:
    """The UTC believed in at ``boottime_ns``, who told it and how long ago, and what the wall clock claims.

    ``age_ns`` is None where that cannot be seen: the database may not be read, only the agent asked.
    """

    boottime_ns: int
    utc: Utc | None
    source: str
    age_ns: int | None
    wall_ns: int


def judge_time(facts: TimeFacts) -> Verdict:
    """Judge how well UTC is known."""
    ask_somebody = _("let the box reach its platform or a time server: timedatectl timesync-status")
    if facts.utc is None:
        said = _("the time is not known in this boot")
        if facts.boottime_ns < PATIENCE_NS:
            return Verdict("time", Grade.WARN, said, _("wait for the first contact with a platform"))
        return Verdict("time", Grade.FAIL, said, ask_somebody)
    said = _("known to ± {error} s, from {source}").format(
        error=f"{facts.utc.error_ns / NS_PER_S:.1f}", source=facts.source
    )
    if facts.age_ns is not None:
        said = _("{said}, {hours} h ago").format(said=said, hours=f"{facts.age_ns / NS_PER_S / 3600:.1f}")
    if facts.utc.quality is Quality.BOUNDED or (facts.age_ns or 0) > STALE_NS:
        return Verdict("time", Grade.WARN, said, ask_somebody)
    return Verdict("time", Grade.OK, said)


def judge_wall_clock(facts: TimeFacts) -> Verdict:
    """Judge the wall clock, by which the system log and certificates are dated, against UTC as it is known."""
    if facts.utc is None:
        return Verdict("wall_clock", Grade.NOT_APPLICABLE, _("there is nothing to compare it with"))
    apart_ns = facts.wall_ns - facts.utc.utc_ns
    said = _("{seconds} s from UTC as it is known").format(seconds=f"{apart_ns / NS_PER_S:+.1f}")
    if abs(apart_ns) <= GOOD_NS + facts.utc.error_ns:
        return Verdict("wall_clock", Grade.OK, said)
    advice = _("hours are not affected, but the system log and certificates are: sudo timedatectl set-ntp true")
    return Verdict("wall_clock", Grade.WARN, said, advice)


def judge_zone(days_in: str, system: str, utc_ns: int) -> Verdict:
    """Judge the zone whose days are counted against the one of the system; empty if the system does not name it."""
    if not system:
        said = _("days are those of {zone}; the system does not name its own").format(zone=days_in)
        return Verdict("zone", Grade.NOT_APPLICABLE, said)
    moment = datetime.fromtimestamp(utc_ns // NS_PER_S, tz=UTC)
    if moment.astimezone(ZoneInfo(days_in)).utcoffset() == moment.astimezone(ZoneInfo(system)).utcoffset():
        return Verdict("zone", Grade.OK, _("days are those of {zone}, as the system's").format(zone=days_in))
    return Verdict(
        "zone",
        Grade.WARN,
        _("days are those of {zone}, the system log is dated in {system}").format(zone=days_in, system=system),
        _("sudo timedatectl set-timezone {zone}, or set box.timezone").format(zone=days_in),
    )
