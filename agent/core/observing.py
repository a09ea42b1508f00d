"""The whole way of a reading: may it be believed, what follows from it, and what standby draws by now.

Pure, like ``step``, which it uses; all it remembers lies in the state.
"""

from dataclasses import replace

from instrument_agent.core.activity import Rules
from instrument_agent.core.drift import followed, in_force
from instrument_agent.core.drift import next_boot as drift_of_next_boot
from instrument_agent.core.readings import Observation, Reading
from instrument_agent.core.sanity import next_boot as senses_of_next_boot
from instrument_agent.core.sanity import vetted
from instrument_agent.core.sessions import Earlier
from instrument_agent.core.step import Event, State, begin, end, silent_intervals, step


def observe(rules: Rules, state: State, reading: Reading) -> tuple[State, tuple[Event, ...]]:
    """Take one reading, unless its sensor is in doubt: then it is taken as a failed one.

    Raises:
        ValueError: the reading is older than the one before it.
    """
    if not rules.calibrated:  # without thresholds nothing tells what a sensor should show
        return step(rules, state, reading)
    senses, reading, findings = vetted(rules, state.senses, reading)
    if senses is not state.senses:
        state = replace(state, senses=senses)
    if rules.standby_level is None:
        state, events = step(rules, state, reading)
        return state, findings + events if findings else events
    now = in_force(rules, state.drift)
    state, events = step(now, state, reading)
    drift, moved = followed(rules, state.drift, reading.at_ns, _standby(now, state, reading))
    if drift is not state.drift:
        state = replace(state, drift=drift)
    return state, (*findings, *events, *(() if moved is None else (moved,)))


def ended(rules: Rules, state: State, end_uncertainty_ns: int = 0) -> tuple[State, tuple[Event, ...]]:
    """Close the books of a boot, like ``end``, by the rules as they stood."""
    return end(in_force(rules, state.drift), state, end_uncertainty_ns)


def cut(rules: Rules, state: State, at_ns: int) -> tuple[State, tuple[Event, ...]]:
    """Close the books at ``at_ns`` and begin new ones there: no session and no interval lies on both sides.

    What was learned of the sensor goes on.

    Raises:
        ValueError: the books reach beyond that already.
    """
    if at_ns < state.latest_ns:
        raise ValueError(f"the books reach to {state.latest_ns} ns, beyond {at_ns} ns")
    closed, events = ended(rules, state)
    settled_ns = closed.line.settled_ns
    unseen = (replace(item, start_ns=max(item.start_ns, settled_ns)) for item in silent_intervals(state, at_ns))
    rest = tuple(item for item in unseen if item.start_ns < item.end_ns)
    return replace(begin(state.boot_id, at_ns), senses=state.senses, drift=state.drift), (*events, *rest)


def next_boot(state: State, boot_id: str, before: Earlier | None) -> State:
    """Return the state in which the boot after that of ``state`` begins; ``before`` is the run that was open."""
    return replace(
        begin(boot_id, 0, before),
        senses=senses_of_next_boot(state.senses),
        drift=drift_of_next_boot(state.drift, state.latest_ns),
    )


def _standby(rules: Rules, state: State, reading: Reading) -> float | None:
    """Return what was read, if it was standby: a run is not over before its minimum pause is."""
    power, run = state.power, state.run
    if not isinstance(reading, Observation) or power is None or run is None or not power.on or run.on:
        return None
    value = reading.values.get(rules.channel)
    return value if isinstance(value, int | float) and rules.off_below <= value < rules.run_below else None
