"""Whether a sensor can be believed: a few checks, each of which an honest instrument cannot fail.

Only power is checked (a channel in watts), by what cannot be true of a consumer, or by what the same meter says in
another channel. What is not believed becomes a failed read, ``sensor_suspect``, so that its time is unknown and never
off; when a doubt begins and when it ends is told once each. docs/detection.md says what each check sees, after how
long, and what it cannot see.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from math import isfinite

from instrument_agent.core.activity import Rules
from instrument_agent.core.energy import Verdict, Window, grown, is_full, is_quiet, judged, smallest_step
from instrument_agent.core.readings import NS_PER_S, FailedRead, Observation, Reading, UnknownReason, Value

POWER = "power_w"
APPARENT = "apparent_power_va"
COUNTERS = ("energy_import_kwh", "energy_total_kwh")
"""The first of these that a meter has is compared with ``power_w``."""
WINDOWS = 3
"""So many windows in a row must show the same."""
PROOF_NS, PROOF_READS = 600 * NS_PER_S, 60
"""A sign that can be seen in each reading must last for so long, and for so many of them."""
APPARENT_FACTOR = 1.2
"""Active power is never more than apparent power; this much is left to two registers read one after the other."""
REBUTTALS = 10
"""So many readings in a row that speak against a doubt end it."""


class Doubt(StrEnum):
    """What is wrong with a sensor; the first three make readings suspect, the last is only told."""

    REVERSED = "sensor_reversed"
    STUCK = "sensor_stuck"
    BLIND = "sensor_blind"
    DISAGREES = "energy_disagrees"


@dataclass(frozen=True, slots=True)
class Held:
    """A doubt that holds: since when, at which value the sensor is stuck, how many readings in a row spoke against."""

    doubt: Doubt
    since_ns: int
    value: float
    against: int = 0


@dataclass(frozen=True, slots=True)
class Stretch:
    """Readings in a row that show the same sign."""

    value: float
    since_ns: int
    reads: int = 1


@dataclass(frozen=True, slots=True)
class Row:
    """Windows in a row that show the same; ``more`` says whether the counter has more than was read."""

    verdict: Verdict
    more: bool
    since_ns: int
    windows: int = 1


@dataclass(frozen=True, slots=True)
class Senses:
    """What is remembered of one instrument's sensor.

    Another channel has a say only once it was seen to fit the power: ``counter_fits``, ``apparent_fits``.
    ``count_kwh`` is the smallest step of the energy counter so far.
    """

    held: tuple[Held, ...] = ()
    negative: Stretch | None = None
    beyond: Stretch | None = None
    window: Window | None = None
    row: Row | None = None
    count_kwh: float | None = None
    counter_fits: bool = False
    apparent_fits: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """A doubt begins or ends at ``at_ns``; energies of the last window in joules, where there was one."""

    doubt: Doubt
    begins: bool
    since_ns: int
    at_ns: int
    counted_ws: float | None = None
    read_ws: float | None = None


UNDOUBTED = Senses()


def vetted(rules: Rules, senses: Senses, reading: Reading) -> tuple[Senses, Reading, tuple[Finding, ...]]:
    """Return what is remembered now, the reading or a failed one in its place, and the doubts that began or ended."""
    if not isinstance(reading, Observation) or rules.states is not None or not rules.channel.endswith("_w"):
        return senses, reading, ()
    watts = _number(reading.values, rules.channel)
    if watts is None:
        return senses, reading, ()
    before = senses.held
    if len(reading.values) == 1 and not before and senses.negative is None and watts > -rules.off_below:
        return senses, reading, ()  # nothing else is read that could speak against it
    if watts <= -rules.off_below or senses.negative is not None:
        senses = _negative(rules, senses, reading.at_ns, watts)
    told: tuple[float, float] | None = None
    if rules.channel == POWER:
        senses = _apparent(rules, senses, reading, watts)
        senses, told = _energy(rules, senses, reading, watts)
    if senses.held:
        senses = replace(senses, held=_rebutted(rules, senses.held, watts))
    findings = () if senses.held is before else _findings(before, senses.held, reading.at_ns, told)
    if _is_suspect(rules, senses.held, watts):
        return senses, FailedRead(reading.at_ns, UnknownReason.SENSOR_SUSPECT), findings
    return senses, reading, findings


def next_boot(senses: Senses) -> Senses:
    """Return what a new boot goes on from: the doubts, which hold since before it began, and what fits."""
    held = tuple(Held(item.doubt, 0, item.value) for item in senses.held)
    return Senses(
        held, count_kwh=senses.count_kwh, counter_fits=senses.counter_fits, apparent_fits=senses.apparent_fits
    )


def _number(values: Mapping[str, Value], channel: str) -> float | None:
    value = values.get(channel)
    return value if isinstance(value, int | float) and isfinite(value) else None


def _is_suspect(rules: Rules, held: tuple[Held, ...], watts: float) -> bool:
    """Return whether this reading is not believed.

    A consumer gives back no power: as much below zero as would be "powered" above it is never "off".
    """
    if watts <= -rules.off_below:
        return True
    return any(
        (item.doubt is Doubt.STUCK and watts == item.value) or (item.doubt is Doubt.BLIND and watts < rules.off_below)
        for item in held
    )


def _negative(rules: Rules, senses: Senses, at_ns: int, watts: float) -> Senses:
    if watts >= rules.off_below:
        return replace(senses, negative=None)
    if watts > -rules.off_below:  # off either way round
        return senses
    negative = _longer(senses.negative, at_ns, 0.0)
    return _holding(replace(senses, negative=negative), Doubt.REVERSED, negative, at_ns)


def _apparent(rules: Rules, senses: Senses, reading: Observation, watts: float) -> Senses:
    """Note a value that stands still although it is more than voltage times current."""
    apparent_va = _number(reading.values, APPARENT)
    if apparent_va is None or watts < rules.off_below:
        return senses if senses.beyond is None else replace(senses, beyond=None)
    if watts <= APPARENT_FACTOR * apparent_va + rules.off_below:
        fits = senses.apparent_fits or watts <= APPARENT_FACTOR * apparent_va
        if senses.beyond is None and fits is senses.apparent_fits:
            return senses
        return replace(senses, beyond=None, apparent_fits=fits)
    if not senses.apparent_fits:
        return senses
    beyond = _longer(senses.beyond, reading.at_ns, watts)
    return _holding(replace(senses, beyond=beyond), Doubt.STUCK, beyond, reading.at_ns)


def _longer(stretch: Stretch | None, at_ns: int, value: float) -> Stretch:
    if stretch is None or stretch.value != value:
        return Stretch(value, at_ns)
    return Stretch(value, stretch.since_ns, stretch.reads + 1)


def _holding(senses: Senses, doubt: Doubt, stretch: Stretch, at_ns: int) -> Senses:
    """Hold a doubt, if its sign has lasted long enough."""
    if stretch.reads < PROOF_READS or at_ns - stretch.since_ns < PROOF_NS:
        return senses
    return _held(senses, Held(doubt, stretch.since_ns, stretch.value))


def _held(senses: Senses, new: Held) -> Senses:
    if any(item.doubt is new.doubt for item in senses.held):
        return senses
    return replace(senses, held=(*senses.held, new))


def _energy(
    rules: Rules, senses: Senses, reading: Observation, watts: float
) -> tuple[Senses, tuple[float, float] | None]:
    """Compare with the energy counter; return the energies (counted, read) of a window that is full, in joules."""
    kwh = next((found for name in COUNTERS if (found := _number(reading.values, name)) is not None), None)
    if kwh is None:
        return senses, None
    count_kwh = smallest_step(senses.window, kwh, senses.count_kwh)
    window = grown(senses.window, reading.at_ns, watts, kwh)
    senses = Senses(
        senses.held,
        senses.negative,
        senses.beyond,
        window,
        senses.row,
        count_kwh,
        senses.counter_fits,
        senses.apparent_fits,
    )
    if senses.held and count_kwh is not None and is_quiet(window, count_kwh, rules.off_below):
        senses = _without(senses, Doubt.BLIND)
    if not is_full(window, count_kwh):
        return senses, None
    verdict = None if count_kwh is None else judged(window, count_kwh, rules.off_below)
    after = replace(senses, window=grown(None, reading.at_ns, watts, kwh))
    return _concluded(rules, after, window, verdict), (window.counted_ws, window.integral_ws)


def _concluded(rules: Rules, senses: Senses, window: Window, verdict: Verdict | None) -> Senses:
    """Draw the conclusion of a full window."""
    if verdict is None:
        return senses
    if verdict is Verdict.AGREES:
        # While nothing is drawn, a counter of any scale agrees.
        fits = senses.counter_fits or window.high_w >= rules.off_below
        return _without(replace(senses, row=None, counter_fits=fits), Doubt.BLIND, Doubt.DISAGREES)
    more = window.counted_ws > window.integral_ws
    row, last = Row(verdict, more, window.start_ns), senses.row
    if last is not None and (last.verdict, last.more) == (verdict, more):
        row = Row(verdict, more, last.since_ns, last.windows + 1)
    senses = replace(senses, row=row)
    if row.windows < WINDOWS:
        return senses
    if senses.counter_fits and verdict is not Verdict.DISAGREES:
        doubt = Doubt.BLIND if verdict is Verdict.BLIND else Doubt.STUCK
        return _held(senses, Held(doubt, row.since_ns, window.low_w))
    return _held(replace(senses, counter_fits=False), Held(Doubt.DISAGREES, row.since_ns, window.low_w))


def _without(senses: Senses, *doubts: Doubt) -> Senses:
    held = tuple(item for item in senses.held if item.doubt not in doubts)
    return senses if len(held) == len(senses.held) else replace(senses, held=held)


def _rebutted(rules: Rules, held: tuple[Held, ...], watts: float) -> tuple[Held, ...]:
    """Return the doubts that are left, having counted the readings in a row that speak against them."""
    counted = tuple(
        replace(item, against=item.against + 1 if _speaks_against(rules, item, watts) else 0) for item in held
    )
    left = tuple(item for item in counted if item.against < REBUTTALS)
    return held if left == held else left


def _speaks_against(rules: Rules, item: Held, watts: float) -> bool:
    if item.doubt is Doubt.STUCK:
        return watts != item.value
    return item.doubt is not Doubt.DISAGREES and watts >= rules.off_below


def _findings(
    before: tuple[Held, ...], after: tuple[Held, ...], at_ns: int, told: tuple[float, float] | None
) -> tuple[Finding, ...]:
    counted_ws, read_ws = told if told is not None else (None, None)
    known, left = {item.doubt: item for item in before}, {item.doubt for item in after}
    ended = [Finding(item.doubt, False, item.since_ns, at_ns) for item in before if item.doubt not in left]
    begun = [
        Finding(item.doubt, True, item.since_ns, at_ns, counted_ws, read_ws)
        for item in after
        if item.doubt not in known
    ]
    return (*ended, *begun)
