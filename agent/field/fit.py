"""Which meter is this? How well what a profile makes of a meter's registers fits a meter on a mains. Pure.

Registers read under a wrong profile give numbers too. They are told apart by what must hold for any meter on a
mains of 50 or 60 Hz: the voltage, the frequency, and that no power is greater than voltage times current.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from instrument_agent.core.readings import Channel, Value

VOLTAGE_V = (80.0, 500.0)
UNUSED_PHASE_V = 30.0
"""A phase that is not connected shows next to nothing, or what it picks up from its neighbours."""
FREQUENCY_HZ = (45.0, 65.0)
POWER_MARGIN = 1.1
POWER_FLOOR_W = 5.0
"""Currents this small are rounded off by meters that still see their power."""

POWER = "power_w"
PHASES = 3
MOST = 0.5
"""More of a profile than this is credible where it is the meter's."""

_PHASES = re.compile(r"_(l[123]|[abc])_")


class Check(StrEnum):
    """What must hold for any meter on a mains."""

    VOLTAGE = "voltage"
    FREQUENCY = "frequency"
    POWER = "power"


@dataclass(frozen=True, slots=True)
class Fit:
    """How well a profile fits: how many of its channels are credible, and which checks hold and which do not.

    ``telling`` of the credible ones are not zero: zero is what stands where a meter has nothing, too. ``power`` tells
    that the power of the whole meter is among the credible ones.
    """

    profile: str
    plausible: int
    telling: int
    channels: int
    power: bool
    passed: tuple[Check, ...]
    failed: tuple[Check, ...]
    values: Mapping[str, Value]

    @property
    def share(self) -> float:
        """How much of the profile is credible, 0 to 1."""
        return self.plausible / self.channels

    @property
    def likely(self) -> bool:
        """Whether this may well be the meter: it looks like a mains, and power and most of the profile are credible."""
        return bool(self.passed) and not self.failed and self.power and self.share > MOST

    @property
    def guess(self) -> bool:
        """Whether this may be the meter, though nothing proves it: no check applies, and all of it is credible."""
        unproven = not self.passed and not self.failed
        return unproven and self.power and self.telling > 0 and self.plausible == self.channels


def fit(profile: str, channels: Sequence[Channel], values: Mapping[str, Value]) -> Fit:
    """Judge what was read under a profile."""
    numbers = {
        channel.name: float(value)
        for channel in channels
        if isinstance(value := values.get(channel.name), int | float) and channel.low <= value <= channel.high
    }
    units = {channel.name: channel.unit for channel in channels}
    found = {
        Check.VOLTAGE: _voltage([value for name, value in numbers.items() if _is(name, "voltage", "V", units)]),
        Check.FREQUENCY: _frequency([value for name, value in numbers.items() if _is(name, "frequency", "Hz", units)]),
        Check.POWER: _power(numbers, units),
    }
    passed = tuple(check for check, holds in found.items() if holds)
    failed = tuple(check for check, holds in found.items() if holds is False)
    telling = sum(value != 0 for value in numbers.values())
    return Fit(profile, len(numbers), telling, len(channels), POWER in numbers, passed, failed, dict(values))


def ranked(fits: Sequence[Fit]) -> list[Fit]:
    """Return the fits, the best first; those with nothing credible are left out."""
    return sorted(
        (item for item in fits if item.plausible),
        # A meter with one phase also fits the profile of one with three, with zeros; then the smaller one is meant.
        key=lambda item: (item.likely, -len(item.failed), item.share, item.telling, -item.channels),
        reverse=True,
    )


def _is(name: str, quantity: str, unit: str, units: Mapping[str, str]) -> bool:
    return name.startswith(quantity) and units[name] == unit


def _voltage(volts: Sequence[float]) -> bool | None:
    low, high = VOLTAGE_V
    if not volts:
        return None
    used = [value for value in volts if value > UNUSED_PHASE_V]
    return bool(used) and all(low <= value <= high for value in used)


def _frequency(hertz: Sequence[float]) -> bool | None:
    return all(FREQUENCY_HZ[0] <= value <= FREQUENCY_HZ[1] for value in hertz) if hertz else None


def _power(numbers: Mapping[str, float], units: Mapping[str, str]) -> bool | None:
    """Compare each phase's power with its own voltage and current, and the total with the sum of the phases.

    Some profiles read one phase of three beside the total power: then there is nothing to hold the total against.
    """
    volts, amperes, watts = (
        {_phase(name): value for name, value in numbers.items() if _is(name, quantity, unit, units)}
        for quantity, unit in (("voltage", "V"), ("current", "A"), ("power", "W"))
    )
    most = {phase: volts[phase] * abs(amperes[phase]) for phase in volts.keys() & amperes.keys()}
    if "" not in most and len(most) == PHASES:
        most[""] = sum(most.values())
    compared = [abs(watts[phase]) <= POWER_MARGIN * most[phase] + POWER_FLOOR_W for phase in watts.keys() & most.keys()]
    return all(compared) if compared else None


def _phase(name: str) -> str:
    # Without its last part: that is the unit, and in current_a no phase.
    found = _PHASES.search(f"{name.rpartition('_')[0]}_")
    return found[1] if found else ""
