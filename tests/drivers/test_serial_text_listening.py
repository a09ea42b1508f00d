"""An instrument that is only listened to: not one byte is sent, and only whole lines of now are values."""

import fcntl
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import serial.serialposix
from text_instrument import TextInstrument

from instrument_agent.core.errors import DeviceUnavailable
from instrument_agent.drivers.serial_text import TTY_BUFFER, SerialTextDriver

POWER = {"channel": "power_w", "unit": "W", "pattern": r"^(\d+) W"}
STATE = {"channel": "state", "pattern": r"^STATE (\w+)"}
TIMEOUT_S = 0.1
PATIENT_S = 0.5
"""For what must be heard on a machine that is busy with other things."""


@pytest.fixture
def instrument() -> Iterator[TextInstrument]:
    with TextInstrument() as talking:
        yield talking


@pytest.fixture
def driver(instrument: TextInstrument) -> Iterator[SerialTextDriver]:
    listening = SerialTextDriver(port=instrument.port, values=[POWER, STATE])
    listening.open()
    yield listening
    listening.close()


def test_each_value_is_taken_from_the_lines_it_stands_in(instrument: TextInstrument, driver: SerialTextDriver) -> None:
    instrument.chatter = b"hello\n1500 W\nSTATE RUN\n"
    assert driver.read(5.0) == {"power_w": 1500.0, "state": "RUN"}


def test_a_value_that_was_not_said_is_missing(instrument: TextInstrument, driver: SerialTextDriver) -> None:
    instrument.chatter = b"1500 W\n"
    assert driver.read(PATIENT_S) == {"power_w": 1500.0}


def test_the_newest_line_counts(instrument: TextInstrument, driver: SerialTextDriver) -> None:
    instrument.chatter = b"\n1 W\nSTATE A\n2 W\nSTATE B\n"
    driver.read(5.0)
    assert driver.read(5.0) == {"power_w": 2.0, "state": "B"}


def test_lines_without_a_value_are_nonsense_and_silence_is_no_answer(
    instrument: TextInstrument, driver: SerialTextDriver
) -> None:
    with pytest.raises(DeviceUnavailable, match="no whole line") as caught:
        driver.read(TIMEOUT_S)
    assert "timeout_s" in caught.value.hint
    instrument.chatter = b"hello\n"
    assert driver.read(PATIENT_S) == {"power_w": None, "state": None}


def test_bytes_that_are_no_text_are_nonsense(instrument: TextInstrument, driver: SerialTextDriver) -> None:
    instrument.chatter = b"15\xff W\n"
    assert driver.read(PATIENT_S) == {"power_w": None, "state": None}


def test_the_end_of_a_line_that_began_before_the_port_was_opened_is_no_value(
    instrument: TextInstrument, driver: SerialTextDriver
) -> None:
    instrument.send(b"1")
    instrument.await_waiting(1)
    threading.Timer(0.05, instrument.send, [b"500 W\n"]).start()  # perhaps of "21500 W"
    with pytest.raises(DeviceUnavailable, match="no whole line"):
        driver.read(0.3)


def test_a_first_line_after_a_pause_is_whole(instrument: TextInstrument, driver: SerialTextDriver) -> None:
    threading.Timer(0.4, instrument.send, [b"1500 W\nSTATE RUN\n"]).start()  # once: a second one may come too late
    assert driver.read(5.0) == {"power_w": 1500.0, "state": "RUN"}


def test_a_line_from_before_the_read_is_too_old_to_be_a_value(
    instrument: TextInstrument, driver: SerialTextDriver
) -> None:
    instrument.send(b"\n1 W\nSTATE OLD\n")
    instrument.await_waiting(15)
    with pytest.raises(DeviceUnavailable, match="no whole line"):
        driver.read(TIMEOUT_S)


def test_a_line_that_is_completed_during_the_read_is_whole(
    instrument: TextInstrument, driver: SerialTextDriver
) -> None:
    instrument.send(b"\n15")
    instrument.await_waiting(3)
    threading.Timer(0.1, instrument.send, [b"00 W\nSTATE RUN\n"]).start()
    assert driver.read(5.0) == {"power_w": 1500.0, "state": "RUN"}


def test_half_a_line_is_never_a_value(instrument: TextInstrument, driver: SerialTextDriver) -> None:
    instrument.send(b"\n1500 W")
    for _attempt in range(2):
        with pytest.raises(DeviceUnavailable, match="no whole line"):
            driver.read(TIMEOUT_S)


def test_a_backlog_in_which_bytes_may_be_missing_is_thrown_away(
    instrument: TextInstrument, driver: SerialTextDriver
) -> None:
    instrument.send(b"\nSTATE O")
    with pytest.raises(DeviceUnavailable, match="no whole line"):
        driver.read(TIMEOUT_S)
    instrument.send(b"1 W\n" * 1200 + b"STATE O")
    instrument.await_waiting(TTY_BUFFER)
    instrument.chatter = b"LD\n2 W\n"
    assert driver.read(PATIENT_S) == {"power_w": 2.0}


def test_noise_without_a_line_end_stops_at_the_deadline(instrument: TextInstrument, driver: SerialTextDriver) -> None:
    instrument.chatter = b"\x00\xff" * 200
    begun_s = time.monotonic()
    with pytest.raises(DeviceUnavailable, match="no whole line"):
        driver.read(TIMEOUT_S)
    assert time.monotonic() - begun_s < TIMEOUT_S + 1
    instrument.chatter = b"\n7 W\nSTATE RUN\n"
    assert driver.read(5.0) == {"power_w": 7.0, "state": "RUN"}


def test_a_listener_never_sends_a_byte(instrument: TextInstrument, driver: SerialTextDriver) -> None:
    for chatter in (b"", b"hello\n", b"noise", b"\n7 W\nSTATE RUN\n"):
        instrument.chatter = chatter
        try:
            driver.read(TIMEOUT_S)
        except DeviceUnavailable:
            driver.close()
            driver.open()
    assert instrument.heard == b""


def test_the_port_is_held_alone(instrument: TextInstrument, driver: SerialTextDriver) -> None:
    other = SerialTextDriver(port=instrument.port, values=[POWER])
    with pytest.raises(DeviceUnavailable, match="cannot be opened") as caught:
        other.open()
    assert f"fuser -v {instrument.port}" in caught.value.hint
    driver.close()
    other.open()
    other.close()


@pytest.mark.parametrize(
    ("options", "lowered"), [({}, {"DTR", "RTS"}), ({"dtr": True}, {"RTS"}), ({"dtr": True, "rts": True}, set())]
)
def test_dtr_and_rts_are_lowered_before_anything_else_happens_on_the_port(
    instrument: TextInstrument, monkeypatch: pytest.MonkeyPatch, options: dict[str, bool], lowered: set[str]
) -> None:
    lines = {serial.serialposix.TIOCM_DTR_str: "DTR", serial.serialposix.TIOCM_RTS_str: "RTS"}
    changes: list[tuple[bool, str]] = []

    def recorded(fd: int, request: int, argument: Any = 0, *more: Any) -> Any:
        if request in (serial.serialposix.TIOCMBIC, serial.serialposix.TIOCMBIS):
            changes.append((request == serial.serialposix.TIOCMBIS, lines[argument]))
            return b""  # a pseudo-terminal has no such lines
        return real(fd, request, argument, *more)

    real = fcntl.ioctl
    monkeypatch.setattr(fcntl, "ioctl", recorded)
    driver = SerialTextDriver(port=instrument.port, values=[POWER], **options)
    driver.open()
    driver.close()
    assert changes == [("DTR" not in lowered, "DTR"), ("RTS" not in lowered, "RTS")]
