"""Whether each unknown second has a reason that is true."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from cards import KILLED, LOST_POWER, STOPPED, Card, Life
from happenings import Fault
from machine import BRIDGE_S, CHECKPOINT_S, GAP_S, MIN_OFF_S, MIN_ON_S, POLL_S
from truth import NS, Boot

from instrument_agent.core.ledger import Interval
from instrument_agent.core.readings import Activity, UnknownReason
from instrument_agent.resuming import BOOTED_NS

HELD_S = GAP_S + 2 * POLL_S
UNSEEN_AT_END_S = CHECKPOINT_S + BRIDGE_S + MIN_OFF_S + GAP_S + 3 * POLL_S
"""What a kill may cost: what came after the last checkpoint, and what was not yet certain then."""
UNWRITTEN_NS = round(3 * POLL_S) * NS
"""What a card refused is written at one of the next polls."""
BESIDE_S = HELD_S + MIN_ON_S + POLL_S
"""So long before or after a fault of a driver nothing may be certain."""

OF_ENDS = {STOPPED: "agent_stopped", KILLED: "agent_crashed", LOST_POWER: "power_loss"}
OF_FAULTS = {
    "unavailable": {"driver_unavailable"},
    "error": {"driver_error"},
    "hung": {"driver_hung", "driver_unavailable", "not_polled"},
    "nonsense": {"implausible_reading"},
    "implausible": {"implausible_reading"},
    "absent": {"not_polled"},
    "card": {"storage_fault"},
    "suspended": {"not_polled"},
}
Span = tuple[float, float]


def reason_problems(name: str, chain: Sequence[Interval], boot: Boot, card: Card, faults: Sequence[Fault]) -> list[str]:
    """Return the unknown time of an instrument in one boot whose reason is not what truly happened."""
    problems = []
    for item in (item for item in chain if item.activity is Activity.UNKNOWN and item.reason is not None):
        span = boot.true_s(item.start_ns), boot.true_s(item.end_ns)
        late = item.reason is UnknownReason.AGENT_STOPPED and item.start_ns >= BOOTED_NS - NS
        true = [*_of_lives(card.lives, item.reason, faults, late=late), *_of_faults(name, faults, item.reason)]
        true += _left_out(name, card.lives) if item.reason is UnknownReason.NOT_WATCHED else []
        if not _covered(span, true):
            said = f"{item.reason.value} from {span[0]:.0f} to {span[1]:.0f} s is not what happened"
            problems.append(said)
    return problems


def _of_lives(lives: Sequence[Life], reason: UnknownReason, faults: Sequence[Fault], *, late: bool) -> Iterable[Span]:
    """Return when that nobody was there may be the reason; what was not written before that is as good as that."""
    for life, following in pairwise(life for life in lives if life.end):
        if OF_ENDS.get(life.end) == reason.value or (late and life.end == LOST_POWER):
            refused = (
                fault for fault in faults if not fault.instrument_id and fault.end_ns > life.end_ns - UNWRITTEN_NS
            )
            from_ns = min([life.end_ns, *(fault.start_ns for fault in refused)])
            yield from_ns / NS - UNSEEN_AT_END_S, following.start_ns / NS + HELD_S


def _left_out(name: str, lives: Sequence[Life]) -> Iterable[Span]:
    lived = [life for life in lives if life.end]
    ends_ns = [0, *(life.end_ns for life in lived)]
    starts_ns = [*(life.start_ns for life in lived[1:]), *ends_ns[-1:]]
    for before_ns, life, following_ns in zip(ends_ns, lived, starts_ns, strict=False):
        if life.left_out == name:
            yield before_ns / NS - UNSEEN_AT_END_S, following_ns / NS + HELD_S


def _of_faults(name: str, faults: Sequence[Fault], reason: UnknownReason) -> Iterable[Span]:
    for fault in faults:
        if fault.instrument_id in ("", name) and reason.value in OF_FAULTS[fault.kind]:
            beside_s = UNSEEN_AT_END_S if fault.kind == "card" else BESIDE_S
            yield _start_ns(fault, faults) / NS - beside_s, _end_ns(fault, faults) / NS + beside_s


def _start_ns(fault: Fault, faults: Sequence[Fault]) -> int:
    """Return from when a fault is the reason: what fails first after a sleep explains all that was not seen."""
    slept = (item for item in faults if item.kind == "suspended" and item.start_ns < fault.start_ns)
    return min([fault.start_ns, *(item.start_ns for item in slept if item.end_ns > fault.start_ns - BESIDE_S * NS)])


def _end_ns(fault: Fault, faults: Sequence[Fault]) -> int:
    """Return until when a fault is the reason.

    Here a driver that hangs comes back only after all that began to hang meanwhile, a machine that falls asleep with a
    fault knows of no other reason when it wakes, and an answer without the value is none.
    """
    end_ns = fault.end_ns
    for other in sorted(faults, key=lambda item: item.start_ns):
        its_own = other.instrument_id in ("", fault.instrument_id)
        longer = (its_own and other.kind in ("suspended", "absent")) or fault.kind == other.kind == "hung"
        if longer and fault.start_ns <= other.start_ns < end_ns + BESIDE_S * NS:
            end_ns = max(end_ns, other.end_ns)
    return end_ns


def _covered(span: Span, others: Iterable[Span]) -> bool:
    to_s = span[0]
    for start_s, end_s in sorted(others):
        if start_s <= to_s:
            to_s = max(to_s, end_s)
    return to_s >= span[1]
