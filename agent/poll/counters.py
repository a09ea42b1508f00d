"""Energy counters only count up: one that jumps back is a fault, until it has proved that it counts from there."""

import logging
from collections.abc import Mapping

from instrument_agent.core.readings import Channel, Value

log = logging.getLogger(__name__)

COUNTERS = ("energy_import", "energy_export", "energy_total")
PROOF_READS = 3
"""So many reads in a row, none lower than the one before and the last above the first, make a new beginning.

A meter that was replaced or reset counts up again; a register that is stuck at zero, or garbled, does not.
"""


class Counters:
    """The energy counters of one instrument; ``backwards`` counts the values that were refused."""

    def __init__(self, instrument_id: str) -> None:
        self.backwards = 0
        self._name = instrument_id
        self._last: dict[str, float] = {}
        self._lower: dict[str, list[float]] = {}

    def checked(self, values: Mapping[str, Value], channels: Mapping[str, Channel]) -> dict[str, Value]:
        """Return the values, with None for a counter that went backwards."""
        return {
            name: self._checked(name, value) if _is_counter(channels.get(name)) else value
            for name, value in values.items()
        }

    def _checked(self, name: str, value: Value) -> Value:
        if not isinstance(value, int | float):
            return value
        last = self._last.get(name, value)
        lower = self._lower.pop(name, [])
        if value >= last:
            self._last[name] = value
            return value
        if not lower:
            log.warning("%s: %s went backwards, from %s to %s", self._name, name, last, value)
        in_order = not lower or value >= lower[-1]
        lower = [*lower, value] if in_order else [value]
        if len(lower) >= PROOF_READS and value > lower[0]:
            log.warning("%s: %s counts on from %s: the meter was replaced or reset", self._name, name, value)
            self._last[name] = value
            return value
        # Of a meter that stands still only the first and the latest value matter.
        self._lower[name] = lower if len(lower) <= PROOF_READS else [*lower[:2], value]
        self.backwards += 1
        return None


def _is_counter(channel: Channel | None) -> bool:
    return channel is not None and channel.unit == "kW.h" and channel.name.startswith(COUNTERS)
