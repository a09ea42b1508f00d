"""What the simulated instruments truly did, and whether the books say so."""

import math
import random
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from instrument_agent.core.ledger import Interval
from instrument_agent.core.readings import Activity

NS = 1_000_000_000
HOUR_NS = 3600 * NS
SHORTEST_S = 15 * 60.0
"""No phase is shorter, so that each outlasts all minimum times and silences that are held."""


@dataclass(frozen=True)
class Truth:
    """One instrument: phases of true time, in seconds since the beginning of the world."""

    instrument_id: str
    standby_w: float
    starts_s: Sequence[float]
    activities: Sequence[Activity]

    @property
    def off_below_w(self) -> float:
        return 0.4 * self.standby_w

    @property
    def run_above_w(self) -> float:
        return 1.3 * self.standby_w

    @property
    def run_below_w(self) -> float:
        return 1.2 * self.standby_w

    def power_w(self, at_s: float) -> float:
        activity = self.activities[bisect_right(self.starts_s, at_s) - 1]
        level = {Activity.OFF: 0.01, Activity.STANDBY: 1.0, Activity.RUNNING: 1.6}[activity]
        return self.standby_w * level * (1 + 0.05 * math.sin(at_s * 0.37))

    def differs(self, start_s: float, end_s: float, activity: Activity) -> str:
        """Return what the instrument truly did otherwise in this time, empty if nothing."""
        first = bisect_right(self.starts_s, start_s) - 1
        last = bisect_right(self.starts_s, end_s) - 1
        for index in range(first, last + 1):
            if self.activities[index] is not activity and self.starts_s[index] < end_s:
                return f"{self.activities[index].value} from {self.starts_s[index]:.0f} s"
        return ""

    def spent_s(self, activity: Activity, start_s: float, end_s: float) -> float:
        """Return the seconds truly spent in an activity in a stretch of time."""
        ends_s = [*self.starts_s[1:], math.inf]
        return sum(
            max(0.0, min(stop, end_s) - max(start, start_s))
            for start, stop, spent in zip(self.starts_s, ends_s, self.activities, strict=True)
            if spent is activity
        )


def random_truth(rng: random.Random, instrument_id: str, days: float) -> Truth:
    """Make up an instrument that changes what it does every 15 minutes to 12 hours."""
    at_s, activity = 0.0, Activity.STANDBY
    starts_s, activities = [], []
    while at_s < days * 86_400:
        starts_s.append(at_s)
        activities.append(activity)
        at_s += SHORTEST_S + rng.expovariate(1 / 5400.0)
        following = {
            Activity.OFF: [Activity.STANDBY, Activity.RUNNING],
            Activity.STANDBY: [Activity.RUNNING, Activity.RUNNING, Activity.OFF],
            Activity.RUNNING: [Activity.STANDBY, Activity.STANDBY, Activity.OFF],
        }
        activity = rng.choice(following[activity])
    return Truth(instrument_id, rng.uniform(100, 2000), starts_s, activities)


def truth_problems(
    truth: Truth, chain: Sequence[Interval], to_true_s: "Boot", held_s: float, unproven_s: float
) -> list[str]:
    """Hold the chain of one boot against the truth.

    A boundary beside time that was seen may be late by ``held_s`` (a value holds so long, and a poll); beside unknown
    time what was seen may have been too short to be proven, ``unproven_s``.
    """
    problems = []
    off_s = allowed_s = 0.0
    for index, item in enumerate(chain):
        if item.activity is Activity.UNKNOWN:
            continue
        seen_before = index > 0 and chain[index - 1].activity is not Activity.UNKNOWN
        seen_after = index + 1 < len(chain) and chain[index + 1].activity is not Activity.UNKNOWN
        start_s, end_s = to_true_s.true_s(item.start_ns), to_true_s.true_s(item.end_ns)
        slack_s = [held_s if seen else held_s + unproven_s for seen in (seen_before, seen_after)]
        inner_start_s, inner_end_s = start_s + slack_s[0], end_s - slack_s[1]
        if inner_start_s < inner_end_s and (wrong := truth.differs(inner_start_s, inner_end_s, item.activity)):
            said = f"{truth.instrument_id}: {item.activity.value} from {start_s:.0f} to {end_s:.0f} s, truly {wrong}"
            problems.append(said)
        ran_s = end_s - start_s if item.activity is Activity.RUNNING else 0.0
        off_s += ran_s - truth.spent_s(Activity.RUNNING, start_s, end_s)
        allowed_s += sum(slack_s) / 2
    if abs(off_s) > allowed_s:
        problems.append(f"{truth.instrument_id}: running is off by {off_s:.0f} s, {allowed_s:.0f} s are allowed")
    return problems


def live_problems(truths: Sequence[Truth], told: Sequence[Mapping[str, Any]], now_s: float, back_s: float) -> list[str]:
    """Hold what a heartbeat says of now against the truth of the last ``back_s``.

    A run that is not proven yet is told as standby.
    """
    known = {truth.instrument_id: truth for truth in truths}
    problems = []
    for name, activity in ((item["instrument_id"], Activity(item["activity"])) for item in told):
        alike = {Activity.STANDBY: (Activity.STANDBY, Activity.RUNNING)}.get(activity, (activity,))
        spent_s = sum(known[name].spent_s(one, now_s - back_s, now_s) for one in alike)
        if activity is not Activity.UNKNOWN and not spent_s:
            problems.append(f"a heartbeat at {now_s:.0f} s says that {name} is {activity.value}")
    return problems


@dataclass(frozen=True)
class Boot:
    """One boot: its clock began at ``origin_ns`` of true time and runs fast by ``ppm``."""

    boot_id: str
    origin_ns: int
    ppm: int

    def boottime_ns(self, true_ns: int) -> int:
        return (true_ns - self.origin_ns) * (1_000_000 + self.ppm) // 1_000_000

    def true_ns(self, boottime_ns: int) -> int:
        return self.origin_ns + -(-boottime_ns * 1_000_000 // (1_000_000 + self.ppm))

    def true_s(self, boottime_ns: int) -> float:
        return self.true_ns(boottime_ns) / NS
