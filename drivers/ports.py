"""The serial ports of this machine: what hangs on each, and by which name it is found again after replugging."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serial.tools.list_ports import comports

from instrument_agent.i18n import _
from instrument_agent.rights import device_hint


@dataclass(frozen=True, slots=True)
class Port:
    """One serial port.

    ``stable`` is the name to write into a config file: by-id where the adapter has a serial number of its own,
    by-path where it has none (CH340, PL2303), since two of these cannot be told apart by their id; empty if udev
    made neither. ``usb`` is vendor:product in hex.
    """

    device: str
    stable: str
    usb: str
    description: str
    driver: str
    serial_number: str
    allowed: bool
    hint: str


def serial_ports(
    found: Iterable[Any] | None = None, dev: Path = Path("/dev"), sysfs: Path = Path("/sys")
) -> list[Port]:
    """Return all serial ports, by device name; ``found`` are pyserial's descriptions of them."""
    described = comports() if found is None else found
    return sorted((_port(item, dev, sysfs) for item in described), key=lambda port: port.device)


def _stable_name(device: Path, *, has_serial_number: bool, dev: Path = Path("/dev")) -> str:
    """Return the name udev gave a port that stays the same over replugging; empty if there is none."""
    folders = ("by-id", "by-path") if has_serial_number else ("by-path",)
    for folder in folders:
        for link in sorted((dev / "serial" / folder).glob("*")):
            if link.resolve() == device.resolve():
                return str(link)
    return ""


def lasting_name(port: str) -> str:
    """Return the name under which a port is found again after replugging, or the one given if there is none."""
    known = {item.device: item.stable for item in serial_ports()}
    return known.get(os.path.realpath(port), "") or port


def _port(item: Any, dev: Path, sysfs: Path) -> Port:
    device = Path(item.device)
    allowed = os.access(device, os.R_OK | os.W_OK)
    stable = _stable_name(device, has_serial_number=bool(item.serial_number), dev=dev)
    hints = [] if allowed else [device_hint(device)]
    if item.vid is not None and not stable:
        hints.append(_("udev made no stable name: after replugging this may be another adapter"))
    return Port(
        device=str(device),
        stable=stable,
        usb="" if item.vid is None else f"{item.vid:04x}:{item.pid:04x}",
        description=" ".join(part for part in (item.manufacturer, item.product) if part),
        driver=_driver(sysfs / "class" / "tty" / device.name / "device" / "driver"),
        serial_number=item.serial_number or "",
        allowed=allowed,
        hint="; ".join(hints),
    )


def _driver(link: Path) -> str:
    return link.resolve().name if link.exists() else ""
