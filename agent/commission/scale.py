"""Round numbers for the axes of a picture. Pure."""

from collections.abc import Sequence
from math import ceil, floor, log10

_TIME_STEPS_S = (
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200),
    *(86_400 * days for days in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)),
)
_DAY_S = 86_400


def value_range(lowest: float, highest: float) -> tuple[float, float]:
    """Return what an axis shows: from zero, unless all values lie far above it."""
    low = min(0.0, lowest) if lowest < highest / 2 else lowest - 0.5 * (highest - lowest)
    high = highest + 0.05 * (highest - low)
    return (low, high) if high > low else (low, low + 1.0)


def value_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return at most so many round values from ``low`` to ``high``."""
    raw = (high - low) / most
    power = 10.0 ** floor(log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw)
    return [number * step for number in range(ceil(low / step), floor(high / step) + 1)]


def time_ticks(span_s: float, most: int = 8) -> list[float]:
    """Return at most so many round times from 0 to ``span_s``."""
    step: float = next((step for step in _TIME_STEPS_S if span_s / step < most), span_s / most)
    return [number * step for number in range(floor(span_s / step) + 1)]


def time_text(seconds: float, step_s: float) -> str:
    """Return a time as h:mm, or h:mm:ss where steps are that short, with days before it."""
    whole = round(seconds)
    days, rest = divmod(whole, _DAY_S)
    text = f"{rest // 3600}:{rest // 60 % 60:02d}" + (f":{rest % 60:02d}" if step_s % 60 else "")
    return f"{days}d {text}" if days else text


def number_text(value: float) -> str:
    """Return a value to four digits, without an exponent."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"  # noqa: PLR2004


def apart(places: Sequence[float], least: float) -> list[float]:
    """Return ascending places moved so that none is nearer than ``least`` to the one before."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + least) if moved else place)
    return moved
