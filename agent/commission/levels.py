"""Where one level ends and the next begins, and where the thresholds between them stand.

A level is a range of values in which time is spent. It ends where a stretch as wide as the level itself is nearly
empty although time is spent beyond it: noise and drift, whose values thin out or fill their range, have no such end.
Everything is made of differences of values, so neither the unit nor a constant load beside the instrument matters.
"""

from dataclasses import dataclass
from itertools import pairwise
from math import nextafter

from instrument_agent.commission.survey import Spread

INFINITE = float("inf")
EMPTY_WIDTH = 1.0
"""How wide the empty stretch above a level must be, in widths of the level."""
EMPTY_OF_ABOVE, EMPTY_OF_BELOW = 0.15, 0.01
"""How much of the time spent above it, and below it, may be spent in a stretch that is called empty."""
LEAST_S = 60.0
"""A level that was seen for less is a disturbance."""
LEAST_BELOW = 0.003
"""A lowest level that was seen for a smaller share of the time is a dropout of the meter."""
FINEST = 0.01
"""No level counts for narrower than this share of the whole range: standby may consist of several close by."""
TOP, LOWEST, LOW = 0.99, 0.01, 0.1
"""Which quantile is the top of a level; which are the lowest and the usual low value of the level above it."""
LEAST_SPREAD = 0.01
"""No level's spread counts for less than this share of the distance to the level above."""
CLEAR = 2.0
"""How many times the noise of a level a threshold stands over it, where there is room."""


@dataclass(frozen=True, slots=True)
class Level:
    """A range of values in which time was spent, in the unit of the channel."""

    low: float
    middle: float
    high: float
    seconds: float

    @classmethod
    def of(cls, spread: Spread) -> "Level":
        """Return the 1 %, 50 % and 99 % quantiles."""
        return cls(spread.quantile(1 - TOP), spread.quantile(0.5), spread.quantile(TOP), spread.total_s)


@dataclass(frozen=True, slots=True)
class Cut:
    """Two neighbouring levels and the hysteresis between them.

    ``noise`` is how far the lower one reaches over its middle. A run begins at ``above`` and ends under ``below``.
    """

    lower: Level
    upper: Level
    noise: float
    above: float
    below: float

    @property
    def separation(self) -> float:
        """How many times the noise of the lower level fits between the two."""
        return (self.upper.low - self.lower.high) / self.noise


def levels(spread: Spread, flicker: float, most: int = 4) -> list[Spread]:
    """Return the levels in which time was spent, from the lowest on; what lies between them belongs to none."""
    whole = spread.quantile(0.9995) - spread.quantile(0.0005) if spread.values else 0.0
    finest = max(2 * flicker, FINEST * whole)
    found: list[Spread] = []
    rest, least_s = spread, max(LEAST_S, LEAST_BELOW * spread.total_s)
    while len(found) < most - 1:
        end = _end(rest, finest, least_s)
        if end is None:
            break
        found.append(rest.between(-INFINITE, end[0]))
        rest = rest.between(end[1], INFINITE)
    return [*found, rest]


def cuts(spread: Spread, flicker: float, most: int = 3) -> tuple[Cut, ...]:
    """Return the cuts between the levels, from the lowest on; the upper side of each is all that lies over it."""
    found = levels(spread, flicker, most + 1)
    between = (cut_between(level, spread.between(_under(above), INFINITE), flicker) for level, above in pairwise(found))
    return tuple(cut for cut in between if cut is not None)


def _under(level: Spread) -> float:
    """Return the next number below the lowest of a level."""
    return nextafter(level.values[0], -INFINITE)


def _end(spread: Spread, finest: float, least_s: float) -> tuple[float, float] | None:
    """Return where the lowest level ends and where the empty stretch over it does; None if it is the only level."""
    if spread.total_s < least_s + LEAST_S:
        return None
    bottom = spread.quantile(0.0005)
    for value, below_s in zip(spread.values, spread.until_s, strict=True):
        if below_s < least_s or value < bottom:
            continue
        far = value + EMPTY_WIDTH * (value - bottom + finest)
        far_s = spread.seconds_to(far)
        above_s = spread.total_s - far_s
        if above_s < LEAST_S:
            return None
        if far_s - below_s <= min(EMPTY_OF_ABOVE * above_s, EMPTY_OF_BELOW * below_s):
            return value, far
    return None


def cut_between(lower: Spread, upper: Spread, flicker: float) -> Cut | None:
    """Set both thresholds between two levels, or return None if they overlap.

    The upper threshold stands in the geometric middle between the noise of the lower level and the distance to the
    lowest values of the upper one, clear of the noise and never more than half way up; the lower threshold stands
    half way between it and the lower level.
    """
    one, other = Level.of(lower), Level.of(upper)
    lowest, low = upper.quantile(LOWEST) - one.high, upper.quantile(LOW) - one.high
    if low <= 0:
        return None
    noise = max(one.high - one.middle, flicker, LEAST_SPREAD * low)
    margin = min(max((noise * max(lowest, 0.0)) ** 0.5, CLEAR * noise), low / 2)
    return Cut(one, other, noise, one.high + margin, one.high + margin / 2)
