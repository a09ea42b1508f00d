"""What is remembered of an instrument that nobody has explained: a reading every ten seconds, for two days.

A single reading stands for the ten seconds, not their mean: means have less noise than the readings that are judged,
and thresholds set by them stand too close to standby.
"""

from array import array
from collections.abc import Iterator
from math import isnan, nan
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from instrument_agent.commission.survey import Reading

KEPT_S = 48 * 3600.0
DROPPED_S = 3600.0
"""How much of the oldest is forgotten at once."""


class Sketch:
    """Readings in a grid of ``every_s``, in memory: 69 kB for two days of one reading every 10 s."""

    def __init__(self, start_s: float, every_s: float) -> None:
        self.every_s = every_s
        self._start_s = start_s
        self._values = array("f")  # four bytes each: to a ten-millionth of the value

    def put(self, at_s: float, value: float | None) -> None:
        """Remember what was read at ``at_s``; None if nothing was. A second reading in the same place is left out."""
        place = int((at_s - self._start_s) / self.every_s)
        if (place - len(self._values)) * self.every_s >= KEPT_S:
            self._start_s, place = at_s, 0
            del self._values[:]
        self._values.extend([nan] * (place - len(self._values)))
        if place == len(self._values):
            self._values.append(nan if value is None else value)
        if len(self._values) * self.every_s > KEPT_S:
            count = int(DROPPED_S / self.every_s)
            del self._values[:count]
            self._start_s += count * self.every_s

    @property
    def seen_s(self) -> float:
        """For how long something was read."""
        return self.every_s * sum(not isnan(value) for value in self._values)

    def __iter__(self) -> "Iterator[Reading]":
        """Yield (seconds, value) of everything that was read, anew each time."""
        for place, value in enumerate(self._values):
            if not isnan(value):
                yield self._start_s + place * self.every_s, value
