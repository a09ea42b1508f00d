"""An energy meter's pulse output (S0, IEC 62053-31) on a pin."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from gpiozero import InputDevice

from instrument_agent.core.errors import DeviceUnavailable
from instrument_agent.core.readings import Channel, Value
from instrument_agent.drivers.gpio import (
    HIGHEST_PIN,
    LOWEST_PIN,
    age_s,
    close_input,
    open_input,
    pin_errors,
)
from instrument_agent.drivers.pulse_train import JOULES_PER_KWH, PulseTrain
from instrument_agent.i18n import _

LATEST_S = 5.0
"""An edge told of later than this is one whose time stamp is of another clock."""


@dataclass
class PulseDriver:
    """Power from the time between two pulses, and the energy counted since the pin was opened.

    ``power_w`` is the mean between the last two pulses. When the next is overdue it falls: the power is at most that
    of a pulse coming now, so "off" is seen ``3.6e6 / (pulses_per_kwh * off_below)`` seconds late. After opening it is
    not read until there were two pulses, or the silence alone proves at most ``quiet_below_w`` (set it to
    ``off_below``). ``counted_kwh`` starts at 0 whenever the pin is opened, and misses what came while it was not.

    ``pin`` and ``active_low`` are as for a contact. S0 pulses and pauses last at least 30 ms (IEC 62053-31); levels
    shorter than ``bounce_s`` are no pulses.
    """

    alone: ClassVar[tuple[str, ...]] = ("pin",)

    pin: int = field(metadata={"low": LOWEST_PIN, "high": HIGHEST_PIN})
    pulses_per_kwh: float = field(metadata={"low": 0.001, "high": 1_000_000})
    active_low: bool = True
    bounce_s: float = field(default=0.01, metadata={"low": 0.001, "high": 1.0})
    quiet_below_w: float = field(default=20.0, metadata={"low": 0.001, "high": 1_000_000})
    monotonic: Callable[[], float] = field(default=time.monotonic, init=False, repr=False)

    def __post_init__(self) -> None:
        self._device: InputDevice | None = None
        self._train: PulseTrain | None = None
        self._lock = threading.Lock()  # edges come in gpiozero's thread

    @property
    def channels(self) -> Sequence[Channel]:
        """Power, up to what pulses can come without running into each other, and energy."""
        fastest_s = 2 * self.bounce_s
        return [
            Channel("power_w", "W", 0.0, JOULES_PER_KWH / self.pulses_per_kwh / fastest_s),
            Channel("counted_kwh", "kW.h", 0.0, 1e9),
        ]

    def open(self) -> None:
        """Open the pin as an input and begin to count."""
        self._device = open_input(self.pin, pull_up=self.active_low, changed=self._note_edge)
        with pin_errors(self._trouble(), ""):
            closed = bool(self._device.is_active)
        with self._lock:
            self._train = PulseTrain(self.bounce_s, self.monotonic(), closed=closed)

    def read(self, timeout_s: float) -> Mapping[str, Value]:
        """Return what the pulses until now say; this takes no time.

        Raises:
            DeviceUnavailable: the pin cannot be read.
        """
        del timeout_s
        device = self._device
        if device is None:
            raise DeviceUnavailable(_("the pin GPIO{pin} is not open").format(pin=self.pin))
        with pin_errors(self._trouble(), ""):
            closed = bool(device.is_active)
        with self._lock:
            train, now_s = self._train, self.monotonic()
            if train is None:
                return {}
            train.edge(now_s, closed=closed)  # an edge may have gone missing; the level itself does not
            train.settle(now_s)
            power_w = train.measured_w(now_s, self.pulses_per_kwh)
            if power_w is None:
                most_w = train.most_w(now_s, self.pulses_per_kwh)
                power_w = most_w if most_w is not None and most_w <= self.quiet_below_w else None
            energy = {"counted_kwh": train.count / self.pulses_per_kwh}
        return energy if power_w is None else {"power_w": power_w, **energy}

    def close(self) -> None:
        """Give the pin back."""
        device, self._device = self._device, None
        if device is not None:
            close_input(device)

    def _note_edge(self, ticks: Any, level: int) -> None:
        late_s = age_s(ticks)
        at_s = self.monotonic() - (late_s if 0 <= late_s <= LATEST_S else 0.0)
        with self._lock:
            if self._train is not None:
                self._train.edge(at_s, closed=bool(level) != self.active_low)

    def _trouble(self) -> str:
        return _("the pin GPIO{pin} cannot be read").format(pin=self.pin)
