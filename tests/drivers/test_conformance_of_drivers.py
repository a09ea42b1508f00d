"""The conformance kit passes our drivers and the example, on lines that misbehave in every way."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory
from lab_meter import example

from instrument_agent.core.errors import ConfigError, DeviceUnavailable
from instrument_agent.drivers.conformance import Finding, findings
from instrument_agent.drivers.registry import driver_class, driver_names

LabMeter = example().LabMeter
NOWHERE = "/dev/nowhere"
TEXT = {"channel": "power_w", "unit": "W", "pattern": "P=([0-9.]+)"}
ON_LINES: list[tuple[str, dict[str, Any]]] = [
    ("modbus", {"port": NOWHERE}),
    ("modbus", {"host": "127.0.0.1", "tcp_port": 1}),
    ("modbus", {"host": "127.0.0.1", "tcp_port": 1, "rtu_over_tcp": True}),
    ("serial_text", {"port": NOWHERE, "values": [TEXT]}),
    ("serial_text", {"port": NOWHERE, "values": [TEXT | {"query": "P?"}]}),
]
OF_THEIR_OWN: list[tuple[str, dict[str, Any]]] = [
    ("mock", {"script": [20.0, "nonsense", "absent"], "step_s": 0.01}),
    ("contact", {"pin": 17}),
    ("pulse", {"pin": 17, "pulses_per_kwh": 1000.0}),
    ("current_clamp", {"ct_ratio": 2000.0, "burden_ohm": 33.0}),
]


def failed(found: Sequence[Finding]) -> list[str]:
    return [f"{item.check}: {item.problem}" for item in found if item.failed]


@pytest.fixture
def pins() -> Iterator[None]:
    """Pins of no board."""
    before, Device.pin_factory = Device.pin_factory, MockFactory()
    yield
    Device.pin_factory.reset()
    Device.pin_factory = before


@pytest.fixture(scope="module")
def checked() -> Iterator[dict[int, Future[list[dict[str, str]]]]]:
    """What `driver-check` says of each driver on a line, in processes of their own: they mostly wait."""
    with ThreadPoolExecutor(len(ON_LINES)) as pool:
        yield {number: pool.submit(driver_check, *ON_LINES[number]) for number in range(len(ON_LINES))}


def driver_check(name: str, options: dict[str, Any]) -> list[dict[str, str]]:
    given = [part for key, value in options.items() for part in ("--option", f"{key}={toml(value)}")]
    command = [sys.executable, "-m", "instrument_agent.cli.main", "driver-check", name, *given, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    found = json.loads(done.stdout)
    results = {item["result"] for item in found["findings"]}
    assert (done.returncode == 0) == found["ok"] == (not results & {"failed", "unanswered"})
    assert found["not_run"] == 0
    return found["findings"]


def toml(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {toml(item)}' for key, item in value.items())}}}"
    return json.dumps(value)


@pytest.mark.parametrize("number", range(len(ON_LINES)), ids=lambda number: f"{ON_LINES[number][0]}-{number}")
def test_our_drivers_on_lines_do_what_every_driver_must(number: int, checked):
    found = {item["check"]: item for item in checked[number].result()}
    assert [item for item in found.values() if item["result"] == "failed"] == []
    (unanswered,) = [item for item in found.values() if item["result"] != "ok"]
    assert unanswered["result"] == "unanswered"
    assert "the device does not answer" in unanswered["problem"]
    assert unanswered["hint"]


@pytest.mark.usefixtures("pins")
@pytest.mark.parametrize(("name", "options"), OF_THEIR_OWN, ids=lambda value: value if isinstance(value, str) else "")
def test_our_other_drivers_do_what_every_driver_must(name: str, options: dict[str, Any]):
    found = findings(driver_class(name), options)
    assert failed(found) == []
    assert [item.skipped for item in found if "pulled out" in item.check] == [
        "it has neither a port nor a host that could be replaced"
    ]


def test_every_driver_that_ships_is_proven():
    ours = {name for name in driver_names() if driver_class(name).__module__.startswith("instrument_agent.")}
    assert ours == {name for name, _options in (*ON_LINES, *OF_THEIR_OWN)}


def test_the_example_does_what_every_driver_must():
    found = findings(LabMeter, {"port": NOWHERE})
    assert failed(found) == []
    (unanswered,) = [item for item in found if item.unanswered]
    assert (unanswered.hint, unanswered.skipped) == ("check that the adapter is plugged in: ls /dev/serial/by-id/", "")


def test_the_example_does_not_ask_for_the_adapter_when_another_program_has_the_port():
    ours, theirs = os.openpty()
    try:
        port = os.ttyname(theirs)
        first, second = LabMeter(port), LabMeter(port)
        first.open()
        with pytest.raises(DeviceUnavailable, match="lock") as caught:
            second.open()
        first.close()
    finally:
        os.close(ours)
        os.close(theirs)
    assert "sudo fuser -v" in caught.value.hint


def test_options_a_driver_does_not_take_are_the_callers_mistake():
    with pytest.raises(ConfigError, match="either a script or a trace"):
        findings(driver_class("mock"), {})
    with pytest.raises(ConfigError, match="does not take these options: TypeError"):
        findings(LabMeter, {"pott": NOWHERE})
