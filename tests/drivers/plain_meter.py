"""A good driver that does everything by itself, for bad ones to differ from in one way."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import serial

from instrument_agent.core.errors import DeviceUnavailable
from instrument_agent.core.readings import Channel, Value

LONGEST_ANSWER = 64


@dataclass
class PlainMeter:
    """The power that a meter on ``port`` answers to ``P?``."""

    port: str
    baud: int = 9600

    def __post_init__(self) -> None:
        self._line: serial.Serial | None = None

    @property
    def channels(self) -> Sequence[Channel]:
        """Its power; more than 4 kW is not credible (data sheet, page 3)."""
        return [Channel("power_w", "W", 0.0, 4000.0)]

    def open(self) -> None:
        """Open the port for this box alone."""
        try:
            self._line = serial.Serial(self.port, self.baud, timeout=0, write_timeout=1, exclusive=True)
        except (OSError, ValueError) as error:
            raise DeviceUnavailable(f"{self.port} cannot be opened: {error}", self._hint()) from error

    def read(self, timeout_s: float) -> Mapping[str, Value]:
        """Ask once; what is no number is None."""
        if self._line is None:
            raise DeviceUnavailable(f"{self.port} is not open")
        try:
            answer = self._ask(self._line, time.monotonic() + timeout_s)
        except OSError as error:
            raise DeviceUnavailable(f"{self.port} cannot be read: {error}", self._hint()) from error
        try:
            return {"power_w": float(answer)}
        except ValueError:
            return {"power_w": None}

    def close(self) -> None:
        """Give the port back."""
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def _hint(self) -> str:
        there = Path(self.port).exists()
        return f"who else uses it? sudo fuser -v {self.port}" if there else "is the adapter plugged in?"

    def _ask(self, line: serial.Serial, deadline_s: float) -> bytes:
        line.read(line.in_waiting)  # what is still there answers an older question
        line.write(b"P?\n")
        answer = b""
        while not answer.endswith(b"\n") and len(answer) < LONGEST_ANSWER:
            line.timeout = max(0.0, deadline_s - time.monotonic())
            byte = line.read(1)
            if not byte:
                raise DeviceUnavailable(f"no answer on {self.port}", "is the meter switched on?")
            answer += byte
        return answer
