"""A contact is closed, open, or never still; its pin is an input and nothing else."""

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory
from pins import outputs, simulated_pins

from instrument_agent.core.errors import DeviceUnavailable
from instrument_agent.drivers import gpio
from instrument_agent.drivers.contact import ContactDriver


@pytest.fixture
def board() -> Iterator[MockFactory]:
    with simulated_pins() as factory:
        yield factory


@pytest.fixture
def driver(board: MockFactory) -> Iterator[ContactDriver]:
    contact = ContactDriver(pin=17, debounce_s=0.02)
    contact.open()
    yield contact
    contact.close()


def test_a_contact_to_ground_is_closed_when_it_pulls_the_pin_low(board: MockFactory, driver: ContactDriver) -> None:
    assert driver.read(1.0) == {"contact": "open"}
    board.pin(17).drive_low()
    assert driver.read(1.0) == {"contact": "closed"}
    assert board.pin(17).pull == "up"


def test_a_contact_to_the_supply_is_closed_when_it_pulls_the_pin_high(board: MockFactory) -> None:
    contact = ContactDriver(pin=17, active_low=False, debounce_s=0.0)
    contact.open()
    assert board.pin(17).pull == "down"
    assert contact.read(1.0) == {"contact": "open"}
    board.pin(17).drive_high()
    assert contact.read(1.0) == {"contact": "closed"}
    contact.close()


def bounce(board: MockFactory, stop: threading.Event, every_s: float) -> None:
    while not stop.wait(every_s):
        board.pin(17).drive_low()
        board.pin(17).drive_high()


def test_a_contact_that_is_never_still_is_neither_open_nor_closed(board: MockFactory, driver: ContactDriver) -> None:
    stop = threading.Event()
    bouncing = threading.Thread(target=bounce, args=(board, stop, 0.002))
    bouncing.start()
    driver.debounce_s = 0.1
    begun_s = time.monotonic()
    try:
        assert driver.read(0.3) == {"contact": None}
    finally:
        stop.set()
        bouncing.join()
    assert time.monotonic() - begun_s < 10.0
    assert driver.read(1.0) == {"contact": "open"}


def test_a_state_counts_once_it_has_lasted(board: MockFactory) -> None:
    contact = ContactDriver(pin=17, debounce_s=0.2)
    contact.open()
    closing = threading.Timer(0.05, board.pin(17).drive_low)
    begun_s = time.monotonic()
    closing.start()
    assert contact.read(30.0) == {"contact": "closed"}
    assert time.monotonic() - begun_s >= 0.2
    closing.join()
    contact.close()


def test_an_edge_nobody_told_of_is_seen_by_the_level(board: MockFactory, driver: ContactDriver) -> None:
    def close_unnoticed() -> None:
        board.pin(17)._state = False  # as when the kernel's queue of edges is full

    driver.debounce_s = 0.2
    closing = threading.Timer(0.05, close_unnoticed)
    closing.start()
    assert driver.read(30.0) == {"contact": "closed"}
    closing.join()


def test_time_that_is_too_short_to_tell_is_said(driver: ContactDriver) -> None:
    with pytest.raises(DeviceUnavailable, match=r"still for 0\.02 s") as caught:
        driver.read(0.01)
    assert "timeout_s" in caught.value.hint


def test_a_pin_is_an_input_from_open_to_close(board: MockFactory, driver: ContactDriver) -> None:
    driver.read(1.0)
    device = driver._device
    driver.close()
    driver.close()
    assert device is not None
    assert device.closed
    assert board.pin(17).function == "input"
    assert outputs() == set()
    with pytest.raises(DeviceUnavailable, match="not open"):
        driver.read(1.0)
    driver.open()
    assert driver.read(1.0) == {"contact": "open"}


def test_a_pin_two_instruments_name_is_refused_to_the_second(driver: ContactDriver) -> None:
    with pytest.raises(DeviceUnavailable, match="GPIO17 cannot be opened") as caught:
        ContactDriver(pin=17).open()
    assert "gpioinfo" in caught.value.hint
    ContactDriver(pin=27).open()


def test_pins_two_and_three_have_a_resistor_that_pulls_up(board: MockFactory) -> None:
    with pytest.raises(DeviceUnavailable, match="GPIO3 cannot be opened"):
        ContactDriver(pin=3, active_low=False).open()
    ContactDriver(pin=3).open()


def test_a_box_without_lgpio_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lgpio", None)
    monkeypatch.setattr(Device, "pin_factory", None)
    with pytest.raises(DeviceUnavailable, match="need the library lgpio") as caught:
        ContactDriver(pin=17).open()
    assert "apt install python3-lgpio" in caught.value.hint


def test_no_other_library_is_tried_in_place_of_lgpio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lgpio", None)
    monkeypatch.setattr(Device, "pin_factory", None)
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "native")
    with pytest.raises(DeviceUnavailable):
        ContactDriver(pin=17).open()
    assert Device.pin_factory is None
    assert "gpiozero.pins.native" not in sys.modules


@pytest.fixture
def no_chip(monkeypatch: pytest.MonkeyPatch) -> None:
    """lgpio as far as opening a chip goes: it cannot."""
    lgpio = ModuleType("lgpio")
    lgpio.error = type("error", (Exception,), {})
    for name in ("SET_PULL_NONE", "SET_PULL_UP", "SET_PULL_DOWN", "BOTH_EDGES", "RISING_EDGE", "FALLING_EDGE"):
        setattr(lgpio, name, name)

    def gpiochip_open(chip: int) -> int:
        raise lgpio.error("can not open gpiochip")

    lgpio.gpiochip_open = gpiochip_open
    monkeypatch.setitem(sys.modules, "lgpio", lgpio)
    monkeypatch.setattr(Device, "pin_factory", None)


@pytest.mark.usefixtures("no_chip")
@pytest.mark.skipif(any(Path("/dev").glob("gpiochip*")), reason="this machine has pins of its own")
def test_a_machine_without_pins_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for revision in (tmp_path / "no device tree", tmp_path / "revision of a Pi 3B"):
        monkeypatch.setattr(gpio, "_REVISION", revision)
        with pytest.raises(DeviceUnavailable) as caught:
            ContactDriver(pin=17).open()
        assert caught.value.hint == "pins need a Raspberry Pi"
        (tmp_path / "revision of a Pi 3B").write_bytes(bytes.fromhex("00a02082"))
    assert "no /dev/gpiochip*" in str(caught.value)  # which board it is, is known without /proc
