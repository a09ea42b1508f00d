"""How a channel's name ends: in its unit as people write it, derived from the UCUM code that machines read. Pure."""

import re

from instrument_agent.i18n import _
from instrument_agent.tables.mistakes import Unfit

_ENDINGS = {"%": ("percent",), "Cel": ("c", "cel"), "1": ("",), "": ("",)}
"""UCUM codes whose ending does not follow from their spelling; ``1`` is a ratio, and no unit at all a raw state."""

# What an ending means when nothing but the name is there, as in the header of a recorded trace.
_UNITS = ("W", "kW", "mW", "A", "mA", "V", "mV", "Hz", "V.A", "var", "W.h", "kW.h", "var.h", "Cel", "s", "%")


def endings_of(unit: str) -> tuple[str, ...]:
    """Return how the name of a channel in this UCUM unit may end; an empty ending is any: ``kW.h`` gives ``kwh``."""
    if unit in _ENDINGS:
        return _ENDINGS[unit]
    return (re.sub(r"[^a-z0-9_]", "", unit.replace("/", "_per_").lower()),)


def ends_in(name: str, unit: str) -> bool:
    """Tell whether a channel's name ends in its unit."""
    return any(not ending or name == ending or name.endswith(f"_{ending}") for ending in endings_of(unit))


def check_ending(name: str, unit: str) -> None:
    """Check that the name of a channel ends in its unit.

    Raises:
        Unfit: it ends in none, or in another; ``at`` is the key ``unit``.
    """
    if not ends_in(name, unit):
        problem = _("{name} does not end in its unit {unit}").format(name=name, unit=unit)
        raise Unfit(problem, _("call it {name}").format(name=name_in(name, unit)), ("unit",))


def name_in(name: str, unit: str) -> str:
    """Return a channel's name with the ending of this unit: in ``kW``, ``power_w`` is ``power_kw``."""
    stem, _underscore, last = name.rpartition("_")
    known = stem and any(last in endings_of(other) for other in _UNITS)
    return f"{stem if known else name}_{endings_of(unit)[0]}"


def unit_of(name: str) -> str:
    """Return the UCUM unit a channel's name ends in; empty where it ends in none we know."""
    found = [unit for unit in _UNITS if ends_in(name, unit)]
    return found[0] if found else ""
