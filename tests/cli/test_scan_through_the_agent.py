"""`scan` of a line that the running agent reads: the agent asks, between two of its polls."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from in_process import run
from tuned_line import DDSU666, SDM120, ModbusMeter, TunedLine

from instrument_agent.buffer.store import Start, Store
from instrument_agent.clock import SystemClock
from instrument_agent.config import load_config
from instrument_agent.control import ControlServer, RequestFailed, ask
from instrument_agent.core.readings import NS_PER_S
from instrument_agent.core.step import begin
from instrument_agent.poll.bus import Bus, Station
from instrument_agent.poll.guard import Guard
from instrument_agent.poll.recorder import Recorder, Watched
from instrument_agent.poll.watching import watching

CONFIG = """[box]
id = "b"
runtime_dir = "run"
state_dir = "state"
[[instrument]]
id = "x"
driver = {{ name = "modbus", port = "{port}", baud = 9600 }}
activity = {{ off_below = 5, run_above = 500 }}
"""


@dataclass
class Box:
    """A box that reads unit 1 of a line by a link to its port; unit 2 is there too."""

    line: TunedLine
    config: Path
    bus: Bus


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    at = (9600, "N")
    with TunedLine((at, ModbusMeter(1, 4, SDM120)), (at, ModbusMeter(2, 3, DDSU666))) as line:
        link, path = tmp_path / "ttyMeter", tmp_path / "box.toml"
        link.symlink_to(line.port)
        path.write_text(CONFIG.format(port=link), encoding="utf-8")
        (instrument,) = load_config(path).instruments
        clock = SystemClock()
        (tmp_path / "state").mkdir()
        store = Store(tmp_path / "state", "b")
        store.begin_epoch(Start(clock.boot_id, clock.boottime_ns(), "0.1.0", "0" * 64))
        recorder = Recorder(store, clock, 120.0)
        recorder.watch("x", Watched(instrument.activity.rules(), begin(clock.boot_id, clock.boottime_ns())))
        bus = Bus(str(link), clock, recorder, 30.0)
        bus.add(Station("x", Guard("x", instrument.driver.build(), clock, 1.0, 0.05), NS_PER_S // 20))
        bus.start()
        server = ControlServer(
            tmp_path / "run", {"status": lambda _request: {}, **watching({str(link): bus}, recorder, clock)}
        )
        yield Box(line, path, bus)
        server.close()
        bus.stop()
        bus.join(10)
        store.close()


def test_a_meter_beside_those_that_are_read_is_found_and_named_as_they_are(box: Box):
    reads = box.bus.health()["x"].reads
    done = run("scan", "--config", str(box.config), "--port", box.line.port, "--units", "2-3", "--baud", "9600")
    assert done.returncode == 0, done.stderr
    assert "asks between its readings" in done.stderr
    (block,) = done.stdout.split("\n\n")[1:-1]
    assert tomllib.loads(block)["instrument"]["driver"] == {
        "name": "modbus",
        "profile": "chint-ddsu666",
        "unit_id": 2,
        "port": str(box.config.parent / "ttyMeter"),
        "baud": 9600,
        "parity": "N",
        "stop_bits": 1,
    }
    health = box.bus.health()["x"]
    assert (health.failures, health.reads > reads) == (0, True)


def test_settings_the_agent_does_not_use_are_refused_and_nothing_is_asked(box: Box):
    assert box.line.asked.wait(10)
    done = run("scan", "--config", str(box.config), "--port", box.line.port, "--baud", "19200")
    assert done.returncode == 1
    assert "two masters never share a line" in done.stderr
    assert "systemctl stop instrument-agent" in done.stderr
    assert {tuning for tuning, _heard in box.line.heard} == {(9600, "N")}


@pytest.mark.parametrize(
    "wrong", [{"function": 6}, {"count": 126}, {"unit": 0}, {"bus": "/dev/nowhere"}, {"count": "x"}]
)
def test_only_what_reads_can_be_asked_through_the_agent(box: Box, wrong: dict[str, object]):
    good = {"bus": box.bus.name.removeprefix("bus "), "unit": 2, "function": 3, "address": 0x2000, "count": 2}
    request = {"do": "ask_line", "timeout_s": 1.0, **good}
    assert len(ask(box.config.parent / "run", request)["words"]) == 2
    with pytest.raises(RequestFailed, match="not understood"):
        ask(box.config.parent / "run", {**request, **wrong})


def test_the_port_of_an_instrument_that_speaks_no_modbus_is_refused(tmp_path: Path):
    path, driver = tmp_path / "box.toml", 'name = "serial_text", port = "/dev/nowhere"'
    values = '[{ channel = "power_w", unit = "W", pattern = "(.+)" }]'
    modbus = CONFIG.format(port="/dev/nowhere").replace('name = "modbus", port = "/dev/nowhere", baud = 9600', "{}")
    path.write_text(modbus.replace("{}", f"{driver}, values = {values}"), encoding="utf-8")
    server = ControlServer(tmp_path / "run", {"status": lambda _request: {}})
    try:
        done = run("scan", "--config", str(path), "--port", "/dev/nowhere")
    finally:
        server.close()
    assert done.returncode == 1
    assert "two masters never share a line" in done.stderr
