"""A meter's power against its own energy counter, over windows in which the counter moves by 100 counts.

Both come from the same coil, so the counter cannot know of a clamp that fell off; but it is summed inside the meter
all the time, and shows when the power that is read is not the power that is drawn.
"""

from dataclasses import dataclass
from enum import StrEnum

from instrument_agent.core.readings import NS_PER_S

WS_PER_KWH = 3_600_000.0
COUNTS = 100
"""So many counts make a window: each end of it is uncertain by one."""
SHORTEST_NS = 1200 * NS_PER_S
"""A counter that is brought up to date only once a minute is behind by 5 % of this at most."""
LONGEST_NS = 86_400 * NS_PER_S
LONGEST_STEP_NS = 60 * NS_PER_S
"""What a load did between two readings further apart than this, nobody knows: the window begins anew."""
TOLERANCE, COUNTS_TOLERANCE = 0.05, 2
"""Power and counter of a class 1 or 2 meter (IEC 62053-21) agree better than this."""
ROUGHNESS = 0.02
"""If the integral could be wrong by more, because the load jumps between readings, no scale is doubted."""
FACTOR = 2.0
"""No rounding makes a value that stands still wrong by more."""


class Verdict(StrEnum):
    """What a window shows: they agree; nothing but "off" was read while it counted; one value stood still; else."""

    AGREES = "agrees"
    BLIND = "blind"
    STUCK = "stuck"
    DISAGREES = "disagrees"


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of readings: the counter where it began and where it is, in kWh, and the power that was read.

    ``moved_ns`` is when the counter moved last, or when it was seen first.
    ``integral_ws`` is by trapezoids; ``rough_ws`` is how wrong that can be, if every change of the power came just
    after a reading or just before one.
    """

    start_ns: int
    at_ns: int
    moved_ns: int
    watts: float
    from_kwh: float
    kwh: float
    low_w: float
    high_w: float
    integral_ws: float = 0.0
    rough_ws: float = 0.0

    @property
    def counted_ws(self) -> float:
        """The energy of the window by the counter, in joules."""
        return (self.kwh - self.from_kwh) * WS_PER_KWH


def grown(window: Window | None, at_ns: int, watts: float, kwh: float) -> Window:
    """Return the window with one reading more; a new one after a silence, or if the counter went back."""
    if window is None or at_ns - window.at_ns > LONGEST_STEP_NS or kwh < window.kwh:
        return Window(at_ns, at_ns, at_ns, watts, kwh, kwh, watts, watts)
    half_s = (at_ns - window.at_ns) / NS_PER_S / 2
    # What flows back is not in the counter of import.
    before_w, now_w = max(0.0, window.watts), max(0.0, watts)
    return Window(
        window.start_ns,
        at_ns,
        at_ns if kwh > window.kwh else window.moved_ns,
        watts,
        window.from_kwh,
        kwh,
        min(window.low_w, watts),
        max(window.high_w, watts),
        window.integral_ws + (before_w + now_w) * half_s,
        window.rough_ws + abs(now_w - before_w) * half_s,
    )


def smallest_step(window: Window | None, kwh: float, known_kwh: float | None) -> float | None:
    """Return the size of a count, in kWh, as far as it is known: the smallest step the counter ever made."""
    step_kwh = 0.0 if window is None else kwh - window.kwh
    if step_kwh <= 0:
        return known_kwh
    return step_kwh if known_kwh is None else min(known_kwh, step_kwh)


def is_full(window: Window, count_kwh: float | None) -> bool:
    """Return whether the window says enough, or is as long as one may be."""
    lasted_ns = window.at_ns - window.start_ns
    if lasted_ns < SHORTEST_NS or count_kwh is None:
        return lasted_ns >= LONGEST_NS
    enough_ws = COUNTS * count_kwh * WS_PER_KWH
    return window.counted_ws >= enough_ws or window.integral_ws >= enough_ws or lasted_ns >= LONGEST_NS


def is_quiet(window: Window, count_kwh: float, off_below: float) -> bool:
    """Return whether the counter has stood still for so long that less than ``off_below`` watts is drawn."""
    still_ns = window.at_ns - window.moved_ns
    most_ws = COUNTS_TOLERANCE * count_kwh * WS_PER_KWH
    return still_ns >= SHORTEST_NS and most_ws < off_below * still_ns / NS_PER_S


def judged(window: Window, count_kwh: float, off_below: float) -> Verdict | None:
    """Return what a window shows; None if it shows nothing for sure. ``off_below`` watts more or less is nothing."""
    counted_ws, read_ws = window.counted_ws, window.integral_ws
    lasted_s = (window.at_ns - window.start_ns) / NS_PER_S
    rest_ws = COUNTS_TOLERANCE * count_kwh * WS_PER_KWH + off_below * lasted_s
    if abs(counted_ws - read_ws) <= TOLERANCE * max(counted_ws, read_ws) + rest_ws:
        return Verdict.AGREES
    if window.high_w < off_below:
        return Verdict.BLIND
    if window.low_w == window.high_w and not 1 / FACTOR < counted_ws / read_ws < FACTOR:
        return Verdict.STUCK
    return Verdict.DISAGREES if window.rough_ws <= ROUGHNESS * max(counted_ws, read_ws) else None
