"""What stands in the service's unit and in the udev rule beside it."""

import re

import pytest
from building import ROOT
from hardening import rated_within

UNIT = ROOT / "systemd/instrument-agent.service"
RULES = ROOT / "systemd/instrument-agent.udev.rules"

# Devices whose class comes with a module (Linux's Kconfig says tristate), and that module.
MODULES = {
    "ttyUSB": "usbserial",
    "ttyACM": "cdc_acm",
    "ttySC": "sc16is7xx",
    "spi": "spidev",
    "i2c": "i2c_dev",
}
BUILT_IN = {"ttyAMA", "ttyS", "gpiochip"}
NODES = {"spi": "spidev", "i2c": "i2c-dev"}
"""Names of classes in /proc/devices and of subsystems in udev, where they differ."""


def unit_lines(key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE)


def allowed() -> set[str]:
    return {line.removeprefix("char-").removesuffix(" rw") for line in unit_lines("DeviceAllow")}


def test_the_unit_is_rated_as_hardened() -> None:
    rated_within(UNIT, 15)


@pytest.mark.parametrize("order", ["Wants", "After"])
def test_the_class_of_each_device_that_may_be_plugged_in_later_is_there_before_the_service_starts(order: str) -> None:
    assert allowed() == MODULES.keys() | BUILT_IN
    loaded = {unit for line in unit_lines(order) for unit in line.split()}
    assert loaded == {f"modprobe@{module}.service" for module in MODULES.values()}


def test_what_the_unit_allows_is_what_udev_lets_the_agents_group_open() -> None:
    rules = RULES.read_text(encoding="utf-8")
    named = set(re.findall(r'[|"](tty[A-Z]+|gpiochip|spidev|i2c-dev)(?=[\["|])', rules))
    assert named == {NODES.get(name, name) for name in allowed()}
    assert "OWNER" not in rules
    assert "GROUP" not in rules, "whoever used a port by its group must still be able to"


def test_the_service_is_started_again_for_ever_except_upon_a_mistake_in_its_configuration() -> None:
    assert unit_lines("Restart") == ["always"]
    assert unit_lines("StartLimitIntervalSec") == ["0"]
    assert unit_lines("RestartPreventExitStatus") == ["78"]


def test_the_service_must_say_that_it_is_ready_and_goes_on_making_progress() -> None:
    assert unit_lines("Type") == ["notify"]
    assert unit_lines("WatchdogSec") == ["60"]


def test_the_service_is_in_no_group_that_may_not_exist() -> None:
    assert not unit_lines("SupplementaryGroups")
    assert not re.findall("^m ", (ROOT / "systemd/instrument-agent.sysusers.conf").read_text(), re.MULTILINE)
