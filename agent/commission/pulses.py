"""When a value was over a pair of thresholds: pulses, and runs made of pulses."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from instrument_agent.commission.survey import Reading, filtered

MOST = 30_000
"""Pulses kept of one trace; those after them are not looked at."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """The value went over ``above`` at ``start_s``, and was seen under ``below`` at ``end_s`` after ``readings``."""

    start_s: float
    end_s: float
    readings: int

    @property
    def seconds(self) -> float:
        """How long it was over."""
        return self.end_s - self.start_s


@dataclass
class Finder:
    """Collects the pulses over one pair of thresholds as readings come."""

    above: float
    below: float
    found: list[Pulse] = field(default_factory=list)
    _since_s: float | None = None
    _last_s: float = 0.0
    _readings: int = 0

    def see(self, at_s: float, value: float, bridge_s: float) -> None:
        """Take the next value; a silence longer than ``bridge_s`` ends a pulse at its last sight."""
        if self._since_s is not None and at_s - self._last_s > bridge_s:
            self.end()
        if self._since_s is None:
            if value >= self.above:
                self._since_s, self._readings = at_s, 1
        elif value < self.below:
            self._close(at_s)
        else:
            self._readings += 1
        self._last_s = at_s

    def end(self) -> None:
        """Close what is open."""
        if self._since_s is not None:
            self._close(self._last_s)

    def _close(self, at_s: float) -> None:
        if self._since_s is not None and len(self.found) < MOST:
            self.found.append(Pulse(self._since_s, at_s, self._readings))
        self._since_s = None


@dataclass(frozen=True, slots=True)
class Train:
    """Pulses closer together than some pause, in order."""

    pulses: tuple[Pulse, ...]

    @property
    def start_s(self) -> float:
        """When the first pulse began."""
        return self.pulses[0].start_s

    @property
    def end_s(self) -> float:
        """When the last pulse ended."""
        return self.pulses[-1].end_s

    @property
    def seconds(self) -> float:
        """From the first pulse's start to the last one's end."""
        return self.end_s - self.start_s


def pulses_over(
    samples: Iterable[Reading], thresholds: Sequence[tuple[float, float]], gap_s: float, bridge_s: float
) -> list[tuple[list[Pulse], list[Pulse]]]:
    """Return for each (above, below) the pulses of the filtered values, and of the values as they were read."""
    smooth = [Finder(above, below) for above, below in thresholds]
    plain = [Finder(above, below) for above, below in thresholds]

    def as_read() -> Iterator[Reading]:
        for at_s, value in samples:
            for finder in plain:
                finder.see(at_s, value, bridge_s)
            yield at_s, value

    for at_s, value, *_rest in filtered(as_read(), gap_s):
        for finder in smooth:
            finder.see(at_s, value, bridge_s)
    for finder in (*smooth, *plain):
        finder.end()
    return [(one.found, other.found) for one, other in zip(smooth, plain, strict=True)]


def joined(pulses: Iterable[Pulse], pause_s: float) -> list[Train]:
    """Join pulses between which the value was down for less than ``pause_s``."""
    trains: list[list[Pulse]] = []
    for pulse in pulses:
        if trains and pulse.start_s - trains[-1][-1].end_s < pause_s:
            trains[-1].append(pulse)
        else:
            trains.append([pulse])
    return [Train(tuple(train)) for train in trains]
