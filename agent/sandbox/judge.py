"""Holds what was measured against what was true.

A boundary may be off by two poll intervals as they really were around it: the agent can know no more than its
readings tell.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from instrument_agent.core.ledger import Interval, totals_ns
from instrument_agent.core.readings import NS_PER_S, Activity

Run = tuple[float, float]
"""Start and end of a run in seconds of the bench's clock."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one instrument truly did, what was measured, and what does not fit."""

    instrument_id: str
    true_runs: Sequence[Run]
    measured_runs: Sequence[Run]
    true_s: Mapping[str, float]
    measured_s: Mapping[str, float]
    problems: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return the verdict as plain data."""
        return {
            "instrument_id": self.instrument_id,
            "true": {"sessions": _rounded(self.true_runs), "seconds": dict(self.true_s)},
            "measured": {"sessions": _rounded(self.measured_runs), "seconds": dict(self.measured_s)},
            "problems": self.problems,
        }


def run_problems(true_runs: Sequence[Run], measured_runs: Sequence[Run], asked_s: Sequence[float]) -> list[str]:
    """Return how the measured runs differ from the true ones; ``asked_s`` is when the meter was really read."""
    if len(true_runs) != len(measured_runs):
        return [f"{len(measured_runs)} runs measured, {len(true_runs)} are true"]
    problems = []
    for true, measured in zip(true_runs, measured_runs, strict=True):
        for name, truth_s, found_s in zip(("start", "end"), true, measured, strict=True):
            earliest_s, latest_s = window(truth_s, asked_s)
            if not earliest_s <= found_s <= latest_s:
                problems.append(
                    f"{name} measured at {found_s:.3f} s, true at {truth_s:.3f} s,"
                    f" two polls reach from {earliest_s:.3f} to {latest_s:.3f} s"
                )
    return problems


def window(truth_s: float, asked_s: Sequence[float]) -> Run:
    """Return the two polls before and after a true boundary, with the travel time of one reading on either side."""
    after = bisect_right(asked_s, truth_s)
    first, last = max(0, after - 2), min(len(asked_s) - 1, after + 1)
    travel_s = max(0.0, min(b - a for a, b in pairwise(asked_s)) if len(asked_s) > 1 else 0.0)
    return asked_s[first] - travel_s, asked_s[last] + travel_s


def accounting_problems(chain: Sequence[Interval], from_ns: int, to_ns: int) -> list[str]:
    """Return what is wrong with a chain that should account for every second at least from and to these times."""

    def at_s(time_ns: int) -> str:
        return f"{(time_ns - from_ns) / NS_PER_S:.3f} s"

    broken = [(a.end_ns, b.start_ns) for a, b in pairwise(chain) if a.end_ns != b.start_ns]
    if broken:
        return [f"the books end at {at_s(end)} and go on at {at_s(start)}" for end, start in broken]
    first_ns, last_ns = chain[0].start_ns, chain[-1].end_ns
    problems = []
    if first_ns > from_ns or last_ns < to_ns:
        problems.append(f"the books reach from {at_s(first_ns)} to {at_s(last_ns)}, not from 0.000 s to {at_s(to_ns)}")
    spent_ns = sum(totals_ns(chain).values())
    if spent_ns != last_ns - first_ns:
        spent_s, passed_s = spent_ns / NS_PER_S, (last_ns - first_ns) / NS_PER_S
        problems.append(f"{spent_s:.3f} s are accounted for, {passed_s:.3f} s have passed")
    return problems


def delivery_problems(made: set[tuple[str, int]], received: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return which records are missing at the platform, foreign to the box, or count a time twice."""
    keys = [(record["epoch"], record["seq"]) for record in received]
    problems = []
    if lost := made - set(keys):
        problems.append(f"{len(lost)} records are lost")
    if foreign := set(keys) - made:
        problems.append(f"{len(foreign)} records the box never made")
    if doubled := len(keys) - len(set(keys)) + _overlaps(received):
        problems.append(f"{doubled} records count a time twice")
    return problems


def seconds(spent_ns: Mapping[Activity, int]) -> dict[str, float]:
    """Return the time in each activity in seconds."""
    return {f"{activity.value}_s": spent_ns[activity] / NS_PER_S for activity in Activity}


def _overlaps(received: Sequence[Mapping[str, Any]]) -> int:
    """Count runs that begin before the one before them at the same instrument ended."""
    runs = sorted(
        (record["instrument_id"], record["boot_id"], record["data"]["start_ms"], record["data"]["end_ms"])
        for record in received
        if record["type"] == "run_session"
    )
    return sum(a[:2] == b[:2] and b[2] < a[3] for a, b in pairwise(runs))


def _rounded(runs: Sequence[Run]) -> list[list[float]]:
    return [[round(start, 3), round(end, 3)] for start, end in runs]
