"""The steps of commissioning: what an instrument is put through, and whether what was read of it makes sense."""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from instrument_agent.commission.findings import Profile
from instrument_agent.commission.levels import Level
from instrument_agent.commission.recorded import Recording
from instrument_agent.commission.survey import Window
from instrument_agent.commission.verdict import OFF_OF_STANDBY
from instrument_agent.core.readings import Observation
from instrument_agent.i18n import _

LEAST_READINGS = 10
MOST_FAILURES = 0.1
BACK = 0.25
"""How far standby after a run may be from that before it, as a share of what the run added."""


class Step(StrEnum):
    """What the instrument does meanwhile."""

    OFF = "off"
    STANDBY = "standby"
    RUN = "run"
    STANDBY_AGAIN = "standby_again"


class Outcome(StrEnum):
    """What is to be said of a step."""

    OK = "ok"
    SKIPPED = "skipped"
    NOT_READ = "not_read"
    UNRELIABLE = "unreliable"
    NEGATIVE = "negative"
    LIKE_OFF = "like_off"
    OFF_DRAWS = "off_draws"
    LIKE_STANDBY = "like_standby"
    NOT_BACK = "not_back"

    @property
    def good(self) -> bool:
        """Whether the walk may go on."""
        return self in (Outcome.OK, Outcome.SKIPPED)


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one step: how often it was read, how often that failed, and the 5 %, 50 % and 95 % quantiles."""

    readings: int
    failures: int
    low: float = 0.0
    middle: float = 0.0
    high: float = 0.0

    def level(self, window: Window) -> Level:
        """Return what was read in the time of the step, as a level."""
        return Level(self.low, self.middle, self.high, window[1] - window[0])


def steps_of(profile: str | None) -> Sequence[Step]:
    """Return the steps in their order; where powered hours only are wanted there is no run to be seen."""
    return [Step.OFF, Step.STANDBY] if profile == Profile.POWERED_ONLY else list(Step)


def measured(path: Path, channel: str) -> Measured:
    """Look at what was recorded in a step.

    Raises:
        ConfigError: the recording cannot be read.
    """
    values, failures = array("d"), 0
    for reading in Recording(path, channel).readings():
        value = reading.values.get(channel) if isinstance(reading, Observation) else None
        if isinstance(value, int | float):
            values.append(value)
        else:
            failures += 1
    if not values:
        return Measured(0, failures)
    ordered = sorted(values)
    low, middle, high = (ordered[round(share * (len(ordered) - 1))] for share in (0.05, 0.5, 0.95))
    return Measured(len(values), failures, low, middle, high)


def judged(step: Step, found: Mapping[Step, Measured]) -> Outcome:
    """Say what is to be thought of a step, given those before it."""
    here = found[step]
    if here.readings < LEAST_READINGS:
        return Outcome.NOT_READ
    if here.failures > MOST_FAILURES * (here.readings + here.failures):
        return Outcome.UNRELIABLE
    return Outcome.OK if step is Step.OFF else _beside_others(step, found)


def _beside_others(step: Step, found: Mapping[Step, Measured]) -> Outcome:
    here = found[step]
    off, standby, run = (found.get(item) for item in (Step.OFF, Step.STANDBY, Step.RUN))
    if here.high < 0:
        return Outcome.NEGATIVE
    if off is not None and (here.high if step is Step.RUN else here.low) <= off.high:
        return Outcome.LIKE_OFF
    if step is Step.STANDBY and off is not None and off.high > OFF_OF_STANDBY * here.middle:
        return Outcome.OFF_DRAWS  # else the standby that was taken for off would be "off" for ever
    if standby is None or step is Step.STANDBY:
        return Outcome.OK
    if step is Step.RUN:
        return Outcome.OK if here.high > 2 * standby.high - standby.low else Outcome.LIKE_STANDBY
    near = run is None or abs(here.middle - standby.middle) <= BACK * (run.high - standby.middle)
    return Outcome.OK if near else Outcome.NOT_BACK


def step_text(step: Step) -> str:
    """Return the name of a step."""
    names = {
        Step.OFF: _("off or unplugged"),
        Step.STANDBY: _("standby"),
        Step.RUN: _("a run"),
        Step.STANDBY_AGAIN: _("standby again"),
    }
    return names[step]


def instruction(step: Step) -> str:
    """Return what the person beside the instrument does before a step."""
    sentences = {
        Step.OFF: _("Switch the instrument off, or unplug it. The meter stays on."),
        Step.STANDBY: _("Switch the instrument on and wait until it is ready. Start nothing on it."),
        Step.RUN: _("Start an ordinary run. Ctrl-C ends this step early, when the run has shown its highest load."),
        Step.STANDBY_AGAIN: _("Let the run end, and wait until the instrument is ready again."),
    }
    return sentences[step]


def outcome_text(outcome: Outcome) -> str:
    """Return why a step is as it is, and what to do about it."""
    sentences = {
        Outcome.OK: _("ok"),
        Outcome.SKIPPED: _("left out"),
        Outcome.NOT_READ: _(
            "not ok: hardly anything was read. Look at the wiring with `instrument-agent probe`, or at the window if a"
            " trace was given"
        ),
        Outcome.UNRELIABLE: _("not ok: more than a tenth of the reads failed. Look at cable, address and baud rate"),
        Outcome.NEGATIVE: _("not ok: the reading is negative. Turn the clamp around, or swap its two wires"),
        Outcome.LIKE_OFF: _(
            "not ok: it reads as when it was off. Is it on? Does the clamp enclose one conductor of this instrument?"
            " If it was on when it should have been off, begin anew with --restart"
        ),
        Outcome.OFF_DRAWS: _(
            "not ok: when it was off it drew more than a fifth of this. Was it really off? Off is taken again; leave it"
            " out if something else on its circuit always draws power"
        ),
        Outcome.LIKE_STANDBY: _(
            "not ok: the run cannot be told from standby. Start a run; if it ran, use a contact or a sub-circuit,"
            " or count powered hours only: --activity-profile powered_only"
        ),
        Outcome.NOT_BACK: _(
            "not ok: it did not go back to the standby before. Wait until the run is over, and repeat; if it was still"
            " warming up at the standby before, begin anew with --restart"
        ),
    }
    return sentences[outcome]
