"""The strength of an alternating current from samples of an analogue-to-digital converter; pure.

The samples come as fast as they can be read, not evenly: sums over them would favour the moments that were sampled
densely, so means are taken over time. The converter sees the current as a wave around half of its scale.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from math import sqrt

SAMPLES_PER_CYCLE = 16
"""Fewer would miss the shape of a phase-controlled or rectified load."""
AT_THE_END = 0.01
"""A wave is clipped if more than this share of its samples are at an end of the scale."""
BIAS_TOLERANCE = 0.1
"""How far the mean may be from half the scale, as a share of the scale; resistors of 5 % stay within 0.03."""


class ClampState(StrEnum):
    """What is to be said of a measurement besides its value."""

    OK = "ok"
    BELOW_FLOOR = "below_floor"
    CLIPPED = "clipped"
    RAIL = "rail"
    OPEN_BIAS = "open_bias"
    UNDERSAMPLED = "undersampled"


@dataclass(frozen=True, slots=True)
class Samples:
    """Codes of a converter with ``full_scale`` + 1 steps, each with its time in seconds of a monotonic clock."""

    times_s: Sequence[float]
    codes: Sequence[int]
    full_scale: int


def fault_of(samples: Samples, cycle_s: float, window_s: float) -> ClampState | None:
    """Return why nothing can be said about the current, or None."""
    times_s, codes = samples.times_s, samples.codes
    gaps_s = [later - earlier for earlier, later in pairwise(times_s)]
    if len(codes) < SAMPLES_PER_CYCLE * window_s / cycle_s or max(gaps_s) > cycle_s / 2:
        return ClampState.UNDERSAMPLED
    low = sum(code <= 0 for code in codes) / len(codes)
    high = sum(code >= samples.full_scale for code in codes) / len(codes)
    if max(low, high) > 1 - AT_THE_END:
        return ClampState.RAIL
    if low + high > AT_THE_END:
        return ClampState.CLIPPED
    middle = _mean_over_time(samples, window_s, float) / samples.full_scale
    return ClampState.OPEN_BIAS if abs(middle - 0.5) > BIAS_TOLERANCE else None


def rms(samples: Samples, window_s: float) -> float:
    """Return the root mean square, in steps, of what the wave is above and below its mean.

    ``window_s`` is whole cycles long, and begins with the first sample; the last one must be at its end or later.
    """
    mean = _mean_over_time(samples, window_s, float)
    return sqrt(_mean_over_time(samples, window_s, lambda code: (code - mean) ** 2))


def above_floor(value: float, floor: float) -> float:
    """Return what is left of an RMS value without independent noise of RMS ``floor``: they add in quadrature."""
    return sqrt(max(0.0, value * value - floor * floor))


def _mean_over_time(samples: Samples, window_s: float, of: Callable[[int], float]) -> float:
    """Integrate by trapezoids; the last one is cut off where the window ends."""
    times_s = samples.times_s
    end_s = times_s[0] + window_s
    before_s, before = times_s[0], of(samples.codes[0])
    area = 0.0
    for at_s, code in zip(times_s[1:], samples.codes[1:], strict=True):
        now = of(code)
        if at_s >= end_s:
            cut = before + (now - before) * (end_s - before_s) / (at_s - before_s)
            return (area + (end_s - before_s) * (before + cut) / 2) / window_s
        area += (at_s - before_s) * (before + now) / 2
        before_s, before = at_s, now
    raise ValueError("the samples end before the window")
