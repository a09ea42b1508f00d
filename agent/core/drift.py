"""The slow drift of an instrument's standby level, followed within bounds and moved to only by a record.

A level follows the readings of standby, at most ``RATE`` an hour: a run, or off, teaches it nothing, and no single
reading moves it by more than its share. When it has moved by ``TOLD`` since the last record, and a day has passed, the
thresholds move with it, and a record says so: every reading was judged by thresholds that a record names. All shares
are of the commissioned level.
"""

from dataclasses import dataclass, replace

from instrument_agent.core.activity import Rules
from instrument_agent.core.readings import NS_PER_S

RATE = 0.01
LIMIT = 0.20
TOLD = 0.02
HOUR_NS = 3600 * NS_PER_S
DAY_NS = 24 * HOUR_NS


@dataclass(frozen=True, slots=True)
class Drift:
    """Where the standby level is by now, and by which level readings are judged; both in the channel's unit.

    ``commissioned`` and ``run_above`` are what the rules say. ``seen_ns`` is the last reading of standby;
    ``moved_ns`` is when the thresholds were moved in this boot, or when it first saw standby; ``waited_ns`` is what
    had passed in earlier boots since they were moved.
    """

    commissioned: float
    run_above: float
    level: float
    judged: float
    seen_ns: int | None = None
    moved_ns: int | None = None
    waited_ns: int = 0


@dataclass(frozen=True, slots=True)
class Moved:
    """From ``at_ns`` on readings are judged by ``rules``, for standby has moved to ``level``."""

    at_ns: int
    level: float
    rules: Rules


def in_force(rules: Rules, drift: Drift | None) -> Rules:
    """Return the rules as they stand now; off does not move."""
    if drift is None or drift.judged == drift.commissioned or not _is_of(rules, drift):
        return rules
    moved = drift.judged - drift.commissioned
    run_below = max(rules.off_below, rules.run_below + moved)
    return replace(rules, run_below=run_below, run_above=max(run_below, rules.run_above + moved))


def followed(rules: Rules, drift: Drift | None, at_ns: int, standby: float | None) -> tuple[Drift | None, Moved | None]:
    """Take a reading of standby, or None for anything else, and return the drift, and the move if one is due."""
    commissioned = rules.standby_level
    if commissioned is None:
        return None, None
    if drift is None or not _is_of(rules, drift):
        drift = Drift(commissioned, rules.run_above, commissioned, commissioned)
    if standby is None:
        return drift, None
    # Whatever was read since then, it counts for no more than a silence that is no gap.
    since_ns = 0 if drift.seen_ns is None else min(at_ns - drift.seen_ns, rules.gap_ns)
    most = RATE * commissioned * since_ns / HOUR_NS
    level = drift.level + min(most, max(-most, standby - drift.level))
    level = min((1 + LIMIT) * commissioned, max((1 - LIMIT) * commissioned, level))
    moved_ns = at_ns if drift.moved_ns is None else drift.moved_ns
    drift = Drift(commissioned, rules.run_above, level, drift.judged, at_ns, moved_ns, drift.waited_ns)
    if abs(level - drift.judged) <= TOLD * commissioned or at_ns - moved_ns + drift.waited_ns < DAY_NS:
        return drift, None
    drift = Drift(commissioned, rules.run_above, level, level, at_ns, at_ns)
    return drift, standing(rules, drift, at_ns)


def next_boot(drift: Drift | None, ended_ns: int) -> Drift | None:
    """Return what a new boot goes on from, when the one before was last seen at ``ended_ns``."""
    if drift is None:
        return None
    waited_ns = drift.waited_ns + (0 if drift.moved_ns is None else ended_ns - drift.moved_ns)
    return Drift(drift.commissioned, drift.run_above, drift.level, drift.judged, waited_ns=waited_ns)


def standing(rules: Rules, drift: Drift | None, at_ns: int) -> Moved | None:
    """Return what a record has to say after ``rules`` were announced; None if they are in force as they are."""
    now = in_force(rules, drift)
    return None if drift is None or now is rules else Moved(at_ns, drift.judged, now)


def _is_of(rules: Rules, drift: Drift) -> bool:
    """Return whether the rules are those the drift began with: other thresholds were set for another standby."""
    return (rules.standby_level, rules.run_above) == (drift.commissioned, drift.run_above)
