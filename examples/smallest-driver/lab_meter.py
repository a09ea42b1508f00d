"""A power meter on a serial port that answers ``P?`` with its watts, as in ``1234.5``."""

from dataclasses import dataclass

from instrument_agent.core.readings import Channel, Value
from instrument_agent.drivers.text_port import TextPort
from instrument_agent.drivers.text_questions import Questions


@dataclass
class LabMeter:
    """The power a lab meter on ``port`` shows."""

    port: str
    baud: int = 9600

    def __post_init__(self) -> None:
        self._line = TextPort(self.port, self.baud)
        self._questions = Questions(self._line)

    @property
    def channels(self) -> list[Channel]:
        """Its power; more than 4 kW is not credible (data sheet, page 3)."""
        return [Channel("power_w", "W", 0.0, 4000.0)]

    def open(self) -> None:
        """Open the port for this box alone."""
        self._line.open()

    def read(self, timeout_s: float) -> dict[str, Value]:
        """Ask once; what is no number is None."""
        answer = self._questions.ask("P?", timeout_s)
        try:
            return {"power_w": float(answer)}
        except ValueError:
            return {"power_w": None}

    def close(self) -> None:
        """Give the port back."""
        self._line.close()
