"""Load shapes of our own making whose true activity is known to the second.

A load is a timeline of phases; a phase has a true activity and a power. The shapes show what the rules have to cope
with: a chiller that draws more than the tube it cools, a run that adds an eighth to a noisy base, a furnace that
pauses inside its run. Time is an argument in seconds from the start of the load, so everything repeats exactly.
"""

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from instrument_agent.core.readings import Activity

SHORTEST_SPAN_S = 20.0
"""Below this, polling once a second could not see every phase."""

_MARGIN_POLLS = 3
_MARGIN_FACTOR = 1.3

Power = Callable[[float], float]
"""Active power in W as a function of the seconds since the phase began."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of ``seconds`` in which the instrument truly does one thing."""

    seconds: float
    activity: Activity
    power: Power


@dataclass(frozen=True)
class Load:
    """One instrument: its names, what it does, and the settings with which an agent decides it rightly.

    ``off_below``, ``run_above`` and ``run_below`` are watts. A run lasts at least ``min_on_s``; a pause shorter than
    ``min_off_s`` belongs to it. Before the first phase the load is as at its start, after the last one as at its end.
    """

    instrument_id: str
    name_en: str
    name_zh: str
    model: str
    timeline: tuple[Phase, ...]
    off_below: float
    run_above: float
    run_below: float
    min_on_s: float = 0.0
    min_off_s: float = 0.0

    def power_w(self, t_s: float) -> float:
        """Return the true active power in W at ``t_s`` seconds."""
        index, since_s = self._phase_at(t_s)
        return self.timeline[index].power(since_s)

    def activity(self, t_s: float) -> Activity:
        """Return what the instrument truly does at ``t_s`` seconds."""
        return self.timeline[self._phase_at(t_s)[0]].activity

    def true_intervals(self, t_end_s: float) -> list[tuple[float, float, Activity]]:
        """Return ``(start_s, end_s, activity)`` from 0 to ``t_end_s``: half-open, gapless, neighbours differ."""
        intervals: list[tuple[float, float, Activity]] = []
        ends = [*self._starts[1:], math.inf]
        for start_s, end_s, phase in zip(self._starts, ends, self.timeline, strict=True):
            if start_s >= t_end_s:
                break
            joined = bool(intervals) and intervals[-1][2] is phase.activity
            intervals.append((intervals.pop()[0] if joined else start_s, min(end_s, t_end_s), phase.activity))
        return intervals

    def true_sessions(self, t_end_s: float) -> list[tuple[float, float | None]]:
        """Return the runs that began before ``t_end_s``, half-open; one still open then has no end (``None``)."""
        open_then = self.activity(t_end_s) is Activity.RUNNING
        return [
            (start_s, None if open_then and end_s == t_end_s else end_s)
            for start_s, end_s, activity in self.true_intervals(t_end_s)
            if activity is Activity.RUNNING
        ]

    @cached_property
    def _starts(self) -> tuple[float, ...]:
        return tuple(accumulate((phase.seconds for phase in self.timeline[:-1]), initial=0.0))

    def _phase_at(self, t_s: float) -> tuple[int, float]:
        index = max(0, bisect_right(self._starts, t_s) - 1)
        return index, max(0.0, t_s - self._starts[index])


def bench_loads(span_s: float) -> list[Load]:
    """Return the five instruments of the bench, each with all it does fitted into ``span_s`` seconds.

    Each has a standby and at least one whole run, and does not run at the end. No phase is shorter than 4 s or a
    twentieth of the span. Polling every ``max(1, span_s / 600)`` seconds sees them all.

    Raises:
        ValueError: the span is shorter than 20 s.
    """
    if span_s < SHORTEST_SPAN_S:
        raise ValueError(f"a span of {span_s} s is shorter than {SHORTEST_SPAN_S} s")
    poll_s = max(1.0, span_s / 600)
    return [
        _diffractometer(span_s, poll_s),
        _mass_spectrometer(span_s),
        _furnace(span_s, poll_s),
        _centrifuge(span_s),
        _sequencer(span_s),
    ]


def _diffractometer(span_s: float, poll_s: float) -> Load:
    """Standby 0.8 kW, tube +1.6 kW; the chiller's +2.2 kW pulses alone are not a run, however high they reach."""
    cycles, cycle_s = _cycles(span_s, 2)
    pulse_s = 0.05 * cycle_s

    def with_chiller(level_w: float, from_s: float) -> Power:
        def power(since_s: float) -> float:
            chiller_w = 2200.0 if from_s <= since_s < from_s + pulse_s else 0.0
            return level_w + chiller_w + 15 * _wobble(since_s, 1.0)

        return power

    # Each pulse stands clear of the edges of the run: one that touched an edge would move it, for anybody.
    cycle = (
        Phase(0.3 * cycle_s, Activity.STANDBY, with_chiller(800.0, 0.1 * cycle_s)),
        Phase(0.4 * cycle_s, Activity.RUNNING, with_chiller(2400.0, 0.2 * cycle_s)),
        Phase(0.3 * cycle_s, Activity.STANDBY, with_chiller(800.0, 0.15 * cycle_s)),
    )
    return Load(
        "XRD-01", "X-ray diffractometer", "X射线衍射仪", "SIM-XRD", cycle * cycles,
        off_below=100.0, run_above=1800.0, run_below=1400.0, min_on_s=_clear_of(pulse_s, poll_s),
    )  # fmt: skip


def _mass_spectrometer(span_s: float) -> Load:
    """Pumps always on, standby 2.1 kW; a run adds 12 % to a base that wobbles by 2 %."""
    cycles, cycle_s = _cycles(span_s, 3)

    def noisy(level_w: float) -> Power:
        return lambda since_s: level_w + 45 * _wobble(since_s, 2.0)

    cycle = (
        Phase(0.40 * cycle_s, Activity.STANDBY, noisy(2100.0)),
        Phase(0.35 * cycle_s, Activity.RUNNING, noisy(2352.0)),
        Phase(0.25 * cycle_s, Activity.STANDBY, noisy(2100.0)),
    )
    return Load(
        "LCMS-01", "Liquid chromatograph-mass spectrometer", "液相色谱-质谱联用仪", "SIM-LCMS", cycle * cycles,
        off_below=200.0, run_above=2260.0, run_below=2190.0,
    )  # fmt: skip


def _furnace(span_s: float, poll_s: float) -> Load:
    """Off 2 W; a run is a row of 6 kW pulses, and the 15 W pauses between them belong to it."""
    run_s = 0.4 * span_s
    pulses = int((run_s / max(2 * poll_s, run_s / 15) + 1) / 2.5)
    pause_s = run_s / (2.5 * pulses - 1)  # a pulse is 1.5 pauses long; the run begins and ends with one

    def duty_cycle(since_s: float) -> float:
        return 6000.0 + 60 * _wobble(since_s, 3.0) if since_s % (2.5 * pause_s) < 1.5 * pause_s else 15.0

    timeline = (
        Phase(0.2 * span_s, Activity.OFF, _steady(2.0)),
        Phase(run_s, Activity.RUNNING, duty_cycle),
        Phase(0.4 * span_s, Activity.STANDBY, _steady(15.0)),
    )
    return Load(
        "FURN-01", "Muffle furnace", "马弗炉", "SIM-FURNACE", timeline,
        off_below=8.0, run_above=1000.0, run_below=500.0, min_off_s=_clear_of(pause_s, poll_s),
    )  # fmt: skip


def _centrifuge(span_s: float) -> Load:
    """Off 1 W, standby 90 W; a run draws 2.8 kW while the rotor speeds up, then 0.7 kW."""
    cycles, cycle_s = _cycles(span_s, 2)

    def spin(since_s: float) -> float:
        return (2800.0 if since_s < 0.1 * cycle_s else 700.0) + 20 * _wobble(since_s, 4.0)

    cycle = (
        Phase(0.2 * cycle_s, Activity.OFF, _steady(1.0)),
        Phase(0.2 * cycle_s, Activity.STANDBY, _steady(90.0)),
        Phase(0.4 * cycle_s, Activity.RUNNING, spin),
        Phase(0.2 * cycle_s, Activity.STANDBY, _steady(90.0)),
    )
    return Load(
        "UCF-01", "Ultracentrifuge", "超速离心机", "SIM-UCF", cycle * cycles,
        off_below=20.0, run_above=400.0, run_below=300.0,
    )  # fmt: skip


def _sequencer(span_s: float) -> Load:
    """Standby 150 W; the steps of one run draw 400, 900 and 600 W."""
    cycles, cycle_s = _cycles(span_s, 2)

    def steps(since_s: float) -> float:
        level_w = 400.0 if since_s < 0.15 * cycle_s else 900.0 if since_s < 0.35 * cycle_s else 600.0
        return level_w + 10 * _wobble(since_s, 5.0)

    cycle = (
        Phase(0.25 * cycle_s, Activity.STANDBY, _steady(150.0)),
        Phase(0.50 * cycle_s, Activity.RUNNING, steps),
        Phase(0.25 * cycle_s, Activity.STANDBY, _steady(150.0)),
    )
    return Load(
        "SEQ-01", "DNA sequencer", "基因测序仪", "SIM-SEQ", cycle * cycles,
        off_below=30.0, run_above=300.0, run_below=250.0,
    )  # fmt: skip


def _cycles(span_s: float, at_most: int) -> tuple[int, float]:
    """Return how many cycles of at least 20 s fit, and the length of one; ``at_most`` must not exceed 4.

    With phases of a fifth of a cycle or more, that keeps each at 4 s and at a twentieth of the span.
    """
    cycles = min(at_most, int(span_s // SHORTEST_SPAN_S))
    return cycles, span_s / cycles


def _clear_of(length_s: float, poll_s: float) -> float:
    """Return the smallest setting from which a pulse or pause of ``length_s`` is clearly told apart."""
    return max(length_s + _MARGIN_POLLS * poll_s, _MARGIN_FACTOR * length_s)


def _steady(level_w: float) -> Power:
    return lambda since_s: level_w * (1 + 0.02 * _wobble(since_s, level_w))


def _wobble(t_s: float, seed: float) -> float:
    """Return noise within -1..1 that looks irregular at any polling interval and repeats exactly."""
    return 0.6 * math.sin(2.1 * t_s + seed) + 0.4 * math.sin(7.3 * t_s + 1.7 * seed)
