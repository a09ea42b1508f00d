"""The steps of ``instrument-agent commission`` at a terminal, or as a file of answers says."""

import signal
from typing import TYPE_CHECKING

import click

from instrument_agent.cli.asked import your_name
from instrument_agent.cli.at_terminal import until_interrupted
from instrument_agent.cli.live_trace import record_live
from instrument_agent.clock import SystemClock
from instrument_agent.commission.answers import Answers, StepAnswer
from instrument_agent.commission.steps import LEAST_READINGS, Outcome, Step, instruction, outcome_text, step_text
from instrument_agent.commission.walk import Walk, cut_out
from instrument_agent.i18n import _

if TYPE_CHECKING:
    from instrument_agent.config import Config, InstrumentConfig

USUAL_S = {Step.OFF: 60.0, Step.STANDBY: 180.0, Step.RUN: 600.0, Step.STANDBY_AGAIN: 180.0}
"""Together more than the ten minutes that learning wants."""
BEGIN, LEAVE_OUT, STOP = "", "s", "q"


def usual_s(step: Step, poll_s: float) -> float:
    """Return how long a step lasts if nobody says: at least until an instrument that is read seldom was read enough."""
    return max(USUAL_S[step], 2 * LEAST_READINGS * poll_s)


def take_steps(
    config: "Config", instrument: "InstrumentConfig", walk: Walk, answers: Answers | None, profile: str | None
) -> bool:
    """Take the steps that are left; say whether all of them are done."""
    if walk.known.steps:
        done = ", ".join(step_text(Step(name)) for name in walk.known.steps)
        sentence = _("Going on with the walk of {who}, last at {when}. Done: {done}. --restart takes all steps anew")
        click.echo(sentence.format(who=walk.known.who, when=walk.last_at(config.box.timezone), done=done))
    if not walk.known.who:
        walk.known.who = your_name() if answers is None else answers.who.strip()
    told = answers.profile if answers is not None else None
    walk.known.profile = profile or told or walk.known.profile
    walk.save()
    shown = None
    while walk.left:
        step = walk.left[0]
        if step is not shown:
            click.echo()
            click.echo(_("{name}: {said}").format(name=step_text(step), said=instruction(step)))
        shown = step
        if not _taken(config, instrument, walk, step, answers) and answers is not None:
            name = step_text(walk.left[0])
            click.echo(_("the walk stops here; the same command goes on with the step: {name}").format(name=name))
            return False
    return True


def _taken(config: "Config", instrument: "InstrumentConfig", walk: Walk, step: Step, answers: Answers | None) -> bool:
    """Take one step once; say whether it is over."""
    answer = _asked(step) if answers is None else answers.of(step)
    if answer.skip:
        outcome = Outcome.SKIPPED
    else:
        _record(config, instrument, walk, step, answer, answers)
        outcome = walk.outcome(step)
    click.echo(_("{name}: {said}").format(name=step_text(step), said=outcome_text(outcome)))
    if not answer.skip:
        click.echo(f"  {_levels(walk, step)}")
    if outcome.good:
        walk.done(step, outcome)
    if outcome is Outcome.OFF_DRAWS:
        walk.again(Step.OFF)
    return outcome.good


def _record(
    config: "Config",
    instrument: "InstrumentConfig",
    walk: Walk,
    step: Step,
    answer: StepAnswer,
    answers: Answers | None,
) -> None:
    if answers is not None and answers.trace is not None and answer.window is not None:
        start_s, end_s = answer.window
        cut_out(answers.trace, (start_s, end_s), instrument.activity.channel, walk.path(step))
        return
    with until_interrupted() as stopping:
        for_s = answer.seconds or usual_s(step, instrument.poll_s)
        record_live(config, instrument, for_s, walk.path(step), SystemClock(), stopping)
        if stopping.is_set() and (answers is not None or step is not Step.RUN or stopping.by != signal.SIGINT):
            raise click.Abort  # only a person who has seen the highest load of a run may cut a step short


def _asked(step: Step) -> StepAnswer:
    """Ask the person at the terminal."""
    skippable = step in (Step.OFF, Step.STANDBY_AGAIN)
    question = _("Enter begins, s leaves it out, q stops") if skippable else _("Enter begins, q stops")
    while True:
        said = str(click.prompt(question, default=BEGIN, show_default=False)).strip().lower()
        if said == STOP:
            raise click.Abort
        if said == BEGIN:
            return StepAnswer()
        if said == LEAVE_OUT and skippable:
            return StepAnswer(skip=True)


def _levels(walk: Walk, step: Step) -> str:
    from instrument_agent.commission.steps import measured

    found = measured(walk.path(step), walk.known.channel)
    sentence = _("{count} readings, {failures} failed; lowest {low:.4g}, usual {middle:.4g}, highest {high:.4g}")
    return sentence.format(
        count=found.readings, failures=found.failures, low=found.low, middle=found.middle, high=found.high
    )
