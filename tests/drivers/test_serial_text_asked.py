"""An instrument that is asked in text: its next whole line is the answer, or there is none."""

import contextlib
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from text_instrument import Answer, TextInstrument

from instrument_agent.core.errors import DeviceUnavailable
from instrument_agent.drivers.serial_text import SerialTextDriver

POWER = {"channel": "power_w", "unit": "W", "query": "POW?", "pattern": r"P=(\S+)"}
TIMEOUT_S = 0.1


@contextmanager
def asked(answer: Answer, **options: Any) -> Iterator[tuple[TextInstrument, SerialTextDriver]]:
    terminator = options.get("terminator", "\n").encode()
    with TextInstrument(answer, terminator=terminator) as instrument:
        driver = SerialTextDriver(port=instrument.port, **{"values": [POWER], **options})
        driver.open()
        try:
            yield instrument, driver
        finally:
            driver.close()


def test_the_answer_to_a_query_becomes_a_value_and_nothing_else_is_sent() -> None:
    with asked(lambda query: [b"P=", b"123.4 ", b"W\r\n"]) as (instrument, driver):
        assert driver.read(5.0) == {"power_w": 123.4}
        assert instrument.heard == b"POW?\n"


def test_two_values_of_one_query_cost_one_question() -> None:
    state = {"channel": "state", "query": "POW?", "pattern": r"S=(\w+)"}
    volts = {"channel": "voltage_v", "unit": "V", "query": "VOLT?", "pattern": "(.+)"}
    answers = {b"POW?": b"P=7 S=RUN\r", b"VOLT?": b"229.9\r"}
    with asked(lambda query: [answers[query]], values=[POWER, state, volts], terminator="\r") as (instrument, driver):
        assert driver.read(5.0) == {"power_w": 7.0, "state": "RUN", "voltage_v": 229.9}
        assert instrument.heard == b"POW?\rVOLT?\r"


@pytest.mark.parametrize(
    "line", [b"P=1_000", b"P=inf", b"P=nan", "P=１２".encode(), b"P=0x10", b"P=1,5", b"P=", b"ERR 12", b"P=\xff"]
)
def test_an_answer_that_is_no_number_is_nonsense(line: bytes) -> None:
    with asked(lambda query: [line + b"\n"], encoding="utf-8") as (_instrument, driver):
        assert driver.read(5.0) == {"power_w": None}


def test_bytes_that_are_no_text_are_no_state() -> None:
    state = {"channel": "state", "query": "STAT?", "pattern": "S=(.+)"}
    with asked(lambda query: [b"S=R\xffN\n"], values=[state], encoding="utf-8") as (_instrument, driver):
        assert driver.read(5.0) == {"state": None}


def test_an_answer_in_chinese_is_read_in_its_encoding() -> None:
    state = {"channel": "state", "query": "STAT?", "pattern": "状态：(.+)"}
    with asked(lambda query: ["状态：运行\n".encode("gbk")], values=[state], encoding="gbk") as (_instrument, driver):
        assert driver.read(5.0) == {"state": "运行"}


@pytest.mark.parametrize(
    "pieces", [[], [b"P=12"], [b"\n\r\n"], [b"x" * 600 + b"\n"]], ids=["none", "half a line", "blank", "too long"]
)
def test_without_a_whole_line_in_time_the_instrument_did_not_answer(pieces: list[bytes]) -> None:
    with asked(lambda query: pieces) as (_instrument, driver):
        begun_s = time.monotonic()
        with pytest.raises(DeviceUnavailable, match=r"no answer to POW\?") as caught:
            driver.read(TIMEOUT_S)
        assert TIMEOUT_S <= time.monotonic() - begun_s < TIMEOUT_S + 1
        assert "baud" in caught.value.hint


def test_what_came_before_the_question_is_no_answer_to_it() -> None:
    with asked(lambda query: [b"P=2\n"]) as (instrument, driver):
        instrument.send(b"P=1\nP=")
        assert driver.read(5.0) == {"power_w": 2.0}


WATTS = {"channel": "power_w", "unit": "W", "query": "POW?", "pattern": "(.+)"}
AMPERES = {"channel": "current_a", "unit": "A", "query": "CURR?", "pattern": "(.+)"}
BOTH = {"power_w": 1500.0, "current_a": 6.5}
LINES = {b"POW?": b"1500\n", b"CURR?": b"6.5\n"}


def test_an_answer_that_comes_late_is_not_taken_for_that_of_the_next_question() -> None:
    late = threading.Event()

    def answer(query: bytes) -> Iterable[bytes]:
        assert late.wait(10)
        return [LINES[query]]

    with asked(answer, values=[WATTS, AMPERES]) as (instrument, driver):
        with pytest.raises(DeviceUnavailable, match=r"no answer to POW\?"):
            driver.read(0.25)
        threading.Timer(0.1, late.set).start()
        assert driver.read(5.0) == BOTH
        assert instrument.heard == b"POW?\nPOW?\nCURR?\n"


def test_while_an_answer_may_still_come_nothing_else_is_asked_and_then_it_is() -> None:
    with asked(lambda query: [LINES[query]] if instrument.heard.count(b"POW?") > 1 else []) as (instrument, driver):
        begun_s = time.monotonic()
        while instrument.heard != b"POW?\nPOW?\n":
            with contextlib.suppress(DeviceUnavailable):
                driver.read(TIMEOUT_S)
            assert time.monotonic() < begun_s + 10
        assert time.monotonic() >= begun_s + 4 * TIMEOUT_S


def test_an_instrument_that_sends_the_question_back_has_not_answered_yet() -> None:
    def answer(query: bytes) -> Iterable[bytes]:
        yield query + b"\r\n"
        time.sleep(0.05)  # longer than the line must be silent before a question
        yield LINES[query]

    with asked(answer, values=[WATTS, AMPERES]) as (_instrument, driver):
        assert driver.read(5.0) == BOTH


def test_a_line_that_does_not_fall_silent_in_time_is_not_asked() -> None:
    with asked(lambda query: [b"P=2\n"]) as (instrument, driver):
        instrument.send(b"noise")
        instrument.await_waiting(5)
        with pytest.raises(DeviceUnavailable, match="does not fall silent"):
            driver.read(0.0)
        assert instrument.heard == b""


def test_an_instrument_that_answers_without_end_is_left_at_the_deadline() -> None:
    def flood(query: bytes) -> Iterable[bytes]:
        instrument.chatter = b"1" * 400
        return [b"P="]

    with asked(flood) as (instrument, driver):
        begun_s = time.monotonic()
        with pytest.raises(DeviceUnavailable, match="no answer"):
            driver.read(TIMEOUT_S)
        assert time.monotonic() - begun_s < TIMEOUT_S + 1


def test_a_port_that_goes_away_is_a_device_that_does_not_answer() -> None:
    with TextInstrument() as instrument:
        driver = SerialTextDriver(port=instrument.port, values=[POWER])
        driver.open()
    with pytest.raises(DeviceUnavailable, match="failed"):
        driver.read(TIMEOUT_S)
    driver.close()
    driver.close()
    with pytest.raises(DeviceUnavailable, match="not open"):
        driver.read(TIMEOUT_S)
    with pytest.raises(DeviceUnavailable, match="cannot be opened") as caught:
        driver.open()
    assert "ls /dev/serial/by-id/" in caught.value.hint
