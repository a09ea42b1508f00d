"""`scan --port` finds meters at their own settings, names them, and asks nothing but for registers."""

import json
import signal
import sys
import threading
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from field_box import Running, until
from in_process import Done as Finished
from in_process import run
from tuned_line import (
    DDSU666,
    ELSEWHERE,
    SDM120,
    ModbusMeter,
    TunedLine,
    dlt645_meter,
    refusing_parities,
    taking_parities,
)

from instrument_agent.config import load_config
from instrument_agent.drivers.dlt645 import address_in, address_question
from instrument_agent.field import search as search_module
from instrument_agent.field.search import Found, Setting, search, serial_plan

COMMAND = [sys.executable, "-m", "instrument_agent.cli.main", "scan"]
ADDRESS = "202311220042"


@dataclass
class Done:
    """What a scan heard on the line, printed and wrote to the error output."""

    line: TunedLine
    stdout: str
    stderr: str


def scan(*arguments: str) -> Finished:
    """A scan that asks for DL/T 645 at one baud rate only, to save time."""
    with pytest.MonkeyPatch.context() as patched, TemporaryDirectory() as folder:
        patched.setattr(search_module, "BAUDS", (2400,))
        return run("scan", "--config", elsewhere(Path(folder)), *arguments)


def elsewhere(folder: Path) -> str:
    """The config file of a box that reads no line of ours."""
    path = folder / "elsewhere.toml"
    path.write_text(ELSEWHERE)
    return str(path)


@pytest.fixture(scope="module")
def scanned() -> Iterator[Done]:
    """One scan of a line with three meters, each at settings of its own."""
    with (
        TunedLine(
            ((19200, "N"), ModbusMeter(1, 4, SDM120)),
            ((9600, "E"), ModbusMeter(2, 3, DDSU666)),
            ((2400, "E"), dlt645_meter(ADDRESS)),
        ) as line,
        taking_parities(),
    ):
        done = scan("--port", line.port, "--units", "1-2", "--baud", "9600,19200")
        assert done.returncode == 0, done.stderr
        yield Done(line, done.stdout, done.stderr)


def blocks(text: str) -> list[dict[str, Any]]:
    return [
        tomllib.loads("[instrument.driver]" + part.split("\n\n")[0])["instrument"]["driver"]
        for part in text.split("[instrument.driver]")[1:]
    ]


def test_each_meter_is_found_at_its_own_settings_and_with_its_profile(scanned):
    line = scanned.line
    assert blocks(scanned.stdout) == [
        {
            "name": "modbus",
            "profile": "eastron-sdm120",
            "unit_id": 1,
            "port": line.port,
            "baud": 19200,
            "parity": "N",
            "stop_bits": 1,
        },
        {
            "name": "modbus",
            "profile": "chint-ddsu666",
            "unit_id": 2,
            "port": line.port,
            "baud": 9600,
            "parity": "E",
            "stop_bits": 1,
        },
    ]


def test_how_long_it_may_take_is_said_first(scanned):
    assert scanned.stderr.startswith("looking at up to ")


def test_what_it_prints_can_be_pasted_into_a_config(scanned, tmp_path: Path):
    block = "[instrument.driver]" + scanned.stdout.split("[instrument.driver]")[1].split("\n\n")[0]
    path = tmp_path / "box.toml"
    path.write_text(
        f'[box]\nid = "b"\n[[instrument]]\nid = "x"\n{block}\n[instrument.activity]\noff_below = 5\nrun_above = 500\n'
    )
    assert load_config(path).instruments[0].driver.options["profile"] == "eastron-sdm120"


def test_a_meter_that_speaks_dlt_645_is_named_by_its_address(scanned):
    assert f"address {ADDRESS} speaks DL/T 645 at 2400 baud" in scanned.stdout
    assert "DDSU666" in scanned.stdout


def test_nothing_but_registers_and_the_address_was_asked_for(scanned):
    heard = [question for _tuning, question in scanned.line.heard]
    assert heard
    assert {question[1] for question in heard if not question.startswith(b"\xfe")} == {3, 4}
    assert {question for question in heard if question.startswith(b"\xfe")} == {address_question()}


def test_a_line_nobody_answers_on_is_said_to_be_silent(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(search_module, "BAUDS", ())
    found = Found()
    with TunedLine(((9600, "N"), ModbusMeter(7, 4, SDM120))) as line:
        plan = serial_plan(line.port, [1, 2], [9600], ["N"])
        done: list[float] = []
        search(plan, found, threading.Event(), done.append)
        assert (found.meters, found.other_protocol, found.damaged) == ([], [], set())
        assert done[-1] == pytest.approx(plan.longest_s)
        assert {tuning for tuning, _question in line.heard} == {(9600, "N")}


def test_settings_the_adapter_refuses_are_left_out_and_named():
    with (
        TunedLine(((9600, "N"), ModbusMeter(1, 4, SDM120))) as line,
        refusing_parities(),
    ):
        done = scan("--port", line.port, "--units", "1", "--baud", "9600")
    assert blocks(done.stdout)[0]["profile"] == "eastron-sdm120"
    assert "does not know 9600 baud with parity E" in done.stdout


def test_a_damaged_answer_is_told_apart_from_silence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(search_module, "BAUDS", ())
    found = Found()
    with TunedLine(((9600, "N"), lambda heard: bytes([heard[0]]) + b"\x04\x04\x00\x11\x22\x33\x99\x99")) as line:
        search(serial_plan(line.port, [3], [9600], ["N"]), found, threading.Event(), lambda _done: None)
    assert found.damaged == {(3, Setting(9600, "N"))}
    assert not found.meters


def test_a_meter_no_profile_fits_is_still_reported(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(search_module, "BAUDS", ())
    found = Found()
    with TunedLine(((9600, "N"), ModbusMeter(3, 4, {0x7000: 1}))) as line:
        search(serial_plan(line.port, [3], [9600], ["N"]), found, threading.Event(), lambda _done: None)
    assert [(meter.unit_id, [fit for fit in meter.fits if fit.likely]) for meter in found.meters] == [(3, [])]


def test_an_interrupted_scan_ends_in_order_with_what_it_found(tmp_path: Path):
    with TunedLine(((9600, "N"), ModbusMeter(1, 4, SDM120))) as line:
        command = [*COMMAND, "--port", line.port, "--units", "1-247", "--config", elsewhere(tmp_path)]
        with Running(command) as process:
            until(lambda: any(question[0] == 2 for _tuning, question in line.heard), process)  # unit 1 is done
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert "ended early" in err
    assert blocks(out)[0]["profile"] == "eastron-sdm120"


def test_a_port_that_is_not_there_is_an_error_with_a_hint(tmp_path: Path):
    done = scan("--port", str(tmp_path / "ttyUSB7"))
    assert done.returncode == 1
    assert "cannot be opened" in done.stderr
    assert "What to do" in done.stderr
    assert "no meter answers" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--port", "x", "--units", "0"), "between 1 and 247"),
        (("--port", "x", "--units", "5-3"), "5-3 is backwards: write 3-5"),
        (("--port", "x", "--units", "1-999999999999"), "between 1 and 247"),
        (("--port", "x", "--baud", "fast"), "no list of numbers"),
        (("--port", "x", "--parity", "N,X"), "no list of parities"),
    ],
)
def test_a_mistyped_list_is_named(arguments: tuple[str, ...], said: str):
    done = scan(*arguments)
    assert done.returncode == 2
    assert said in done.stderr


def test_ports_are_listed_as_json():
    assert isinstance(json.loads(scan("--json").stdout)["ports"], list)


GOOD = dlt645_meter(ADDRESS)(address_question())


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        address_question(),
        GOOD[:-1],
        GOOD[:-2] + b"\x00\x16",
        GOOD[:8] + b"\x69" + GOOD[9:],
        b"\x68" * 40,
        ModbusMeter(1, 4, SDM120)(bytes.fromhex("010400000002") + b"\x71\xcb"),
    ],
)
def test_what_is_no_whole_dlt_645_answer_names_no_meter(answer: bytes):
    assert address_in(GOOD) == ADDRESS
    assert address_in(b"\x00\x68\xfe" + GOOD) == ADDRESS
    assert address_in(answer) is None
