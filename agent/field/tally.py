"""What was seen of one channel so far. Pure."""

from collections import deque
from dataclasses import dataclass, field

from instrument_agent.core.readings import Value

BARS = "▁▂▃▄▅▆▇█"
NONSENSE = "?"
REMEMBERED = 30
"""Readings in the little picture: half a minute at one a second."""


@dataclass(slots=True)
class Tally:
    """The last value of a channel (``read`` tells whether it was there), its smallest and greatest, and a picture."""

    last: Value = None
    read: bool = False
    lowest: float | None = None
    highest: float | None = None
    recent: deque[Value] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def saw(self, value: Value) -> None:
        """Take what the channel showed."""
        self.last, self.read = value, True
        self.recent.append(value)
        if isinstance(value, int | float):
            self.lowest = value if self.lowest is None else min(self.lowest, value)
            self.highest = value if self.highest is None else max(self.highest, value)

    def missed(self) -> None:
        """Note that the channel was not read."""
        self.last, self.read = None, False

    def picture(self) -> str:
        """Return the recent values as bars between their own smallest and greatest; ``?`` is nonsense."""
        numbers = [value for value in self.recent if isinstance(value, int | float)]
        low, span = min(numbers, default=0.0), max(numbers, default=0.0) - min(numbers, default=0.0)
        return "".join(
            BARS[round((value - low) / span * (len(BARS) - 1)) if span else 0]
            if isinstance(value, int | float)
            else NONSENSE
            for value in self.recent
            if not isinstance(value, str)
        )
