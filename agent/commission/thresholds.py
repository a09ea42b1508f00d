"""What was learned, as the keys of a config file have it: in round numbers, as a person would write them."""

from dataclasses import replace
from math import floor, isfinite, log10

from instrument_agent.commission.findings import Profile
from instrument_agent.commission.verdict import SMALLEST, Proposal
from instrument_agent.core.readings import Channel
from instrument_agent.tables.change import Scalar

NEAR_OFF = 0.2
FURTHEST = 1e15
"""More than any channel reads."""


def rounded(proposal: Proposal) -> Proposal:
    """Return the same with thresholds to about a hundredth of what lies between the levels, and times in seconds."""
    off_below = _rounded(proposal.off_below, proposal.off_below)
    run_above, run_below = proposal.run_above, proposal.run_below
    if run_above is not None and run_below is not None and proposal.standby and proposal.running:
        step = proposal.running.middle - proposal.standby.middle
        run_above, run_below = _rounded(run_above, step), _rounded(run_below, step)
        off_below = min(off_below, run_below)
    return replace(
        proposal,
        off_below=off_below,
        run_above=run_above,
        run_below=run_below,
        min_on_s=_rounded(proposal.min_on_s, 10.0),
        min_off_s=_rounded(proposal.min_off_s, 100.0),
    )


def told_off(proposal: Proposal, between: tuple[float, float] | None) -> Proposal:
    """Return the same with a threshold of off that fits what was read while somebody saw to it that it was off.

    ``between`` are the highest value of off and the lowest of standby. A false "off" is worse than a false "standby",
    so the threshold stands in the lower half.
    """
    if between is None or between[0] < proposal.off_below <= sum(between) / 2:
        return proposal
    off_below = _rounded(between[0] + NEAR_OFF * (between[1] - between[0]), between[1] - between[0])
    return replace(proposal, off_below=max(off_below, SMALLEST))


def keys(proposal: Proposal, told: str | None, channel: Channel) -> dict[str, Scalar]:
    """Return what to write under ``[instrument.activity]``; nothing where no run can be told.

    For an instrument of which a technician wants powered hours only (``told``), a run begins at what is never read.
    """
    run_above, run_below = proposal.run_above, proposal.run_below
    if powered_only(proposal, told):
        run_above = run_below = 2 * channel.high if isfinite(channel.high) else FURTHEST
    if run_above is None or run_below is None:
        return {}
    level = _standby_level(proposal)
    return {
        "off_below": proposal.off_below,
        "run_above": run_above,
        "run_below": run_below,
        "min_on_s": proposal.min_on_s,
        "min_off_s": proposal.min_off_s,
        "single_readings": proposal.single_readings,
        **({} if level is None else {"standby_level": level}),
    }


def _standby_level(proposal: Proposal) -> float | None:
    """Return the usual value of standby, from which slow drift is followed; None where no run can be told."""
    if proposal.standby is None or proposal.running is None or proposal.run_below is None:
        return None
    standby = proposal.standby.middle
    level = _rounded(standby, min(standby, proposal.running.middle - standby))
    return level if proposal.off_below <= level < proposal.run_below else None


def powered_only(proposal: Proposal, told: str | None) -> bool:
    """Say whether powered hours only are wanted, and enough was read to tell off from on."""
    return told == Profile.POWERED_ONLY and proposal.off_below > SMALLEST


def _rounded(value: float, to: float) -> float:
    return round(value, 2 - floor(log10(to))) if to > 0 else value
