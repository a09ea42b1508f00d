"""Whether two that watch the same instrument contradict each other for long: a clamp and a running lamp, say.

Nobody knows which of the two is wrong, so it is told and no time is taken away. Off and running contradict each other.
Standby agrees with both, unless it comes from states that say "running" too, as of a lamp: that one was asked whether
the instrument runs, and said no. Unknown says nothing.

Time counts only while both are seen: each has to have said its side without a break for half an hour, and for as long
as the longest minimum time of the two on top of that, since until then one may still be revoked. For the same reason it
is over only once they have agreed for that longest minimum time: after a start nothing runs yet.
"""

from dataclasses import dataclass
from typing import Any

from instrument_agent.core.activity import Rules
from instrument_agent.core.readings import NS_PER_MS, NS_PER_S, Activity
from instrument_agent.core.step import Live

KIND = "witness_disagrees"
PATIENCE_NS = 1800 * NS_PER_S


@dataclass(frozen=True, slots=True)
class Pair:
    """The id of an instrument and that of its witness."""

    instrument: str
    witness: str


@dataclass(frozen=True, slots=True)
class Statement:
    """What is known of one of the two, and the rules that say so."""

    rules: Rules
    now: Live


def contradicting_since(known_ns: int | None, one: Statement, other: Statement, now_ns: int) -> int | None:
    """Return since when the two contradict each other, on the boot clock; None if they do not, or not for long yet.

    ``known_ns`` is what was returned before. What is known goes on while one of them is unknown.
    """
    if Activity.UNKNOWN in (one.now.activity, other.now.activity):
        return known_ns
    since_ns, longest_ns = max(one.now.since_ns, other.now.since_ns), _longest_ns(one.rules, other.rules)
    if _denied(one, other) or _denied(other, one):
        proven = now_ns - since_ns >= PATIENCE_NS + longest_ns
        return since_ns if known_ns is None and proven else known_ns
    return None if now_ns - since_ns >= longest_ns else known_ns


def witness_fault(pair: Pair, since_ns: int, said: tuple[Activity, Activity] | None) -> dict[str, Any]:
    """Return the data of a contradiction that begins, by what the two ``said``, or that ends, without."""
    data: dict[str, Any] = {
        "kind": KIND,
        "phase": "end" if said is None else "begin",
        "since_ms": since_ns // NS_PER_MS,
        "instrument": pair.instrument,
        "witness": pair.witness,
    }
    if said is not None:
        data |= {"instrument_says": said[0].value, "witness_says": said[1].value}
    return data


def _denied(runner: Statement, other: Statement) -> bool:
    """Return whether one says "running" and the other that it cannot be."""
    if runner.now.activity is not Activity.RUNNING or other.now.activity is Activity.RUNNING:
        return False
    states = other.rules.states
    tells_runs = states is not None and Activity.RUNNING in states.values()
    return other.now.activity is Activity.OFF or tells_runs


def _longest_ns(*both: Rules) -> int:
    """Return the longest time that may pass before one of them believes what it sees."""
    return max(limit_ns for rules in both for limit_ns in (rules.min_on_ns, rules.min_off_ns, rules.off_settle_ns))
