"""Simulated pins, and a converter at the wire of a simulated SPI bus; gpiozero's own code runs in between."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from gpiozero import Device
from gpiozero.pins.mock import MockFactory, MockPin, MockSPIDevice

CLOCK, MOSI, MISO, SELECT = 11, 10, 9, (8, 7)


class WatchedPin(MockPin):
    """A pin that keeps whatever function it was ever given; ``late_s`` is how late it tells of its edges."""

    functions: ClassVar[list[tuple[str, str]]] = []
    late_s = 0.0

    def _set_function(self, value: str) -> None:
        self.functions.append((self.info.name, value))
        super()._set_function(value)

    def _call_when_changed(self) -> None:
        self._last_change -= self.late_s
        super()._call_when_changed()


@contextmanager
def simulated_pins() -> Iterator[MockFactory]:
    WatchedPin.functions.clear()
    factory = Device.pin_factory = MockFactory(pin_class=WatchedPin)
    try:
        yield factory
    finally:
        factory.reset()
        Device.pin_factory = None


def outputs() -> set[str]:
    """Return the pins that were ever made an output."""
    return {name for name, function in WatchedPin.functions if function != "input"}


class Converter(MockSPIDevice):
    """An MCP3004/3008 (10 bits) or MCP3204/3208 (12 bits), after its datasheet (DS21295 figure 5-1, DS21298).

    After the start bit come single/differential, D2, D1, D0; after one clock for sampling a null bit and the code
    follow, most significant bit first. Each conversion takes ``period()`` of the time in ``now_s``; ``volts`` tells
    the voltage at an input.
    """

    def __init__(
        self, bits: int, volts: Callable[[int, float], float], period: Callable[[], float], select: int = SELECT[0]
    ) -> None:
        super().__init__(CLOCK, MOSI, MISO, select)
        self.bits = bits
        self.volts = volts
        self.period = period
        self.v_ref = 3.3
        self.now_s = 1000.0

    def on_bit(self) -> None:
        if True not in self.rx_buf:
            return
        command: list[Any] = self.rx_buf[self.rx_buf.index(True) :]
        if len(command) != 5:
            return
        _start, single, *channel = (int(bit) for bit in command)
        assert single, "only single-ended inputs are wired"
        self.now_s += self.period()
        volts = self.volts(channel[0] * 4 + channel[1] * 2 + channel[2], self.now_s)
        code = min(2**self.bits - 1, max(0, int(2**self.bits * volts / self.v_ref)))
        self.tx_buf = [0, 0] + [code >> bit & 1 for bit in reversed(range(self.bits))]
