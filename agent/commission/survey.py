"""The first look at a trace: what values were read and for how long, in bounded memory.

Values are looked at as the core looks at them, after the median of three readings. However long the trace is, a
bounded number of values is kept: every n-th, standing for the time of those left out. Choosing by position, and not by
value, keeps everything learned independent of the unit and of a constant load beside the instrument.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from statistics import median

KEPT = 32_768
"""Values kept of one survey; twice as many while it is taken."""

RARELY, OFTEN = 0.003, 0.1
"""The share of readings that differ from the one before: fewer are no flicker, more are flicker for sure."""
COARSEST = 0.1
"""Otherwise what looks like the step of a meter counts for no more than this share of all values' range."""

Window = tuple[float, float]
"""Start and end in seconds of the trace's own clock."""

Reading = tuple[float, float]
"""Seconds of the trace's own clock, and the value read."""


def filtered(samples: Iterable[Reading], gap_s: float) -> Iterator[tuple[float, float, float, float]]:
    """Yield (seconds, median of three readings, seconds until the next reading, the reading itself).

    As in the core, the first and the last reading before a silence longer than ``gap_s`` stand as they are, and
    silence is nobody's time: the third number is then 0.
    """
    readings = iter(samples)
    first = next(readings, None)
    if first is None:
        return
    at_s, value = first
    before = value
    for next_s, following in readings:
        seconds = next_s - at_s
        if seconds > gap_s:
            yield at_s, value, 0.0, value
            before = following
        else:
            low, high = (before, value) if before < value else (value, before)
            yield at_s, low if following < low else min(following, high), seconds, value
            before = value
        at_s, value = next_s, following
    yield at_s, value, 0.0, value


class Thinned:
    """Values with the seconds they stand for and how far each was from the one before it; bounded."""

    def __init__(self) -> None:
        self.values = array("d")
        self.seconds = array("d")
        self.changes = array("d")
        self._every = 1
        self._left_out = 0
        self._waiting_s = 0.0

    def add(self, value: float, seconds: float, change: float) -> None:
        """Take one value that held for ``seconds``."""
        self._waiting_s += seconds
        self._left_out += 1
        if self._left_out < self._every:
            return
        self.values.append(value)
        self.seconds.append(self._waiting_s)
        self.changes.append(change)
        self._left_out, self._waiting_s = 0, 0.0
        if len(self.values) >= 2 * KEPT:
            self.values, self.changes = self.values[1::2], self.changes[1::2]
            self.seconds = array("d", (a + b for a, b in zip(self.seconds[::2], self.seconds[1::2], strict=True)))
            self._every *= 2

    def flicker(self) -> float:
        """Return the usual step between a reading and the next where values keep changing, else 0.

        It is the noise of a meter with fine steps, and the step of one with coarse steps.
        """
        changed = sorted(change for change in self.changes if change > 0)
        if not changed or len(changed) < RARELY * len(self.changes):
            return 0.0
        usual = changed[len(changed) // 4]
        whole = max(self.values) - min(self.values)
        return usual if len(changed) > OFTEN * len(self.changes) else min(usual, COARSEST * whole)

    def step(self) -> float:
        """Return the smallest change between two readings where they often change: the step of a coarse meter."""
        changed = sorted(change for change in self.changes if change > 0)
        return changed[len(changed) // 50] if len(changed) > OFTEN * len(self.changes) else 0.0

    def finest(self) -> float:
        """Return the smallest change between two readings, which is never less than a step of the meter."""
        return min((change for change in self.changes if change > 0), default=0.0)

    def spread(self) -> "Spread":
        """Return the same in order of value."""
        return Spread.of(zip(self.values, self.seconds, strict=True))


@dataclass(frozen=True, slots=True)
class Spread:
    """Values in ascending order, and the seconds spent at all values up to each."""

    values: tuple[float, ...]
    until_s: tuple[float, ...]

    @classmethod
    def of(cls, pairs: Iterable[tuple[float, float]]) -> "Spread":
        """Return (value, seconds) pairs in order, equal values as one."""
        sums: dict[float, float] = {}
        for value, seconds in pairs:
            if seconds > 0:
                sums[value] = sums.get(value, 0.0) + seconds
        values = sorted(sums)
        return cls(tuple(values), tuple(accumulate(sums[value] for value in values)))

    @property
    def total_s(self) -> float:
        """The seconds of all values."""
        return self.until_s[-1] if self.until_s else 0.0

    def seconds_to(self, value: float) -> float:
        """Return the seconds spent at ``value`` or under it."""
        index = bisect_right(self.values, value)
        return self.until_s[index - 1] if index else 0.0

    def quantile(self, share: float) -> float:
        """Return the value under or at which ``share`` of the time was spent."""
        index = bisect_left(self.until_s, share * self.total_s * (1 - 1e-12))
        return self.values[min(index, len(self.values) - 1)]

    def between(self, low: float, high: float) -> "Spread":
        """Return the part with ``low`` < value <= ``high``."""
        first, last = bisect_right(self.values, low), bisect_right(self.values, high)
        start_s = self.until_s[first - 1] if first else 0.0
        return Spread(self.values[first:last], tuple(until - start_s for until in self.until_s[first:last]))


@dataclass
class Survey:
    """What one pass over a trace tells; the two windows are what a technician marked, if he did.

    The marked run is kept as it was read: its pulses may be single readings.
    """

    everything: Thinned = field(default_factory=Thinned)
    standby: Thinned = field(default_factory=Thinned)
    running: Thinned = field(default_factory=Thinned)
    steps: Thinned = field(default_factory=Thinned)
    """The times from reading to reading, with the changes of what was read, unfiltered."""
    readings: int = 0
    start_s: float = 0.0
    end_s: float = 0.0

    def apart_s(self) -> float:
        """Return the usual time between two readings in seconds."""
        return median(self.steps.values) if self.steps.values else 0.0

    def flicker(self) -> float:
        """Return the noise of the meter, or its step where that is coarser; a level is wider than that."""
        return max(self.everything.flicker(), self.steps.step())


def surveyed(samples: Iterable[Reading], gap_s: float, standby: Window | None, running: Window | None) -> Survey:
    """Look at all readings once."""
    survey = Survey()
    last: float | None = None
    last_s = last_read = 0.0
    for at_s, value, seconds, as_read in filtered(samples, gap_s):
        if last is None:
            survey.start_s, last, last_s, last_read = at_s, value, at_s, as_read
        change, last = abs(value - last), value
        survey.everything.add(value, seconds, change)
        if standby is not None and standby[0] <= at_s < standby[1]:
            survey.standby.add(value, seconds, change)
        if running is not None and running[0] <= at_s < running[1]:
            survey.running.add(as_read, seconds, change)
        if survey.readings:
            survey.steps.add(at_s - last_s, 1.0, abs(as_read - last_read))
        last_s, last_read = at_s, as_read
        survey.readings += 1
        survey.end_s = at_s
    return survey
