"""A dry contact on a pin: a relay, a lamp's auxiliary contact, a door switch."""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from gpiozero import InputDevice

from instrument_agent.core.errors import DeviceUnavailable
from instrument_agent.core.readings import Channel, Value
from instrument_agent.drivers.gpio import HIGHEST_PIN, LOWEST_PIN, close_input, open_input, pin_errors
from instrument_agent.i18n import _

CLOSED, OPEN = "closed", "open"


@dataclass
class ContactDriver:
    """Says whether a contact is ``closed`` or ``open``.

    ``pin`` is a BCM number. With ``active_low`` the contact lies between the pin and ground (pull-up), else between
    the pin and 3.3 V (pull-down). A state counts once it has lasted ``debounce_s`` within the read.
    """

    alone: ClassVar[tuple[str, ...]] = ("pin",)

    pin: int = field(metadata={"low": LOWEST_PIN, "high": HIGHEST_PIN})
    active_low: bool = True
    debounce_s: float = field(default=0.05, metadata={"low": 0.0, "high": 1.0})

    def __post_init__(self) -> None:
        self._device: InputDevice | None = None
        self._changed = threading.Event()

    @property
    def channels(self) -> Sequence[Channel]:
        """The state of the contact, which is a text."""
        return [Channel("contact", "", 0.0, 0.0, ("closed", "open"))]

    def open(self) -> None:
        """Open the pin as an input."""
        self._device = open_input(self.pin, pull_up=self.active_low, changed=self._note_edge)

    def read(self, timeout_s: float) -> Mapping[str, Value]:
        """Watch the contact until it has been still for ``debounce_s``; None if it never is.

        Raises:
            DeviceUnavailable: the pin cannot be read, or ``timeout_s`` is too short to tell.
        """
        device, deadline_s = self._device, time.monotonic() + timeout_s
        if device is None:
            raise DeviceUnavailable(_("the pin GPIO{pin} is not open").format(pin=self.pin))
        if self.debounce_s >= timeout_s:
            raise DeviceUnavailable(
                _("the contact must be still for {debounce_s} s, but a read may last {timeout_s} s").format(
                    debounce_s=self.debounce_s, timeout_s=timeout_s
                ),
                _("make timeout_s longer than debounce_s"),
            )
        with pin_errors(_("the pin GPIO{pin} cannot be read").format(pin=self.pin), ""):
            while time.monotonic() + self.debounce_s <= deadline_s:
                self._changed.clear()
                state = bool(device.is_active)
                moved = self._changed.wait(self.debounce_s)
                # An edge may go missing; the level itself does not.
                if not moved and bool(device.is_active) == state:
                    return {"contact": CLOSED if state else OPEN}
        return {"contact": None}

    def close(self) -> None:
        """Give the pin back."""
        device, self._device = self._device, None
        if device is not None:
            close_input(device)

    def _note_edge(self, ticks: Any, level: int) -> None:
        del ticks, level
        self._changed.set()
