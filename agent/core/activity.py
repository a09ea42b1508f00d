"""From a stream of numbers to on or off: median, hysteresis, minimum times, back-dating.

Two switches decide an instrument's activity. One says whether it is powered, one whether it is running; running
wins. A switch is on or off and changes only after the other side has been seen for its minimum time without a
break; the change is then dated back to when the other side began:

    off --(value >= above for min_on)--> on          dated to the first value at or over `above`
    on  --(value <  below for min_off)--> off        dated to the first value under `below`
    between `below` and `above` the side last seen goes on

So a pulse shorter than min_on is no run, and a pause shorter than min_off does not end one. Only time that was seen
proves a run, or that the power is off; a silence proves neither, but it does count towards the end of a run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite

from instrument_agent.core.readings import Activity, Value

# What a raw state means becomes one of these numbers, so that minimum times and back-dating are the same for both.
STATE_NUMBERS = {Activity.OFF: 0.0, Activity.STANDBY: 1.0, Activity.RUNNING: 2.0}
STATE_OFF_BELOW, STATE_RUN_ABOVE = 0.5, 1.5


@dataclass(frozen=True, slots=True)
class Rules:
    """How one instrument is judged; thresholds are in the unit of ``channel``, times in nanoseconds.

    ``off_settle_ns`` is how long a value must stay under ``off_below`` before "off" is believed.
    Silence longer than ``gap_ns`` is unknown; a run may span silence of at most ``bridge_ns``.
    ``states`` says what each raw state of the channel means, for an instrument that tells it itself.
    With ``single_readings`` a run that has begun is judged by the readings as they are, without the median, so that a
    pulse of one reading keeps it going; it never begins one. ``standby_level``, where it is given, is the value of
    standby when the thresholds were set, and slow drift away from it is followed. As long as they are not
    ``calibrated`` there are no thresholds: whatever is read, nobody knows what it means.
    """

    channel: str
    off_below: float
    run_above: float
    run_below: float
    min_on_ns: int
    min_off_ns: int
    off_settle_ns: int
    gap_ns: int
    bridge_ns: int
    states: Mapping[str, Activity] | None = None
    single_readings: bool = False
    standby_level: float | None = None
    calibrated: bool = True


@dataclass(frozen=True, slots=True)
class Sample:
    """One number at one time of the boot clock."""

    at_ns: int
    value: float


@dataclass(frozen=True, slots=True)
class Change:
    """A switch turned ``on`` (or off) at ``at_ns``."""

    at_ns: int
    on: bool


@dataclass(frozen=True, slots=True)
class Switch:
    """A two-sided decision; ``candidate_ns`` is since when the other side has been seen, if it has.

    ``unseen_ns`` of the time since then was silence that proves nothing.
    """

    on: bool = False
    candidate_ns: int | None = None
    unseen_ns: int = 0

    @property
    def seen(self) -> bool:
        """The side the last value was on."""
        return self.on if self.candidate_ns is None else not self.on


@dataclass(frozen=True, slots=True)
class Band:
    """The numbers of one switch; ``silence_ends`` says whether a silence counts towards ``min_off_ns``."""

    above: float
    below: float
    min_on_ns: int
    min_off_ns: int
    silence_ends: bool

    def side(self, value: float, seen: bool) -> bool:
        """Return the side ``value`` is on; between the thresholds it is the side seen before."""
        if value >= self.above:
            return True
        return False if value < self.below else seen


def judged_number(rules: Rules, value: Value) -> float | None:
    """Return the number the thresholds judge, or None: nonsense, or a raw state nobody has given a meaning."""
    if rules.states is not None:
        code = f"{value:g}" if isinstance(value, int | float) else value
        return None if code is None else STATE_NUMBERS.get(rules.states.get(code, Activity.UNKNOWN))
    return float(value) if isinstance(value, int | float) and isfinite(value) else None


def power_band(rules: Rules) -> Band:
    """Return the numbers of the switch between off and powered."""
    return Band(rules.off_below, rules.off_below, 0, rules.off_settle_ns, silence_ends=False)


def run_band(rules: Rules) -> Band:
    """Return the numbers of the switch between not running and running."""
    return Band(rules.run_above, rules.run_below, rules.min_on_ns, rules.min_off_ns, silence_ends=True)


def turn(switch: Switch, band: Band, sample: Sample, held_to_ns: int) -> tuple[Switch, tuple[Change, ...]]:
    """Take one filtered sample.

    ``held_to_ns`` is until when the value before it is known to have held: the sample's own time, or the last
    sight before a silence.
    """
    side = band.side(sample.value, switch.seen)
    changes: list[Change] = []
    if switch.candidate_ns is not None and held_to_ns != sample.at_ns and not (switch.on and band.silence_ends):
        switch = replace(switch, unseen_ns=switch.unseen_ns + sample.at_ns - held_to_ns)
    if switch.candidate_ns is not None and side == switch.on:  # the other side was left
        if _proven(switch, band, switch.candidate_ns, sample.at_ns):
            changes.append(Change(switch.candidate_ns, not switch.on))
            switch = Switch(on=not switch.on)
        else:
            switch = Switch(on=switch.on)
    if side != switch.on:
        since_ns = sample.at_ns if switch.candidate_ns is None else switch.candidate_ns
        if switch.candidate_ns is None:
            switch = replace(switch, candidate_ns=since_ns)
        if _proven(switch, band, since_ns, sample.at_ns):
            changes.append(Change(since_ns, side))
            switch = Switch(on=side)
    return switch, tuple(changes)


def resolve(switch: Switch) -> tuple[Change, ...]:
    """Return the change, if any, when a run will not be seen for long: what was not proven is not running."""
    if switch.on and switch.candidate_ns is not None:
        return (Change(switch.candidate_ns, on=False),)
    return ()


def filtered(window: tuple[Sample, ...], newest: Sample | None) -> Sample:
    """Return the last sample of ``window`` with the median of itself and its neighbours as its value.

    A neighbour that does not exist counts as the sample itself, so the first and the last sample before a silence
    stand as they are.
    """
    centre = window[-1]
    before = window[-2] if len(window) > 1 else centre
    after = centre if newest is None else newest
    return Sample(centre.at_ns, sorted((before.value, centre.value, after.value))[1])


def combined(powered: bool, running: bool) -> Activity:
    """Return the activity two switches stand for."""
    if running:
        return Activity.RUNNING
    return Activity.STANDBY if powered else Activity.OFF


def _proven(switch: Switch, band: Band, since_ns: int, to_ns: int) -> bool:
    return to_ns - since_ns - switch.unseen_ns >= (band.min_off_ns if switch.on else band.min_on_ns)
