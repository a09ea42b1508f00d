"""Which of several levels is standby: the one runs begin from and end in.

An instrument that is off, stands by and runs has three levels, as has a programme whose stages draw little and much.
They are told apart by what lies beside the high level: an instrument stands by for minutes before and after a run,
and is not switched off in between.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

from instrument_agent.commission.levels import Cut
from instrument_agent.commission.pulses import Pulse, Train
from instrument_agent.commission.survey import Spread, Window
from instrument_agent.commission.timing import timed

BESIDE_S, BESIDE_SHARE = 600.0, 0.7
"""How long on both sides of how many of its runs an instrument stands by."""
STANDBY_SHARE, RUN_SHARE = 0.3, 0.02
"""Which share of the time over the lower level standby takes at least, and the runs over it."""
STEADY = 0.2
"""How much standby may vary, in the distance from the level below it to the threshold over it."""
STEADY_ITSELF = 0.6
"""And in its own height over that level."""
BRIDGE_S = 300.0

Pulses = tuple[list[Pulse], list[Pulse]]
"""Of the filtered values, and of the values as they were read."""


def run_level(cuts: Sequence[Cut], pulses: Sequence[Pulses], spread: Spread, running: Window | None) -> int:
    """Return the index of the cut over which the instrument runs: the lowest, or one whose lower level is standby.

    What lasts for minutes inside the run a technician has marked as ``running`` is no standby.
    """
    chosen = 0
    for index in range(1, len(cuts)):
        if running is not None and _longest_under_s(pulses[index][1], running) >= BESIDE_S:
            continue
        runs = timed(*pulses[index]).runs
        if _stands_by(pulses[chosen][0], runs, spread, cuts[chosen], cuts[index]):
            chosen = index
    return chosen


def _stands_by(powered: Sequence[Pulse], runs: Sequence[Train], spread: Spread, low: Cut, high: Cut) -> bool:
    """Say whether the level between two cuts is one that runs come from and go back to."""
    over_s = spread.total_s - spread.seconds_to(low.above)
    run_s = spread.total_s - spread.seconds_to(high.above)
    if not runs or len(powered) > len(runs) or run_s < RUN_SHARE * over_s or over_s - run_s < STANDBY_SHARE * over_s:
        return False
    between = spread.between(low.above, high.below)
    if not between.values or not _steady(between, low.lower.middle, high.above):
        return False
    starts = [pulse.start_s for pulse in powered]
    beside = 0
    for number, run in enumerate(runs):
        around = powered[max(0, bisect_right(starts, run.start_s) - 1)]
        before_s = run.start_s - max(around.start_s, runs[number - 1].end_s if number else around.start_s)
        after_s = min(around.end_s, runs[number + 1].start_s if number + 1 < len(runs) else around.end_s) - run.end_s
        beside += min(before_s, after_s) >= BESIDE_S
    return beside >= BESIDE_SHARE * len(runs)


def _steady(between: Spread, floor: float, threshold: float) -> bool:
    varies = between.quantile(0.95) - between.quantile(0.05)
    return varies <= min(STEADY * (threshold - floor), STEADY_ITSELF * (between.quantile(0.5) - floor))


def _longest_under_s(pulses: Sequence[Pulse], window: Window) -> float:
    """Return the longest time in a window without a pulse."""
    inside = [pulse for pulse in pulses if pulse.end_s > window[0] and pulse.start_s < window[1]]
    edges = [window[0], *(edge for pulse in inside for edge in (pulse.start_s, pulse.end_s)), window[1]]
    return max((after - before for before, after in list(pairwise(edges))[::2]), default=0.0)
