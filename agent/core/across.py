"""What a meter counted while its instrument was not seen: evidence beside the gap, which stays unknown.

The counter is summed inside the meter, whether anybody reads it or not. So the readings before and after a gap that
no run can span show that nothing ran in it, if the energy is too small for any run, or that more was drawn than
standby can draw.
"""

from dataclasses import dataclass
from enum import StrEnum

from instrument_agent.core.activity import Rules
from instrument_agent.core.energy import LONGEST_STEP_NS, TOLERANCE, WS_PER_KWH, Window
from instrument_agent.core.readings import NS_PER_S

BEHIND_S = 60.0
"""A counter that is brought up to date only once a minute is behind by so much."""


class Ran(StrEnum):
    """What the energy shows: too little for any run; more than without a run; neither."""

    NOTHING = "nothing_ran"
    SOMETHING = "something_ran"
    CANNOT_TELL = "cannot_tell"


@dataclass(frozen=True, slots=True)
class Across:
    """The counter on both sides of a gap, in kWh; ``to_ns`` is None until it is read again.

    ``boot_id`` and ``from_ns`` (its boot clock) are the last reading before, ``from_w`` the power read with it.
    """

    boot_id: str
    from_ns: int
    from_w: float
    from_kwh: float
    to_kwh: float
    to_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """From ``from_ns`` of boot ``from_boot_id`` to ``to_ns`` of this one ``counted_ws`` joules were counted."""

    from_boot_id: str
    from_ns: int
    to_ns: int
    counted_ws: float
    ran: Ran


def before_gap(boot_id: str, last_seen_ns: int, window: Window | None) -> Across | None:
    """Return where the counter stood when the instrument was seen last; None if it was not read then."""
    if window is None or last_seen_ns - window.at_ns > LONGEST_STEP_NS:
        return None
    return Across(boot_id, window.at_ns, window.watts, window.kwh, window.kwh)


def counted(rules: Rules, across: Across, to_ns: int, boot_id: str, count_kwh: float) -> Counted:
    """Return what was counted until ``to_ns`` of boot ``boot_id``, and what that shows.

    How long a gap over a new boot lasted, no boot clock knows: what ran in it cannot be told from here.
    """
    counted_ws, count_ws = (across.to_kwh - across.from_kwh) * WS_PER_KWH, count_kwh * WS_PER_KWH
    lasted_ns = to_ns - across.from_ns if across.boot_id == boot_id else None
    ran = Ran.CANNOT_TELL
    if (1 + TOLERANCE) * (counted_ws + count_ws) < rules.run_below * rules.min_on_ns / NS_PER_S:
        ran = Ran.NOTHING
    elif lasted_ns is not None and lasted_ns >= rules.min_on_ns:
        # What was drawn before the gap may have been counted in it.
        most_ws = rules.run_above * lasted_ns / NS_PER_S + across.from_w * BEHIND_S
        if (1 - TOLERANCE) * (counted_ws - count_ws) > most_ws:
            ran = Ran.SOMETHING
    return Counted(across.boot_id, across.from_ns, to_ns, counted_ws, ran)
