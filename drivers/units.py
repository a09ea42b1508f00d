"""How a channel's name ends: in its unit as people write it, derived from the UCUM code that machines read. Pure."""

import re

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


def unit_of(name: str) -> str:
    """Return the UCUM unit a channel's name ends in; empty where it ends in none we know."""
    found = [unit for unit in _UNITS if ends_in(name, unit)]
    return found[0] if found else ""
