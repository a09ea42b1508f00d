"""The conformance kit passes good drivers, and catches each bad one for its own reason."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory
from lab_meter import example

from instrument_agent.core.errors import ConfigError, DeviceUnavailable
from instrument_agent.core.readings import Channel, Value
from instrument_agent.drivers import conformance, trials
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
    assert (unanswered.hint, unanswered.skipped) == ("is the adapter plugged in?", "")


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
    assert "who else uses it?" in caught.value.hint


def test_options_a_driver_does_not_take_are_the_callers_mistake():
    with pytest.raises(ConfigError, match="either a script or a trace"):
        findings(driver_class("mock"), {})
    with pytest.raises(ConfigError, match="does not take these options: TypeError"):
        findings(LabMeter, {"pott": NOWHERE})


@dataclass
class WithoutClose:
    """Cannot be closed."""

    channels = (Channel("power_w", "W", 0, 1),)

    def open(self) -> None:
        return

    def read(self, timeout_s: float) -> Mapping[str, Value]:
        return {}


class WithoutTimeout(LabMeter):
    """Does not let itself be told how long it may take."""

    def read(self) -> Mapping[str, Value]:
        return {}


class NoDataclass:
    """Its options are anybody's guess."""

    channels = (Channel("power_w", "W", 0, 1),)

    def __init__(self, **options: Any) -> None:
        self.options = options

    def open(self) -> None:
        return

    def read(self, timeout_s: float) -> Mapping[str, Value]:
        raise DeviceUnavailable("nobody there")

    def close(self) -> None:
        return


@dataclass
class AnyOption(LabMeter):
    """An option that `check` cannot check."""

    mood: Any = None


class Unitless(LabMeter):
    """Says watts and calls it power."""

    @property
    def channels(self) -> Sequence[Channel]:
        return [Channel("power", "W", 0.0, 1.0)]


class Rangeless(LabMeter):
    """Nothing is credible."""

    @property
    def channels(self) -> Sequence[Channel]:
        return [Channel("power_w", "W", 5.0, 5.0)]


class Eager(LabMeter):
    """Opens something as soon as it is made."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.opened = socket.socket()

    def __del__(self) -> None:
        self.opened.close()


class Unguarded(LabMeter):
    """Trips over its own closed port."""

    def read(self, timeout_s: float) -> Mapping[str, Value]:
        self._line.in_waiting  # noqa: B018
        return super().read(timeout_s)


class Inventive(LabMeter):
    """Answers zero where nobody answers."""

    def read(self, timeout_s: float) -> Mapping[str, Value]:
        if self._line is None:
            raise DeviceUnavailable("not open")
        try:
            return super().read(timeout_s)
        except DeviceUnavailable:
            return {"power_w": 0.0}


class Late(LabMeter):
    """Takes its time three times over."""

    def read(self, timeout_s: float) -> Mapping[str, Value]:
        return super().read(3 * timeout_s)


class Endless(LabMeter):
    """Waits for a line end, however long it takes."""

    def _ask(self, line: Any, deadline_s: float) -> bytes:
        line.timeout = None
        return line.read_until(b"\n")


class Trusting(LabMeter):
    """Believes that every device speaks plainly."""

    def read(self, timeout_s: float) -> Mapping[str, Value]:
        if self._line is None:
            raise DeviceUnavailable("not open")
        try:
            return {"power_w": float(self._ask(self._line, time.monotonic() + timeout_s).decode("ascii"))}
        except OSError as error:
            raise DeviceUnavailable(str(error)) from error


class Guessing(LabMeter):
    """Makes a number of anything."""

    def read(self, timeout_s: float) -> Mapping[str, Value]:
        return {"power_w": super().read(timeout_s)["power_w"] or 7.0}


class Unshielded(LabMeter):
    """Lets the port's own errors out."""

    def read(self, timeout_s: float) -> Mapping[str, Value]:
        if self._line is None:
            raise DeviceUnavailable("not open")
        answer = self._ask(self._line, time.monotonic() + timeout_s)
        return {"power_w": float(answer) if answer.strip().isdigit() else None}


class Forgetful(LabMeter):
    """Leaves a thread behind each time."""

    def open(self) -> None:
        super().open()
        threading.Thread(target=threading.Event().wait, name="forgotten", daemon=True).start()


class Wasteful(LabMeter):
    """Leaves a file open each time."""

    def open(self) -> None:
        super().open()
        os.dup(0)


@dataclass
class Played:
    """Gives what it is told to."""

    values: dict[str, Any] = field(default_factory=dict)
    channels = (Channel("power_w", "W", 0, 1e4),)

    def open(self) -> None:
        self._open = True

    def read(self, timeout_s: float) -> Mapping[str, Value]:
        if not getattr(self, "_open", False):
            raise DeviceUnavailable("not open")
        return self.values

    def close(self) -> None:
        self._open = False


class ClosesOnce(Played):
    """Cannot be closed twice."""

    def close(self) -> None:
        if not self._open:
            raise RuntimeError("closed already")
        self._open = False


PORT = {"port": NOWHERE}


@pytest.mark.parametrize(
    ("check", "driver", "options", "problem"),
    [
        (conformance.check_members, WithoutClose, {}, "no method close"),
        (conformance.check_members, WithoutTimeout, PORT, "read cannot be called"),
        (conformance.check_options, NoDataclass, {}, "no dataclass"),
        (conformance.check_options, AnyOption, PORT, "mood"),
        (conformance.check_channels, Unitless, PORT, "power does not end in its unit W"),
        (conformance.check_channels, Rangeless, PORT, "no credible range"),
        (conformance.check_making, Eager, PORT, "socket"),
        (conformance.check_unopened, Unguarded, PORT, "AttributeError"),
        (conformance.check_silence, Inventive, PORT, "an answer where nobody gave one"),
        (conformance.check_silence, Late, PORT, r"of 0\.2 s"),
        (conformance.check_junk, Trusting, PORT, "raised UnicodeDecodeError"),
        (conformance.check_junk, Guessing, PORT, "gave a number for power_w"),
        (conformance.check_endless, Late, PORT, r"of 0\.2 s"),
        (conformance.check_unplugged, Unshielded, PORT, "raised"),
        (conformance.check_leaks, Forgetful, PORT, "forgotten"),
        (conformance.check_leaks, Wasteful, PORT, "left after close"),
        (conformance.check_device, Played, {"values": {"voltage_v": 1.0}}, "channels it does not have: voltage_v"),
        (conformance.check_device, Played, {"values": {"power_w": True}}, "power_w is bool"),
        (conformance.check_device, Played, {"values": {"power_w": b"5"}}, "power_w is bytes"),
        (conformance.check_device, Played, {"values": None}, "read returned None"),
        (conformance.check_device, ClosesOnce, {"values": {"power_w": 1.0}}, "closed already"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_bad_driver_is_caught_for_its_own_reason(check: Any, driver: Any, options: dict[str, Any], problem: str):
    with pytest.raises(trials.Failed, match=problem) as caught:
        check(driver, options)
    assert caught.value.hint


def test_a_finding_says_what_failed_and_what_to_do():
    (found,) = [item for item in findings(ClosesOnce, {"values": {"power_w": 1.0}}) if item.failed]
    assert "closes twice" in found.check
    assert "closed already" in found.problem
    assert found.hint
    *_before, found = findings(WithoutClose, {})
    assert "four members" in found.check
    assert found.failed


class NeedsPort(NoDataclass):
    """Made by hand, as a beginner would."""

    def __init__(self, port: str) -> None:
        super().__init__(port=port)


@pytest.mark.parametrize(
    "driver",
    [NoDataclass, NeedsPort, LabMeter(NOWHERE), example],
    ids=["a class", "one with options", "an object", "a function"],
)
def test_what_is_no_dataclass_is_a_finding_whatever_its_options(driver: Any):
    (found,) = findings(driver, {"pott": NOWHERE})
    assert (found.failed, found.problem) == (True, "the driver is no dataclass")
    assert "@dataclass" in found.hint


def test_a_driver_that_never_returns_is_left_behind(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(trials, "GIVEN_UP_S", 0.1)
    with pytest.raises(trials.Failed, match="has not returned"):
        conformance.check_silence(Endless, PORT)
