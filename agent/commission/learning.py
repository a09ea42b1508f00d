"""From a recorded trace to a proposal how its instrument is to be judged.

``learn`` looks at the trace a few times and keeps a bounded amount of it. What it proposes is used by the rules of
core/activity.py as if a technician had written it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import median

from instrument_agent.commission.findings import Findings, Marked, Problem, Profile
from instrument_agent.commission.home import BRIDGE_S, Pulses, run_level
from instrument_agent.commission.levels import CLEAR, INFINITE, Cut, cut_between, cuts
from instrument_agent.commission.pulses import Pulse, Train, joined, pulses_over
from instrument_agent.commission.rise import OVER_STEP, blocks, small_rise, thinned
from instrument_agent.commission.survey import Reading, Thinned, Window, surveyed
from instrument_agent.commission.timing import (
    APART,
    CLEAR_OF,
    USUAL_MIN_OFF_S,
    Timing,
    cycling,
    idle_pulses,
    longest_s,
    timed,
)
from instrument_agent.commission.verdict import SMALLEST, Proposal, proposed

SILENT_S = 60.0
LEAST_READINGS, LEAST_SPAN_S = 60, 600.0
LEAST_MARKED = 10
"""Readings in a marked window."""
IN_STANDBY, IN_RUN = 0.01, 0.05
"""The share of a marked standby that may be over a threshold, and the share of a marked run that must be."""
FLICKER = 2
"""A jump to the next step of the meter and back after so few readings is none of the load."""
MOST = 0.5
"""And where pulses of an idle machine are marked as standby: less of that, and more of the run, is over."""
LEAST_OVER_S, LEAST_PULSE_S, LEAST_PULSE_READINGS = 60.0, 10.0, 5
"""How long, altogether and at once, a level must be seen before it is one."""
SOLID_SHARE = 0.2
"""And which share of it must be in pulses as long as that: else it is flicker."""


def learn(
    samples: Iterable[Reading],
    profile: str | None = None,
    standby: Window | None = None,
    running: Window | None = None,
) -> Proposal:
    """Propose levels, thresholds, times and profile from (seconds, value) readings.

    ``samples`` is gone through several times, so it must be a sequence or start anew each time it is iterated over.
    ``standby`` and ``running`` are windows in seconds of the trace's clock which a technician has marked.

    Raises:
        TypeError: ``samples`` can be iterated over only once.
        ValueError: there is no such profile.
    """
    if isinstance(samples, Iterator):
        raise TypeError("samples are read several times: give a sequence, or what can be iterated over anew")
    marked = Marked(None if profile is None else Profile(profile), standby, running)
    survey = surveyed(samples, SILENT_S, standby, running)
    spread = survey.everything.spread()
    findings = Findings(marked, survey, spread, cuts(spread, survey.flicker()))
    problem = _unfit(findings)
    if problem is not None:
        return proposed(replace(findings, problem=problem))
    findings = _with_marks_of_use(findings)
    marked = findings.marked
    candidates, rise = _candidates(findings, samples)
    if not candidates:
        told = marked.standby is not None and marked.running is not None
        return proposed(replace(findings, problem=Problem.OVERLAP if told else Problem.ONE_LEVEL))
    last = candidates[-1]
    # A consumer gives nothing back: turned around, its standby is higher than its run.
    candidates = [cut for cut in candidates if cut.below >= SMALLEST]
    if not candidates:
        return proposed(replace(findings, problem=Problem.NEGATIVE))
    pulses = pulses_over(samples, [(cut.above, cut.below) for cut in candidates], SILENT_S, BRIDGE_S)
    index = run_level(candidates, pulses, findings.spread, marked.running)
    proposals = [
        _with_times(replace(findings, cut=cut, rise=rise and cut is last), found)
        for cut, found in list(zip(candidates, pulses, strict=True))[index:]
    ]
    return proposed(_over_idle(proposals))


def _over_idle(found: Sequence[Findings]) -> Findings:
    """Return the first, or where an idle machine cycles there, one over it whose runs are longer than its pulses."""
    first = found[0]
    if first.timing is None or not first.idle or first.marked.profile or first.marked.running:
        return first
    pulses_only = first.problem is Problem.CYCLING
    longest_s = APART * median(run.seconds for run in first.timing.runs) if pulses_only else first.timing.min_on_s
    wanted = 1 if pulses_only else len(first.timing.runs)
    longer = (
        higher
        for higher in found[1:]
        if higher.problem is None and len(_runs(higher)) >= wanted and _shortest_s(higher) > longest_s
    )
    return next(longer, first)


def _runs(found: Findings) -> tuple[Train, ...]:
    return found.timing.runs if found.timing is not None else ()


def _shortest_s(found: Findings) -> float:
    return min((run.seconds for run in _runs(found)), default=0.0)


def _unfit(findings: Findings) -> Problem | None:
    """Return why nothing can be learned at all."""
    marked, survey = findings.marked, findings.survey
    if survey.readings < LEAST_READINGS or survey.end_s - survey.start_s < LEAST_SPAN_S:
        return Problem.TOO_LITTLE
    if 2 * survey.apart_s() > SILENT_S:
        return Problem.TOO_FAR_APART
    for window in (marked.standby, marked.running):
        if window is not None and (window[1] <= survey.start_s or window[0] >= survey.end_s):
            return Problem.MARKED_OUTSIDE
    return Problem.POWERED_ONLY if marked.profile is Profile.POWERED_ONLY else None


def _with_marks_of_use(findings: Findings) -> Findings:
    """Leave out marked windows with hardly a reading in them."""
    survey, marked = findings.survey, findings.marked
    standby = marked.standby if len(survey.standby.values) >= LEAST_MARKED else None
    running = marked.running if len(survey.running.values) >= LEAST_MARKED else None
    unused = (standby, running) != (marked.standby, marked.running)
    return replace(findings, marked=replace(marked, standby=standby, running=running), unused=unused)


def _candidates(findings: Findings, samples: Iterable[Reading]) -> tuple[Sequence[Cut], bool]:
    """Return the cuts over which the instrument may run, and whether the last is a small rise over a noisy load."""
    marked, known = findings.marked, findings.cuts
    small_only = marked.profile is Profile.ALWAYS_ON_DELTA
    possible = [] if small_only else [cut for cut in known if _agrees(findings, cut)]
    if marked.profile not in (Profile.DUTY_CYCLE, Profile.IDLE_CYCLING):
        over = known[-1].above if known else -INFINITE
        rise = small_rise(thinned(blocks(samples, SILENT_S, over)), findings.survey.steps.finest())
        if rise is not None and _agrees(findings, rise):
            return [*possible, rise], True
    if not possible and marked.profile is None:
        possible = [cut for cut in known if _mostly_agrees(findings, cut)]
    if not possible and marked.standby is not None and marked.running is not None:
        between = _between_windows(findings)
        possible = [between] if between is not None else []
    return possible, False


def _agrees(findings: Findings, cut: Cut) -> bool:
    """Say whether what a technician has marked lies on the right sides of ``cut``."""
    marked, survey = findings.marked, findings.survey
    may_pulse = marked.standby is None or marked.profile is Profile.IDLE_CYCLING
    if not may_pulse and _share_over(survey.standby, cut.above) > IN_STANDBY:
        return False
    return marked.running is None or _share_over(survey.running, cut.above) >= IN_RUN


def _mostly_agrees(findings: Findings, cut: Cut) -> bool:
    """Say whether only pulses in the marked standby are over ``cut``, and most of the marked run is."""
    marked, survey = findings.marked, findings.survey
    if marked.standby is None or marked.running is None:
        return False
    return _share_over(survey.standby, cut.above) < MOST < _share_over(survey.running, cut.above)


def _share_over(seen: Thinned, value: float) -> float:
    spread = seen.spread()
    return 1 - spread.seconds_to(value) / spread.total_s if spread.total_s else 0.0


def _between_windows(findings: Findings) -> Cut | None:
    """Return the cut between the two marked windows alone."""
    lower = findings.survey.standby.spread()
    upper = findings.survey.running.spread()
    if not lower.values or not upper.values:
        return None
    over = upper.between(lower.quantile(0.99), INFINITE)
    if over.total_s < IN_RUN * upper.total_s or not over.values:
        return None
    cut = cut_between(lower, over, findings.survey.flicker())
    clear = cut is not None and cut.upper.middle - cut.lower.high > CLEAR * cut.noise
    return cut if clear else None


def _with_times(findings: Findings, pulses: Pulses) -> Findings:
    """Learn the minimum times, and refuse what is no run after all."""
    smooth, plain = pulses
    marked = findings.marked
    idle = _idles(findings, plain)
    joins = None if marked.profile is None and not idle else marked.profile is Profile.DUTY_CYCLE
    pause_s = CLEAR_OF * _marked_pause_s(marked.running, pulses)
    timing = timed(smooth, plain, pause_s, _marked_standby_s(marked.standby, smooth), joins)
    findings = replace(findings, timing=timing, idle=idle)
    if idle:
        return _with_idle_pulses(findings, timing, joined(smooth, timing.min_off_s))
    if marked.running is not None or (_solid(smooth) and not _flickers(findings, plain)):
        return findings
    return replace(findings, problem=Problem.TOO_SHORT)


def _idles(findings: Findings, plain: Sequence[Pulse]) -> bool:
    """Say whether short pulses belong to standby: as told, as marked, or as they go on from start to end."""
    marked, survey, cut = findings.marked, findings.survey, findings.cut
    if marked.profile is not None or cut is None:
        return marked.profile is Profile.IDLE_CYCLING
    if marked.standby is not None and _share_over(survey.standby, cut.above) > IN_STANDBY:
        return True
    return marked.running is None and cycling(joined(plain, USUAL_MIN_OFF_S), survey.end_s - survey.start_s)


def _with_idle_pulses(findings: Findings, timing: Timing, trains: Sequence[Train]) -> Findings:
    """Set a minimum time between the pulses of an idle machine and its runs."""
    marked = findings.marked
    idle_s, run_s = idle_pulses(trains)
    min_on_s = (idle_s * run_s) ** 0.5 if run_s is not None else INFINITE
    untold = marked.profile is None and marked.running is None
    # An idle machine cycles before and after its runs; a furnace's first pulse is its longest.
    if run_s is None or (untold and any(longest_s(trains[at].pulses) >= min_on_s for at in (0, -1))):
        untold_problem = Problem.CYCLING if untold else Problem.OVERLAP
        return replace(findings, problem=untold_problem if marked.profile is None else Problem.IDLE_PULSES_ONLY)
    runs = tuple(train for train in timing.runs if longest_s(train.pulses) >= min_on_s)
    return replace(findings, timing=replace(timing, min_on_s=min_on_s, runs=runs))


def _solid(pulses: Sequence[Pulse]) -> bool:
    """Say whether ``pulses`` are more than disturbances and flicker."""
    whole_s = sum(pulse.seconds for pulse in pulses)
    long = [pulse for pulse in pulses if pulse.seconds >= LEAST_PULSE_S and pulse.readings >= LEAST_PULSE_READINGS]
    return whole_s >= LEAST_OVER_S and bool(long) and sum(pulse.seconds for pulse in long) >= SOLID_SHARE * whole_s


def _flickers(findings: Findings, plain: Sequence[Pulse]) -> bool:
    """Say whether the levels are neighbouring steps of the meter, between which a load in the middle jumps."""
    cut, step = findings.cut, OVER_STEP * findings.survey.steps.finest()
    return cut is not None and cut.upper.low - cut.lower.high < step and median(p.readings for p in plain) <= FLICKER


def _marked_standby_s(standby: Window | None, smooth: Sequence[Pulse]) -> float:
    """Return how long the pause is in which a technician has marked standby: it ends a run."""
    if standby is None or any(pulse.end_s > standby[0] and pulse.start_s < standby[1] for pulse in smooth):
        return INFINITE
    before_s = max((pulse.end_s for pulse in smooth if pulse.end_s <= standby[0]), default=-INFINITE)
    after_s = min((pulse.start_s for pulse in smooth if pulse.start_s >= standby[1]), default=INFINITE)
    return after_s - before_s


def _marked_pause_s(running: Window | None, pulses: Pulses) -> float:
    """Return the longest pause inside the run a technician has marked."""
    if running is None:
        return 0.0
    inside = [pulse for pulse in pulses[1] if pulse.end_s > running[0] and pulse.start_s < running[1]]
    return max((after.start_s - before.end_s for before, after in pairwise(inside)), default=0.0)
