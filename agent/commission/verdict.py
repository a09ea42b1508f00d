"""What is proposed, how sure it is, and the sentences that say why."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from instrument_agent.commission.findings import Findings, Marked, Problem, Profile
from instrument_agent.commission.levels import INFINITE, Cut, Level, cuts
from instrument_agent.commission.timing import USUAL_MIN_OFF_S, USUAL_MIN_ON_S
from instrument_agent.config import ActivityConfig
from instrument_agent.core.activity import Rules
from instrument_agent.i18n import _

OFF_STEPS, OFF_SHARE = 1.5, 0.001
"""Off reads less than so many steps of the meter, or than so much of the running level."""
OFF_OF_STANDBY = 0.2
"""Or it is a level of its own, at most so much of that of standby."""
SMALL_RISE = 0.3
"""A run that adds less than this share of the standby level is a small rise over an always-on load."""
FEW_RUNS = 2
CLEAR_SEPARATION = 3.0
SMALLEST = 1e-3
"""A threshold must be greater than zero."""


class Certainty(StrEnum):
    """How much a proposal may be relied on: no doubt, one, several; or no run can be told."""

    SURE = "sure"
    FAIR = "fair"
    DOUBTFUL = "doubtful"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Proposal:
    """Thresholds and levels in the unit of the channel, times in seconds.

    Where ``refusals`` say, in sentences for the technician, why no run can be told, ``run_above`` is None and none may
    be claimed. ``runs`` are those seen while learning. ``single_readings`` says that pulses of one reading are real.
    """

    profile: Profile
    off_below: float
    run_above: float | None
    run_below: float | None
    min_on_s: float
    min_off_s: float
    single_readings: bool
    off: Level | None
    standby: Level | None
    running: Level | None
    noise: float
    separation: float | None
    runs: tuple[tuple[float, float], ...]
    certainty: Certainty
    reasons: tuple[str, ...]
    doubts: tuple[str, ...]
    refusals: tuple[str, ...]

    def activity(self, channel: str = "power_w") -> ActivityConfig | None:
        """Return the same as a config file has it, or None if no run can be told."""
        if self.run_above is None:
            return None
        return self._over(ActivityConfig(channel=channel), self.run_above)

    def rules(self, times: ActivityConfig) -> Rules:
        """Return the rules to judge by; channel and the times that are not learned are those of ``times``."""
        run_above = INFINITE if self.run_above is None else self.run_above
        return self._over(times, run_above).rules()

    def _over(self, times: ActivityConfig, run_above: float) -> ActivityConfig:
        return replace(
            times,
            off_below=self.off_below,
            run_above=run_above,
            run_below=self.run_below,
            min_on_s=self.min_on_s,
            min_off_s=self.min_off_s,
            single_readings=self.single_readings,
        )


def proposed(findings: Findings) -> Proposal:
    """Return what follows from the findings."""
    cut = findings.cut if findings.problem is None else None
    timing = findings.timing if cut is not None else None
    off, standby = _lower_levels(findings, cut)
    doubts = tuple(_doubts(findings, cut)) if cut is not None else ()
    refusals = tuple(_refusals(findings))
    certainties = (Certainty.SURE, Certainty.FAIR, Certainty.DOUBTFUL)
    return Proposal(
        profile=_profile(findings, cut),
        off_below=_off_below(findings, cut),
        run_above=cut.above if cut is not None else None,
        run_below=cut.below if cut is not None else None,
        min_on_s=timing.min_on_s if timing is not None else USUAL_MIN_ON_S,
        min_off_s=timing.min_off_s if timing is not None else USUAL_MIN_OFF_S,
        single_readings=timing.single if timing is not None else False,
        off=off,
        standby=standby,
        running=cut.upper if cut is not None else None,
        noise=cut.noise if cut is not None else findings.survey.flicker(),
        separation=cut.separation if cut is not None else None,
        runs=tuple((run.start_s, run.end_s) for run in timing.runs) if timing is not None else (),
        certainty=Certainty.REFUSED if refusals else certainties[min(len(doubts), 2)],
        reasons=tuple(_reasons(findings, cut)),
        doubts=doubts,
        refusals=refusals,
    )


def _profile(findings: Findings, cut: Cut | None) -> Profile:
    if findings.marked.profile is not None:
        return findings.marked.profile
    if cut is None:
        return Profile.POWERED_ONLY
    if findings.idle:
        return Profile.IDLE_CYCLING
    if findings.timing is not None and (findings.timing.joins or findings.timing.single):
        return Profile.DUTY_CYCLE
    added = cut.upper.middle - cut.lower.middle
    return Profile.ALWAYS_ON_DELTA if findings.rise or added < SMALL_RISE * cut.lower.middle else Profile.LEVEL


def _off_below(findings: Findings, cut: Cut | None) -> float:
    """Return the threshold of off: over what was read while off, or well under the lowest level if it was not seen.

    A standby deeper than any that was seen is not off.
    """
    idle = findings.spread if cut is None else findings.spread.between(-INFINITE, cut.below)
    if not idle.values or findings.problem is Problem.TOO_LITTLE:
        return SMALLEST  # a handful of readings does not even tell what off looks like
    flicker = findings.survey.flicker()
    usual = cut.upper.middle if cut is not None else idle.quantile(0.99)
    limit = max(OFF_STEPS * flicker, OFF_SHARE * usual)
    told = cut is not None or findings.problem is Problem.POWERED_ONLY
    apart = cuts(idle, flicker, most=2) if told else ()
    off = [between for between in apart if between.lower.middle <= limit]
    off += [between for between in apart[:1] if between.lower.middle <= OFF_OF_STANDBY * between.upper.middle]
    if off:
        return max(SMALLEST, *(between.above for between in off))
    lowest = idle.quantile(0.01)
    off_below = limit if lowest < limit else lowest * OFF_OF_STANDBY
    return max(min(off_below, cut.below if cut is not None else off_below), SMALLEST)


def _lower_levels(findings: Findings, cut: Cut | None) -> tuple[Level | None, Level | None]:
    """Return the levels of off and standby, as far as they were seen."""
    off_below = _off_below(findings, cut)
    lowest = findings.spread.between(-INFINITE, off_below)
    rest = findings.spread.between(off_below, cut.below if cut is not None else INFINITE)
    return (Level.of(lowest) if lowest.values else None), (Level.of(rest) if rest.values else None)


def _reasons(findings: Findings, cut: Cut | None) -> Iterator[str]:
    survey = findings.survey
    hours = (survey.end_s - survey.start_s) / 3600
    yield _("{count} readings over {hours:.1f} h were looked at").format(count=survey.readings, hours=hours)
    if cut is None or findings.timing is None:
        return
    yield _("not running up to {high:.4g}, running from {low:.4g}; noise {noise:.3g}").format(
        high=cut.lower.high, low=cut.upper.low, noise=cut.noise
    )
    yield _("{count} runs were seen").format(count=len(findings.timing.runs))
    if findings.timing.joins:
        yield _("pauses of a thermostat are part of the run: up to {seconds:.0f} s").format(
            seconds=findings.timing.min_off_s
        )
    if findings.timing.single:
        yield _("pulses of a single reading keep a run going")


def _doubts(findings: Findings, cut: Cut) -> Iterator[str]:
    runs = findings.timing.runs if findings.timing is not None else ()
    if cut.separation < CLEAR_SEPARATION:
        yield _("the lowest running values are only {times:.1f} times the noise over standby").format(
            times=cut.separation
        )
    if len(runs) < FEW_RUNS:
        yield _("fewer than {count} runs were seen").format(count=FEW_RUNS)
    if findings.marked.running is None and any(other.above > cut.above for other in findings.cuts):
        yield _("there is a level between; if it is standby, mark it with --standby START:END")
    if findings.unused:
        yield _("a marked window with fewer than ten readings was not used: mark a longer one")
    if findings.idle and findings.marked == Marked():
        yield _("short pulses that are alike from start to end are taken for those of an idle machine")
    if findings.rise:
        yield _("readings of standby and running overlap")


def _refusals(findings: Findings) -> Iterator[str]:
    sentences = {
        Problem.TOO_LITTLE: _("too little was recorded: record at least ten minutes with standby and a whole run"),
        Problem.TOO_FAR_APART: _("the readings are too far apart: record one at least every 30 s"),
        Problem.MARKED_OUTSIDE: _("a marked window lies outside the trace: give seconds of the trace's own clock"),
        Problem.ONE_LEVEL: _("only one level was seen: record standby and a whole run, or mark them"),
        Problem.NEGATIVE: _("the readings are negative: turn the clamp around, or swap its two wires"),
        Problem.TOO_SHORT: _("the higher level was seen too briefly to be a run: record a whole run"),
        Problem.OVERLAP: _("the marked standby reaches as high as the marked run: mark others, or use a contact"),
        Problem.CYCLING: _(
            "all pulses are alike, in equal steps: say --activity-profile idle_cycling if the instrument was idle,"
            " or mark a run with --running START:END"
        ),
        Problem.IDLE_PULSES_ONLY: _("only pulses of an idle instrument were seen: record a whole run"),
        Problem.POWERED_ONLY: _("only off and on are told apart, as you have said: no run is ever claimed"),
    }
    if findings.problem is not None:
        yield sentences[findings.problem]
