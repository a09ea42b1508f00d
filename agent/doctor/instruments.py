"""Is each instrument read, and can what is read be so?"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

from instrument_agent.config import InstrumentConfig
from instrument_agent.core.readings import NS_PER_MS, NS_PER_S
from instrument_agent.doctor.verdict import Grade, Verdict
from instrument_agent.drivers.rms import ClampState
from instrument_agent.i18n import _

MANY_FAILURES = 0.05
"""More failed reads than this share point to a line that is not sound."""
FEW_READS = 20
LONG_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class InstrumentFacts:
    """How reading one goes: ``driver`` is what the agent says of it, None while no agent runs."""

    name: str
    driver: Mapping[str, Any] | None
    reading: Mapping[str, Any]
    read_at_ms: int | None
    boottime_ms: int
    gap_s: float


@dataclass(frozen=True, slots=True)
class ClampFacts:
    """A clamp, amperes all: what it can tell at most (a sine), the thresholds, and what it tells now.

    ``seen_ms`` is how long it was seen in this boot, ``off_ms`` how much of that was off.
    """

    name: str
    most_a: float
    off_below_a: float | None
    run_above_a: float | None
    noise_floor_a: float
    state: str
    seen_ms: int
    off_ms: int


def judge_instrument(facts: InstrumentFacts) -> Verdict:
    """Judge how an instrument is read."""
    driver, about = facts.driver, facts.name
    if driver is None:
        return Verdict("instrument", Grade.NOT_APPLICABLE, _("no agent is running, so nothing reads it"), "", about)
    if driver["failing"]:
        said = _("not read: {error}").format(error=driver["error"] or driver["failing"])
        advice = driver["hint"] or _("look at its cable, its power and its address: instrument-agent probe")
        return Verdict("instrument", Grade.FAIL, said, advice, about)
    if facts.read_at_ms is None:
        return Verdict("instrument", Grade.WARN, _("not read yet"), _("ask again in a minute"), about)
    age_s = (facts.boottime_ms - facts.read_at_ms) * NS_PER_MS / NS_PER_S
    said = _("last read {age} s ago").format(age=f"{age_s:.0f}")
    if age_s > facts.gap_s:
        return Verdict(
            "instrument", Grade.FAIL, said, _("restart the agent, and report it with a support bundle"), about
        )
    return _judge_values(facts, driver, said)


def _judge_values(facts: InstrumentFacts, driver: Mapping[str, Any], said: str) -> Verdict:
    """Judge what comes of reading an instrument that is read."""
    if driver["error"]:
        return Verdict("instrument", Grade.FAIL, driver["error"], driver["hint"], facts.name)
    nonsense = sorted(name for name, value in facts.reading.items() if value is None)
    if nonsense:
        doubt = _("it answers, but not credibly: {names}").format(names=", ".join(nonsense))
        return Verdict("instrument", Grade.WARN, doubt, _("check profile and wiring: docs/meters.md"), facts.name)
    share = driver["failures"] / max(1, driver["reads"] + driver["failures"])
    if share > MANY_FAILURES and driver["failures"] > FEW_READS:
        doubt = _("{share} of its reads fail").format(share=f"{100 * share:.0f} %")
        return Verdict("instrument", Grade.WARN, doubt, _("check the cable, its length and termination"), facts.name)
    return Verdict("instrument", Grade.OK, said, "", facts.name)


def judge_clamp(facts: ClampFacts) -> Verdict:
    """Judge whether a clamp can tell what its thresholds ask for, and whether what it tells can be."""
    about = facts.name
    if facts.run_above_a is not None and facts.run_above_a > facts.most_a:
        said = _("a run begins at {run} A, but it can tell {most} A at most").format(
            run=f"{facts.run_above_a:g}", most=f"{facts.most_a:.3g}"
        )
        return Verdict("clamp", Grade.FAIL, said, _("correct ct_ratio, burden_ohm or the threshold"), about)
    trouble = _trouble(facts.state)
    if trouble:
        return Verdict("clamp", Grade.FAIL, *trouble, about)
    if facts.off_below_a is not None and facts.noise_floor_a > facts.off_below_a:
        said = _("its noise, {noise} A, is more than off_below").format(noise=f"{facts.noise_floor_a:g}")
        advice = _("more turns through the clamp, or a clamp for smaller currents")
        return Verdict("clamp", Grade.WARN, said, advice, about)
    if facts.seen_ms >= LONG_MS and facts.off_ms == facts.seen_ms:
        said = _("no current for {hours} h").format(hours=facts.seen_ms // 3_600_000)
        advice = _("if the instrument was used: is the clamp closed, around one conductor only, and plugged in?")
        return Verdict("clamp", Grade.WARN, said, advice, about)
    return Verdict("clamp", Grade.OK, _("it can tell up to {most} A").format(most=f"{facts.most_a:.3g}"), "", about)


def _trouble(state: str) -> tuple[str, str] | None:
    """Return what is wrong in a state of the clamp driver, and what to do."""
    found = {
        ClampState.CLIPPED: (_("the current is stronger than it can tell"), _("use a smaller burden resistor")),
        ClampState.RAIL: (_("its input is stuck at an end of the scale"), _("check the wiring: docs/wiring.md")),
        ClampState.OPEN_BIAS: (_("its input does not idle at half the scale"), _("check the wiring: docs/wiring.md")),
        ClampState.UNDERSAMPLED: (_("the box is too busy to sample it"), _("see what else runs on the box: top")),
    }
    return found.get(ClampState(state)) if state in list(ClampState) else None


def instrument_facts(config: InstrumentConfig, now: Mapping[str, Any], boottime_ms: int) -> InstrumentFacts:
    """Return the facts of one instrument from what ``status`` says of it."""
    return InstrumentFacts(
        config.id, now["driver"], now["reading"], now["read_at_ms"], boottime_ms, config.activity.gap_s
    )


def clamp_facts(config: InstrumentConfig, now: Mapping[str, Any]) -> ClampFacts | None:
    """Return the facts of a clamp; None for anything else."""
    if config.driver.name != "current_clamp":
        return None
    channels = {item.name: item for item in config.driver.build().channels}
    by_current = config.activity.channel == "current_a"
    spent = now["spent_ms"]
    return ClampFacts(
        name=config.id,
        # The channel's end is a square wave between the ends of the scale; mains current is more like a sine.
        most_a=channels["current_a"].high / sqrt(2),
        off_below_a=config.activity.off_below if by_current else None,
        run_above_a=config.activity.run_above if by_current else None,
        noise_floor_a=config.driver.options["noise_floor_a"],
        state=str(now["reading"].get("clamp_state", "")),
        seen_ms=sum(spent.values()) - spent["unknown"],
        off_ms=spent["off"],
    )
