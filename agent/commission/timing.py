"""How long a pulse must be to be a run, and a pause to end one: learned from the pulses over the thresholds."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from instrument_agent.commission.pulses import Pulse, Train, joined

USUAL_MIN_ON_S, USUAL_MIN_OFF_S = 60.0, 120.0
"""What stands in a config file that says nothing else."""
MIN_ON_STEPS_S = (60.0, 45.0, 30.0, 20.0, 15.0, 10.0, 7.0, 5.0, 3.0, 2.0, 1.0, 0.0)
MORE_SEEN = 1.02
"""Single readings are pulses if runs are longer with them by so much."""
FEWEST_LOST, LOST_SHARE = 3, 0.2
"""And if at least so many of the pulses are single readings."""
NEXT_S = 1e-6
LATE_S = 10.0
"""A run may be seen to begin this much later than it did."""
LONGEST_PAUSE_S = 600.0
"""Pauses inside a run of a thermostat are shorter than this, unless a technician has marked a longer one."""
ROW = 6
"""So many pauses in a row that are alike are a thermostat's."""
TOLD_PAUSE_S, TOLD_ROW = 3600.0, 2
"""The same where a technician has said that the load is one."""
LONGEST_IDLE_S = 1200.0
"""The pulses of an idle machine (compressor, heater), and of a thermostat, are usually shorter."""
ALIKE = 1.6
"""Pauses, or pulses, are alike if the longest is at most so many times the shortest."""
CLEAR_OF = 1.5
"""How much longer than the longest pause inside a run (or pulse outside one) a minimum time is."""
CYCLES = 8
"""So many pulses that are alike, in equal steps from the start to the end of a trace, may be an idle machine's."""
MOSTLY, NEAR = 0.75, 0.35
"""What share of them must be how near to their median."""
APART = 2.5
"""How many times longer than an idle machine's pulses the shortest run is."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Minimum times in seconds, and the runs they make of the pulses seen.

    ``single`` says that pulses of a single reading are real here: the median of three would cut them off.
    ``joins`` says that pauses of a thermostat are spanned.
    """

    min_on_s: float
    min_off_s: float
    single: bool
    joins: bool
    runs: tuple[Train, ...]


def timed(
    smooth: Sequence[Pulse],
    plain: Sequence[Pulse],
    least_min_off_s: float = 0.0,
    most_min_off_s: float = float("inf"),
    joins: bool | None = None,
) -> Timing:
    """Learn the minimum times from the pulses of the filtered values and of the values as they were read.

    Pauses up to ``least_min_off_s`` are known to belong to a run, one of ``most_min_off_s`` to end it. ``joins`` says
    whether pauses between pulses belong to a run; None if nobody has told.
    """
    reach_s, row = (TOLD_PAUSE_S, TOLD_ROW) if joins else (LONGEST_PAUSE_S, ROW)
    pause_s = 0.0
    if joins is not False:
        pulse_s = float("inf") if joins else LONGEST_IDLE_S
        pause_s = thermostat_pause_s(anchored(joined(plain, reach_s), smooth), row, pulse_s)
    if pause_s >= most_min_off_s:
        pause_s = 0.0
    min_off_s = min(max(USUAL_MIN_OFF_S, least_min_off_s, CLEAR_OF * pause_s), most_min_off_s)
    coarse, fine = joined(smooth, min_off_s), anchored(joined(plain, min_off_s), smooth)
    longer = sum(train.seconds for train in fine) > MORE_SEEN * sum(train.seconds for train in coarse)
    single = longer and _often_lost(fine, smooth)
    trains = fine if single else coarse
    min_on_s = least_wrong_min_on_s(trains, smooth)
    runs = tuple(train for train in trains if longest_s(inside(train, smooth)) >= min_on_s)
    return Timing(min_on_s, min_off_s, single, min_off_s > USUAL_MIN_OFF_S, runs)


def inside(train: Train, smooth: Sequence[Pulse]) -> Sequence[Pulse]:
    """Return the filtered pulses that began while the train lasted."""
    first = bisect_left(smooth, train.start_s - NEXT_S, key=_start)
    return smooth[first : bisect_right(smooth, train.end_s, key=_start)]


def anchored(trains: Sequence[Train], smooth: Sequence[Pulse]) -> list[Train]:
    """Return the trains in which a filtered pulse lies, from that pulse on: a single reading begins no run."""
    found: list[Train] = []
    for train in trains:
        here = inside(train, smooth)
        # With readings far apart a filtered pulse may begin at the very end of the train: nothing is left of it.
        left = tuple(pulse for pulse in train.pulses if here and pulse.end_s > here[0].start_s)
        if left:
            found.append(Train(left))
    return found


def longest_s(pulses: Sequence[Pulse]) -> float:
    """Return the length of the longest pulse in seconds."""
    return max((pulse.seconds for pulse in pulses), default=0.0)


def _often_lost(fine: Sequence[Train], smooth: Sequence[Pulse]) -> bool:
    """Say whether the filter takes away many of the pulses inside runs, and not just a disturbance or two."""
    read = sum(len(train.pulses) for train in fine)
    lost = read - sum(len(inside(train, smooth)) for train in fine)
    return lost >= max(FEWEST_LOST, LOST_SHARE * read)


def thermostat_pause_s(trains: Sequence[Train], least: int, longest_pulse_s: float) -> float:
    """Return the longest pause in a row of at least so many that are alike, after pulses that are no runs, or 0."""
    longest = 0.0
    for train in trains:
        row: list[float] = []
        for before, after in pairwise(train.pulses):
            pause_s = after.start_s - before.end_s
            if before.seconds > longest_pulse_s:
                row = []
                continue
            if row and max(*row, pause_s) > ALIKE * min(*row, pause_s):
                row = []
            row.append(pause_s)
            if len(row) >= least:
                longest = max(longest, *row)
    return longest


def least_wrong_min_on_s(trains: Sequence[Train], smooth: Sequence[Pulse]) -> float:
    """Return the longest minimum time with which fewest runs begin late and fewest disturbances pass for runs.

    What was over for less than a minute, pauses included, is taken for a disturbance.
    """
    seen = [(train, inside(train, smooth)) for train in trains]

    def wrong(min_on_s: float) -> int:
        return sum(
            longest_s(pulses) >= min_on_s if train.seconds < USUAL_MIN_ON_S else _late_s(pulses, min_on_s) > LATE_S
            for train, pulses in seen
        )

    return min(MIN_ON_STEPS_S, key=wrong)


def _late_s(pulses: Sequence[Pulse], min_on_s: float) -> float:
    starts = (pulse.start_s for pulse in pulses if pulse.seconds >= min_on_s)
    return next(starts, float("inf")) - (pulses[0].start_s if pulses else 0.0)


def _start(pulse: Pulse) -> float:
    return pulse.start_s


def cycling(trains: Sequence[Train], span_s: float) -> bool:
    """Say whether all there is are pulses that are alike, in equal steps, from the start to the end of a trace."""
    if len(trains) < CYCLES:
        return False
    steps = [after.start_s - before.start_s for before, after in pairwise(trains)]
    lengths = [train.seconds for train in trains]
    if median(lengths) > LONGEST_IDLE_S:
        return False
    return _mostly_near(steps) and _mostly_near(lengths) and sum(steps) + 2 * median(steps) >= span_s


def _mostly_near(numbers: Sequence[float]) -> bool:
    usual = median(numbers)
    return sum(abs(number - usual) <= NEAR * usual for number in numbers) >= MOSTLY * len(numbers)


def idle_pulses(trains: Sequence[Train]) -> tuple[float, float | None]:
    """Return the longest pulse of an idle machine, and the shortest run, if they can be told apart by length."""
    lengths = sorted(longest_s(train.pulses) for train in trains)
    for shorter, longer in pairwise(lengths):
        if longer > APART * shorter and shorter >= median(lengths):
            return shorter, longer
    return (lengths[-1] if lengths else 0.0), None
