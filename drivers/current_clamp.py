"""A current clamp on an analogue-to-digital converter of the MCP3xxx family, on the SPI bus."""

import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import gpiozero

from instrument_agent.core.errors import DeviceUnavailable
from instrument_agent.core.readings import Channel, Value
from instrument_agent.drivers.gpio import ensure_pins, pin_errors
from instrument_agent.drivers.rms import ClampState, Samples, above_floor, fault_of, rms
from instrument_agent.i18n import _
from instrument_agent.rights import device_hint
from instrument_agent.tables.mistakes import Unfit

CHIPS = {"mcp3004": (10, 4), "mcp3008": (10, 8), "mcp3204": (12, 4), "mcp3208": (12, 8)}
"""Bits and inputs of each chip (Microchip DS21295, DS21298)."""


@dataclass
class CurrentClampDriver:
    """The RMS of a current over whole mains cycles, its mean removed.

    Amperes = volts at the burden resistor / ``burden_ohm`` * ``ct_ratio`` / ``ct_turns``; for a clamp with a voltage
    output of, say, 30 A per volt, write ``ct_ratio = 30`` and ``burden_ohm = 1``. ``v_ref`` is the converter's
    reference; its input idles at half of it. ``noise_floor_a`` is what is read with the clamp around nothing, and
    is taken away in quadrature: a current that does not rise above it is 0.0.

    A clamp knows neither voltage nor phase, so there is no ``power_w``; with ``mains_v`` there is
    ``apparent_power_va``. ``clamp_state`` says what to think of the current: ``ok``; ``below_floor`` (0.0); and,
    with no current given, ``clipped`` (more than the burden resistor allows for), ``rail`` (stuck at an end of the
    scale), ``open_bias`` (the input does not idle at half), ``undersampled`` (the box was too busy).
    """

    alone: ClassVar[tuple[str, ...]] = ("spi_device", "adc_channel")

    ct_ratio: float = field(metadata={"low": 0.001, "high": 100_000})
    burden_ohm: float = field(metadata={"low": 0.001, "high": 100_000})
    ct_turns: int = field(default=1, metadata={"low": 1, "high": 100})
    chip: str = field(default="mcp3208", metadata={"choices": tuple(CHIPS)})
    adc_channel: int = field(default=0, metadata={"low": 0, "high": 7})
    spi_device: int = field(default=0, metadata={"choices": (0, 1)})
    v_ref: float = field(default=3.3, metadata={"low": 1.0, "high": 5.5})
    mains_hz: int = field(default=50, metadata={"choices": (50, 60)})
    mains_v: float | None = field(default=None, metadata={"low": 1.0, "high": 1000.0})
    cycles: int = field(default=10, metadata={"low": 10, "high": 20})
    noise_floor_a: float = field(default=0.0, metadata={"low": 0.0, "high": 1000.0})
    monotonic: Callable[[], float] = field(default=time.monotonic, init=False, repr=False)

    def __post_init__(self) -> None:
        bits, inputs = CHIPS[self.chip]
        if self.adc_channel >= inputs:
            raise Unfit(
                _("{chip} has no input {channel}").format(chip=self.chip, channel=self.adc_channel),
                _("its inputs are 0 to {last}").format(last=inputs - 1),
                ("adc_channel",),
            )
        # Code = 2^bits * volts / reference, and never more than 2^bits - 1 (DS21295, 4.2).
        self._full_scale = 2**bits - 1
        self._amperes_per_step = self.v_ref / 2**bits / self.burden_ohm * self.ct_ratio / self.ct_turns
        self._adc: Any = None

    @property
    def channels(self) -> Sequence[Channel]:
        """The current and what is to be said of it; no wave is stronger than one that jumps between the ends."""
        most_a = self._amperes_per_step * self._full_scale / 2
        found = [Channel("current_a", "A", 0.0, most_a), Channel("clamp_state", "", 0.0, 0.0)]
        if self.mains_v is not None:
            found.append(Channel("apparent_power_va", "V.A", 0.0, most_a * self.mains_v))
        return found

    def open(self) -> None:
        """Open the converter on the hardware SPI bus.

        Raises:
            DeviceUnavailable: SPI is not enabled, or this user may not use it.
        """
        ensure_pins()
        # Where the bus cannot be opened, gpiozero would drive its pins one by one instead, with a mere warning.
        warnings.simplefilter("error", gpiozero.SPISoftwareFallback)
        with pin_errors(_("the SPI bus cannot be opened"), self._bus_hint()):
            chip = getattr(gpiozero, self.chip.upper())
            self._adc = chip(channel=self.adc_channel, port=0, device=self.spi_device)

    def read(self, timeout_s: float) -> Mapping[str, Value]:
        """Sample for ``cycles`` whole cycles and return their RMS.

        Raises:
            DeviceUnavailable: the bus failed, or ``timeout_s`` is shorter than the cycles.
        """
        cycle_s = 1 / self.mains_hz
        window_s = self.cycles * cycle_s
        if self._adc is None:
            raise DeviceUnavailable(_("the converter is not open"))
        if window_s >= timeout_s:
            raise DeviceUnavailable(
                _("{cycles} cycles take {window_s} s, but a read may last {timeout_s} s").format(
                    cycles=self.cycles, window_s=round(window_s, 3), timeout_s=timeout_s
                ),
                _("make timeout_s longer, or count fewer cycles"),
            )
        samples = self._sample(window_s)
        fault = fault_of(samples, cycle_s, window_s)
        if fault is not None:
            return self._values(None, fault)
        measured_a = rms(samples, window_s) * self._amperes_per_step
        current_a = above_floor(measured_a, self.noise_floor_a)
        return self._values(current_a, ClampState.OK if current_a > 0 else ClampState.BELOW_FLOOR)

    def close(self) -> None:
        """Give the bus back."""
        adc, self._adc = self._adc, None
        if adc is not None:
            adc.close()

    def _bus_hint(self) -> str:
        bus = Path(f"/dev/spidev0.{self.spi_device}")
        if bus.exists() and not os.access(bus, os.R_OK | os.W_OK):
            return device_hint(bus)
        return _("enable SPI: sudo raspi-config nonint do_spi 0 (docs/wiring.md)")

    def _sample(self, window_s: float) -> Samples:
        times_s: list[float] = []
        codes: list[int] = []
        with pin_errors(_("the SPI bus failed"), _("check the wiring of the converter")):
            while not times_s or times_s[-1] < times_s[0] + window_s:
                # raw_value: gpiozero's `value` of a single-ended input is half a step too high.
                codes.append(self._adc.raw_value)
                times_s.append(self.monotonic())
        return Samples(times_s, codes, self._full_scale)

    def _values(self, current_a: float | None, state: ClampState) -> Mapping[str, Value]:
        values: dict[str, Value] = {"current_a": current_a, "clamp_state": state.value}
        if self.mains_v is not None:
            values["apparent_power_va"] = None if current_a is None else current_a * self.mains_v
        return values
