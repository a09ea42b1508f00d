"""Plays a recorded power trace as if it were an instrument."""

import csv
from bisect import bisect_right
from collections.abc import Iterable
from pathlib import Path
from typing import Self


class PowerTrace:
    """Sample-and-hold over recorded ``(timestamp_s, power_w)`` pairs, on the clock of the recording.

    Samples are taken in order of time; of equal timestamps the last one given holds.
    """

    def __init__(self, samples: Iterable[tuple[float, float]]) -> None:
        # The sort is stable, so equal timestamps keep their order and bisect_right finds the last of them.
        ordered = sorted(samples, key=lambda sample: sample[0])
        if not ordered:
            raise ValueError("a trace without samples has no power")
        self._times_s = [time_s for time_s, _power_w in ordered]
        self._powers_w = [power_w for _time_s, power_w in ordered]

    @classmethod
    def from_csv(cls, path: Path) -> Self:
        """Read a file with the columns ``timestamp_s,value`` (s, W).

        Raises:
            OSError: the file cannot be read.
            ValueError: it holds no samples, or one that is not a number.
        """
        with path.open(encoding="utf-8", newline="") as file:
            return cls((float(row["timestamp_s"]), float(row["value"])) for row in csv.DictReader(file))

    @property
    def first_s(self) -> float:
        """When the recording begins, in seconds on its own clock."""
        return self._times_s[0]

    @property
    def last_s(self) -> float:
        """When the recording ends, in seconds on its own clock."""
        return self._times_s[-1]

    def power_w(self, t_s: float) -> float:
        """Return the power last recorded at or before ``t_s``; before the first sample, the first."""
        return self._powers_w[max(0, bisect_right(self._times_s, t_s) - 1)]
