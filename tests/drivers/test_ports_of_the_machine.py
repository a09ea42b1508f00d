"""Serial ports are named so that they are found again, and what is in the way is said."""

from pathlib import Path

import pytest
from serial.tools.list_ports_common import ListPortInfo

from instrument_agent.drivers.ports import serial_ports


class Machine:
    """The folders of /dev and /sys a port is looked up in."""

    def __init__(self, folder: Path) -> None:
        self.dev, self.sysfs = folder / "dev", folder / "sys"
        for name in ("by-id", "by-path"):
            (self.dev / "serial" / name).mkdir(parents=True)

    def plug(self, name: str, serial_number: str | None, driver: str, *links: str) -> ListPortInfo:
        device = self.dev / name
        device.touch()
        for link in links:
            (self.dev / "serial" / link).symlink_to(device)
        drivers = self.sysfs / "drivers" / driver
        drivers.mkdir(parents=True, exist_ok=True)
        tty = self.sysfs / "class" / "tty" / name / "device"
        tty.mkdir(parents=True)
        (tty / "driver").symlink_to(drivers)
        info = ListPortInfo(str(device))
        info.vid, info.pid, info.serial_number = 0x1A86, 0x7523, serial_number
        info.manufacturer, info.product = "QinHeng", "CH340"
        return info


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_an_adapter_with_a_serial_number_goes_by_its_id(machine: Machine):
    info = machine.plug("ttyUSB0", "A10X", "ftdi_sio", "by-id/usb-FTDI_A10X", "by-path/platform-usb-0:1.2")
    (port,) = serial_ports([info], machine.dev, machine.sysfs)
    assert port.stable == str(machine.dev / "serial/by-id/usb-FTDI_A10X")
    assert (port.usb, port.driver, port.description) == ("1a86:7523", "ftdi_sio", "QinHeng CH340")
    assert (port.serial_number, port.allowed, port.hint) == ("A10X", True, "")


def test_an_adapter_without_one_goes_by_its_path_since_two_would_have_the_same_id(machine: Machine):
    info = machine.plug("ttyUSB1", None, "ch341", "by-id/usb-1a86_USB_Serial", "by-path/platform-usb-0:1.3")
    (port,) = serial_ports([info], machine.dev, machine.sysfs)
    assert port.stable == str(machine.dev / "serial/by-path/platform-usb-0:1.3")


def test_a_port_without_a_lasting_name_is_said_to_have_none(machine: Machine):
    (port,) = serial_ports([machine.plug("ttyUSB2", None, "ch341")], machine.dev, machine.sysfs)
    assert port.stable == ""
    assert "stable name" in port.hint


def test_a_port_that_may_not_be_opened_says_what_to_do(machine: Machine):
    info = machine.plug("ttyUSB3", "A", "ftdi_sio", "by-id/usb-A")
    (machine.dev / "ttyUSB3").unlink()  # nobody, not even root, may open what is not there
    (port,) = serial_ports([info], machine.dev, machine.sysfs)
    assert not port.allowed
    assert "sudo" in port.hint


def test_ports_come_in_the_order_of_their_names(machine: Machine):
    found = [machine.plug(name, None, "ch341") for name in ("ttyUSB1", "ttyACM0", "ttyUSB0")]
    names = [Path(port.device).name for port in serial_ports(found, machine.dev, machine.sysfs)]
    assert names == ["ttyACM0", "ttyUSB0", "ttyUSB1"]
