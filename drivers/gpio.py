"""The pins of the box, as inputs only; gpiozero drives them through lgpio, which goes through the kernel.

lgpio starts a thread and leaves a file in the working directory as soon as it is imported, so that happens when the
first pin is opened. Its debouncing compares two different clocks (github.com/joan2937/lg/issues/19) and is not used.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gpiozero import Device, GPIOZeroError, GPIOZeroWarning, InputDevice

from instrument_agent.core.errors import DeviceUnavailable
from instrument_agent.i18n import _
from instrument_agent.rights import device_hint

LOWEST_PIN, HIGHEST_PIN = 2, 27
"""BCM numbers on the 40-pin header; 0 and 1 belong to the EEPROM of an add-on board."""

# /proc/device-tree, where gpiozero looks, is hidden from a service with ProcSubset=pid.
_REVISION = Path("/sys/firmware/devicetree/base/system/linux,revision")

_choosing = threading.Lock()


@contextmanager
def pin_errors(what: str, hint: str) -> Iterator[None]:
    """Turn whatever pins and chips raise into DeviceUnavailable with ``what`` was done and what to do next."""
    lgpio = sys.modules.get("lgpio")
    lgpio_error: tuple[type[Exception], ...] = (lgpio.error,) if lgpio else ()
    try:
        yield
    except (GPIOZeroError, GPIOZeroWarning, OSError, *lgpio_error) as error:
        raise DeviceUnavailable(_("{what}: {error}").format(what=what, error=error), hint) from error


def ensure_pins() -> None:
    """Choose lgpio for all pins of this process, unless another factory has been chosen.

    gpiozero by itself would fall back to libraries that write to the chip's registers.

    Raises:
        DeviceUnavailable: there are no pins, or this user may not use them.
    """
    with _choosing:
        if Device.pin_factory is None:
            Device.pin_factory = _lgpio_factory()


def open_input(pin: int, *, pull_up: bool, changed: Callable[[Any, int], None]) -> InputDevice:
    """Open a pin as an input; ``changed(ticks, level)`` is called in another thread at each edge.

    ``ticks`` is a time of the pin factory. ``changed`` must be a method, which is held weakly, and must not raise:
    one exception would end the thread that serves all pins.

    Raises:
        DeviceUnavailable: there is no such pin, it is in use, or this user may not use it.
    """
    ensure_pins()
    hint = _("another program or overlay may use this pin: see gpioinfo, and dtoverlay in /boot/firmware/config.txt")
    with pin_errors(_("the pin GPIO{pin} cannot be opened").format(pin=pin), hint):
        device = InputDevice(pin, pull_up=pull_up)
        try:
            device.pin.edges = "both"
            device.pin.when_changed = changed
        except BaseException:
            device.close()
            raise
    return device


def close_input(device: InputDevice) -> None:
    """Give a pin back."""
    device.pin.when_changed = None  # closing alone would leave lgpio calling
    device.close()


def age_s(ticks: Any) -> float:
    """Return how long ago an edge was; the thread that tells of it may be late."""
    factory = Device.pin_factory
    return float(factory.ticks_diff(factory.ticks(), ticks))


def _lgpio_factory() -> Any:
    try:
        import lgpio
        from gpiozero.pins.lgpio import LGPIOFactory
    except ImportError as error:
        raise DeviceUnavailable(
            _("pins need the library lgpio: {error}").format(error=error),
            _("install it: sudo apt install python3-lgpio"),
        ) from error
    except OSError as error:
        raise DeviceUnavailable(
            _("lgpio cannot write into the working directory: {error}").format(error=error),
            _("start the agent in a directory it may write to"),
        ) from error

    class Pins(LGPIOFactory):  # type: ignore[misc]  # gpiozero is not typed
        """lgpio, on whatever board this is."""

        def _get_revision(self) -> int:
            try:
                return int.from_bytes(_REVISION.read_bytes()[:4], "big")
            except OSError:
                return int(super()._get_revision())

    try:
        with pin_errors(_("this machine has no pins for gpiozero"), _("pins need a Raspberry Pi")):
            return Pins()
    except DeviceUnavailable as error:
        if isinstance(error.__cause__, lgpio.error):
            raise _chip_trouble() from error
        raise


def _chip_trouble() -> DeviceUnavailable:
    chips = sorted(Path("/dev").glob("gpiochip*"))
    if not chips:
        return DeviceUnavailable(_("there is no /dev/gpiochip*"), _("pins need a Raspberry Pi"))
    if all(os.access(chip, os.R_OK | os.W_OK) for chip in chips):
        return DeviceUnavailable(
            _("{path} cannot be opened").format(path=chips[0]),
            _("if the agent runs as a service: let DeviceAllow=char-gpiochip rw stand in its unit"),
        )
    return DeviceUnavailable(_("{path} may not be opened").format(path=chips[0]), device_hint(chips[0]))
