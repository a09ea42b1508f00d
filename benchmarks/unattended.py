"""What an agent that nobody gave thresholds would take up, and how wrong it would be.

    python benchmarks/unattended.py

Each of the bench's instruments is observed for 8 to 48 hours from eight times of day on; what is learned then is
played through four days. Printed are the windows whose proposal has no doubt (those the agent takes up) and those with
one (which it leaves to a person), with the most hours that were claimed falsely and missed.
"""

from collections.abc import Sequence
from time import process_time

from instrument_agent.commission.learning import learn
from instrument_agent.commission.sketch import Sketch
from instrument_agent.commission.unattended import EVERY_S
from instrument_agent.commission.verdict import Certainty, Proposal
from instrument_agent.config import ActivityConfig
from instrument_agent.core.readings import NS_PER_S, Observation
from instrument_agent.core.sessions import RunSession
from instrument_agent.core.step import Event, begin, end, step
from instrument_agent.sandbox.loads import Load, bench_loads

DAY_S, DAYS = 86_400.0, 4
STARTS_H = range(0, 24, 3)
LENGTHS_H = (8, 10, 12, 16, 20, 24, 36, 48)

Spans = Sequence[tuple[float, float]]


def sketched(load: Load, start_h: int, hours: int) -> Sketch:
    """Return what is remembered of a stretch."""
    sketch = Sketch(start_h * 3600.0, EVERY_S)
    for number in range(round(hours * 3600 / EVERY_S)):
        at_s = start_h * 3600 + number * EVERY_S
        sketch.put(at_s, load.power_w(at_s))
    return sketch


def played(load: Load, proposal: Proposal) -> list[tuple[float, float]]:
    """Return the runs the core finds in four days."""
    rules, state = proposal.rules(ActivityConfig()), begin("bench", 0)
    events: list[Event] = []
    for number in range(round(DAYS * DAY_S / EVERY_S)):
        watts = load.power_w(number * EVERY_S)
        state, some = step(rules, state, Observation(round(number * EVERY_S * NS_PER_S), {"power_w": watts}))
        events += some
    events += end(rules, state)[1]
    return [(item.start_ns / NS_PER_S, item.end_ns / NS_PER_S) for item in events if isinstance(item, RunSession)]


def total_s(spans: Spans) -> float:
    """Return the seconds of all."""
    return sum(end_s - start_s for start_s, end_s in spans)


def both_s(some: Spans, others: Spans) -> float:
    """Return the seconds in both."""
    return sum(max(0.0, min(a[1], b[1]) - max(a[0], b[0])) for a in some for b in others)


def proposals(load: Load) -> list[Proposal]:
    """Return what is learned from each window."""
    return [learn(sketched(load, start_h, hours)) for start_h in STARTS_H for hours in LENGTHS_H]


def wrong_h(load: Load, given: Sequence[Proposal], true: Spans) -> tuple[float, float]:
    """Return the most hours any of the proposals claims falsely, and misses."""
    found = {(item.run_above, item.run_below, item.off_below, item.min_on_s, item.min_off_s): item for item in given}
    false_s, missed_s = [0.0], [0.0]
    for proposal in found.values():
        runs = played(load, proposal)
        hit_s = both_s(runs, true)
        false_s.append(total_s(runs) - hit_s)
        missed_s.append(total_s(true) - hit_s)
    return max(false_s) / 3600, max(missed_s) / 3600


def main() -> None:
    """Print a line for each instrument and certainty."""
    sketch = sketched(bench_loads(DAY_S)[0], 0, 48)
    began_s = process_time()
    learn(sketch)
    print(f"learning from 48 h: {process_time() - began_s:.3f} s of processor time")
    for load in bench_loads(DAY_S):
        whole_s = DAYS * DAY_S
        true = [(start_s, whole_s if end_s is None else end_s) for start_s, end_s in load.true_sessions(whole_s)]
        learned = proposals(load)
        for certainty in (Certainty.SURE, Certainty.FAIR):
            given = [item for item in learned if item.certainty is certainty and item.standby is not None]
            false_h, missed_h = wrong_h(load, given, true)
            print(
                f"{load.instrument_id:8} {certainty.value:5} {len(given):3} of {len(learned)} windows; of"
                f" {total_s(true) / 3600:.1f} h running at most {false_h:.2f} h false, {missed_h:.2f} h missed"
            )


if __name__ == "__main__":
    main()
