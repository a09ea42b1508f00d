"""What learning has found so far: the material of a proposal."""

from dataclasses import dataclass
from enum import StrEnum

from instrument_agent.commission.levels import Cut
from instrument_agent.commission.survey import Spread, Survey, Window
from instrument_agent.commission.timing import Timing


class Profile(StrEnum):
    """How an instrument's load tells what it does."""

    LEVEL = "level"
    DUTY_CYCLE = "duty_cycle"
    IDLE_CYCLING = "idle_cycling"
    ALWAYS_ON_DELTA = "always_on_delta"
    POWERED_ONLY = "powered_only"


class Problem(StrEnum):
    """Why no run can be told."""

    TOO_LITTLE = "too_little"
    TOO_FAR_APART = "too_far_apart"
    MARKED_OUTSIDE = "marked_outside"
    ONE_LEVEL = "one_level"
    NEGATIVE = "negative"
    TOO_SHORT = "too_short"
    OVERLAP = "overlap"
    CYCLING = "cycling"
    IDLE_PULSES_ONLY = "idle_pulses_only"
    POWERED_ONLY = "powered_only"


@dataclass(frozen=True, slots=True)
class Marked:
    """What a technician has told: the profile, and when the instrument stood by and ran."""

    profile: Profile | None = None
    standby: Window | None = None
    running: Window | None = None


@dataclass(frozen=True, slots=True)
class Findings:
    """``cut`` is the one among ``cuts`` (or beside them) over which the instrument runs, if there is one.

    ``idle`` says that short pulses belong to standby. ``unused`` says that a marked window holds too few readings to
    tell anything.
    """

    marked: Marked
    survey: Survey
    spread: Spread
    cuts: tuple[Cut, ...]
    cut: Cut | None = None
    rise: bool = False
    timing: Timing | None = None
    problem: Problem | None = None
    idle: bool = False
    unused: bool = False
