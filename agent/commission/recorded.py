"""A recorded trace as learning and judging take it: from the start each time, and never as a whole in memory."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from instrument_agent.core.errors import ConfigError
from instrument_agent.core.readings import NS_PER_S, Observation, Reading
from instrument_agent.core.steady import Number
from instrument_agent.drivers.trace import reading_of, recorded_rows, trace_channels, trace_rows
from instrument_agent.i18n import _


@dataclass(frozen=True, slots=True)
class Recording:
    """The readings of a trace, from the start each time they are asked for; ``channel`` is scaled and shifted."""

    path: Path
    channel: str
    scale: float = 1.0
    offset: float = 0.0

    def readings(self) -> Iterator[Reading]:
        """Yield the readings as the core takes them.

        Raises:
            BadRow: a row of the trace is not a reading.
            ConfigError: the trace has no such channel.
        """
        numbers, channels = self.numbers(), trace_channels(self.path)
        if numbers is not None:
            return (Observation(at_ns, {self.channel: value}) for at_ns, value in numbers)
        if self.channel not in channels:
            raise ConfigError(
                _("the trace {path} has no channel {channel}").format(path=self.path, channel=self.channel),
                _("give --channel: one of {names}").format(names=", ".join(channels)),
            )
        read = map(reading_of, recorded_rows(self.path))
        return read if (self.scale, self.offset) == (1.0, 0.0) else map(self._changed, read)

    def numbers(self) -> Iterator[Number] | None:
        """Return the readings of a trace of one channel as numbers; None for a recording of several.

        Raises:
            BadRow: a row of the trace is not a reading.
        """
        if trace_channels(self.path):
            return None
        return ((round(at_s * NS_PER_S), value) for at_s, value in self)

    def __iter__(self) -> Iterator[tuple[float, float]]:
        """Return seconds and value of every reading that is a number."""
        if trace_channels(self.path):
            return self._judged()
        # Learning goes over a trace several times: of one channel nothing needs to be made but numbers.
        rows, scale, offset = trace_rows(self.path), self.scale, self.offset
        return rows if (scale, offset) == (1.0, 0.0) else ((at_s, value * scale + offset) for at_s, value in rows)

    def _judged(self) -> Iterator[tuple[float, float]]:
        for reading in self.readings():
            value = reading.values.get(self.channel) if isinstance(reading, Observation) else None
            if isinstance(value, int | float):
                yield reading.at_ns / NS_PER_S, float(value)

    def _changed(self, reading: Reading) -> Reading:
        value = reading.values.get(self.channel) if isinstance(reading, Observation) else None
        if not isinstance(reading, Observation) or not isinstance(value, int | float):
            return reading
        return replace(reading, values={**reading.values, self.channel: value * self.scale + self.offset})
