"""A run that adds little to a noisy load: its readings overlap those of standby, their medians over a minute do not.

For a rise to be believed the minute medians must fall into two groups with nearly nothing between them: a load that
drifts or swings passes through the middle, one that is switched on and off jumps over it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from statistics import fmean, median

from instrument_agent.commission.levels import Cut, Level
from instrument_agent.commission.survey import KEPT, Reading, filtered

BLOCK_S = 60.0
LEAST_READINGS, LEAST_BLOCKS, LEAST_GROUP = 3, 30, 5
"""Readings in a block, blocks altogether, blocks in a group."""
MIDDLE, MOSTLY_EMPTY = 0.3, 0.03
"""How wide the middle between the groups is, in their distance, and what share of the smaller group may be in it."""
OVER_NOISE = 2.0
"""How many times the usual reach of the readings inside a minute (95 %) the groups must lie apart."""
OVER_STEP = 2.0
"""How many steps of the meter."""
OVER_GROUP = 5.0
"""How many times their own spread (standard deviation) the groups must lie apart."""
ABOVE, BELOW = 0.65, 0.35
"""Where a run begins and ends, on the way from one group to the other."""


@dataclass(frozen=True, slots=True)
class Block:
    """About a minute of readings: their median, and how far 95 % of them reach over it."""

    at_s: float
    middle: float
    reach: float


def blocks(samples: Iterable[Reading], gap_s: float, over: float) -> Iterator[Block]:
    """Yield blocks of filtered readings that are over ``over``."""
    inside: list[float] = []
    start_s = last_s = 0.0
    for at_s, value, _seconds, _as_read in filtered(samples, gap_s):
        if inside and (at_s - start_s >= BLOCK_S or at_s - last_s > gap_s or value <= over):
            if len(inside) >= LEAST_READINGS:
                yield _block(start_s, inside)
            inside = []
        if value > over:
            start_s = at_s if not inside else start_s
            inside.append(value)
        last_s = at_s
    if len(inside) >= LEAST_READINGS:
        yield _block(start_s, inside)


def thinned(found: Iterable[Block]) -> list[Block]:
    """Return at most ``KEPT`` blocks: every n-th."""
    kept: list[Block] = []
    every = 1
    for number, block in enumerate(found):
        if number % every == 0:
            kept.append(block)
        if len(kept) >= KEPT:
            kept, every = kept[::2], 2 * every
    return kept


def small_rise(found: Sequence[Block], finest: float) -> Cut | None:
    """Return the thresholds between two groups of blocks, or None if there are not two.

    ``finest`` is the smallest step of the meter: a load that drifts from one step to the next jumps by as much.
    """
    middles = sorted(block.middle for block in found)
    if len(middles) < LEAST_BLOCKS:
        return None
    split = _split(middles)
    lower, upper = middles[:split], middles[split:]
    apart = fmean(upper) - fmean(lower)
    reach = fmean(block.reach for block in found)
    if min(len(lower), len(upper)) < LEAST_GROUP or apart < max(OVER_NOISE * reach, OVER_STEP * finest):
        return None
    spread = ((_squares(lower) + _squares(upper)) / len(middles)) ** 0.5
    half = (fmean(upper) + fmean(lower)) / 2
    between = sum(abs(middle - half) < MIDDLE * apart / 2 for middle in middles)
    if apart < OVER_GROUP * spread or between > max(1, MOSTLY_EMPTY * min(len(lower), len(upper))):
        return None
    if 10 * _turns(found, half) > len(found):
        return None
    return _cut(lower, upper, reach)


def _cut(lower: list[float], upper: list[float], reach: float) -> Cut:
    low, high = median(lower), median(upper)
    return Cut(
        Level(lower[0], low, low + reach, BLOCK_S * len(lower)),
        Level(high - reach, high, upper[-1], BLOCK_S * len(upper)),
        reach,
        low + ABOVE * (high - low),
        low + BELOW * (high - low),
    )


def _block(at_s: float, values: list[float]) -> Block:
    values.sort()
    middle = median(values)
    return Block(at_s, middle, values[int(0.95 * (len(values) - 1))] - middle)


def _turns(found: Sequence[Block], half: float) -> int:
    return sum((before.middle < half) is not (after.middle < half) for before, after in pairwise(found))


def _squares(values: Sequence[float]) -> float:
    middle = fmean(values)
    return sum((value - middle) ** 2 for value in values)


def _split(ordered: Sequence[float]) -> int:
    """Return how many values belong to the lower group: where the sum of both groups' squares is least."""
    origin = ordered[0]
    sums = [0.0, *accumulate(value - origin for value in ordered)]
    count, whole = len(ordered), sums[-1]

    def explained(index: int) -> float:
        return sums[index] ** 2 / index + (whole - sums[index]) ** 2 / (count - index)

    return max(range(1, count), key=explained)
