"""Loads of our own making, with what they truly do: (seconds, watts, running) phases, sampled with noise."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from instrument_agent.commission.verdict import Proposal
from instrument_agent.config import ActivityConfig
from instrument_agent.core.ledger import Interval
from instrument_agent.core.readings import NS_PER_S, Activity, Observation
from instrument_agent.core.sessions import RunSession
from instrument_agent.core.step import Event, begin, end, step

Phase = tuple[float, float, bool]
Samples = list[tuple[float, float]]

FURNACE_PULSES: list[Phase] = [*((phase) for _ in range(12) for phase in ((100.0, 6000.0, True), (150.0, 15.0, True)))]
LEVEL: list[Phase] = [
    (9000, 800, False),
    (5000, 2400, True),
    (4000, 800, False),
    (3000, 2000, True),
    (9000, 800, False),
]
FURNACE: list[Phase] = [(20000, 2, False), (3000, 15, False), *FURNACE_PULSES, (100, 6000, True), (9000, 15, False)]
CENTRIFUGE: list[Phase] = [
    *((9000, 1, False), (3000, 90, False), (300, 2800, True), (3000, 700, True), (3000, 90, False)),
    *((300, 2800, True), (4000, 700, True), (2000, 90, False), (9000, 1, False)),
]
SMALL_RISE: list[Phase] = [
    (9000, 2100, False),
    (5000, 2350, True),
    (4000, 2100, False),
    (5000, 2350, True),
    (9000, 2100, False),
]
COMPRESSOR: list[Phase] = [*((phase) for _ in range(15) for phase in ((1500.0, 100.0, False), (120.0, 900.0, True)))]


def sampled(phases: Sequence[Phase], sigma: float = 0.0, every_s: float = 5.0, relative: float = 0.0) -> Samples:
    """Read a load every few seconds, with noise of ``sigma`` watts and a ``relative`` share of the load."""
    source = random.Random(7)
    rows: Samples = []
    start_s = 0.0
    for seconds, watts, _running in phases:
        for number in range(round(seconds / every_s)):
            noise = source.gauss(0, 1) * (sigma + relative * watts)
            rows.append((start_s + number * every_s, max(0.0, watts + noise)))
        start_s += seconds
    return rows


def true_runs(phases: Iterable[Phase]) -> list[tuple[float, float]]:
    """Return when the load truly ran."""
    runs: list[tuple[float, float]] = []
    start_s = 0.0
    for seconds, _watts, running in phases:
        if running and runs and runs[-1][1] == start_s:
            runs[-1] = (runs[-1][0], start_s + seconds)
        elif running:
            runs.append((start_s, start_s + seconds))
        start_s += seconds
    return runs


def decided(samples: Samples, proposal: Proposal, *, single: bool | None = None) -> list[Event]:
    """Judge the samples by the product's rules with what was learned."""
    rules = proposal.rules(ActivityConfig())
    if single is not None:
        rules = replace(rules, single_readings=single)
    state = begin("boot", round(samples[0][0] * NS_PER_S))
    events: list[Event] = []
    for at_s, value in samples:
        state, some = step(rules, state, Observation(round(at_s * NS_PER_S), {"power_w": value}))
        events += some
    return [*events, *end(rules, state)[1]]


def runs_of(events: Iterable[Event]) -> list[tuple[float, float]]:
    """Return the run sessions in seconds."""
    return [(run.start_ns / NS_PER_S, run.end_ns / NS_PER_S) for run in events if isinstance(run, RunSession)]


def check_books(events: Iterable[Event], bridge_s: float = 300.0) -> None:
    """Sessions never overlap, nor do they span a silence that is too long; the chain has no hole."""
    events = list(events)
    for before, after in pairwise(runs_of(events)):
        assert before[1] <= after[0]
    chain = [event for event in events if isinstance(event, Interval)]
    assert all(before.end_ns == after.start_ns for before, after in pairwise(chain))
    silent = [event for event in chain if event.activity is Activity.UNKNOWN]
    for gap in silent:
        if gap.end_ns - gap.start_ns > bridge_s * NS_PER_S:
            assert not any(
                start * NS_PER_S < gap.end_ns and stop * NS_PER_S > gap.start_ns for start, stop in runs_of(events)
            )


def near(found: Sequence[tuple[float, float]], wanted: Sequence[tuple[float, float]], by_s: float) -> bool:
    """Say whether all boundaries agree within ``by_s``."""
    return len(found) == len(wanted) and all(
        abs(a - b) <= by_s for one, other in zip(found, wanted, strict=True) for a, b in zip(one, other, strict=True)
    )
