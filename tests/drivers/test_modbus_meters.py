"""The Modbus driver against simulated meters on real wires."""

import math
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import serial
from wires import SerialServer, TcpFarEnd, registers, rtu, tcp
from word_meter import WordMeter

from instrument_agent.core.errors import ConfigError, DeviceUnavailable
from instrument_agent.drivers.modbus import ModbusDriver
from instrument_agent.drivers.modbus_line import SerialLine
from instrument_agent.drivers.registers import Register
from instrument_agent.sandbox.bench import Bench
from instrument_agent.sandbox.meter import Fault

PATIENCE_S = 5.0
"""Nothing that fails at once waits for so long."""
CHANNELS = [
    *("voltage_v", "current_a", "power_w", "apparent_power_va", "reactive_power_var", "power_factor", "frequency_hz"),
    *("energy_import_kwh", "energy_export_kwh", "energy_total_kwh"),
]


@dataclass
class Constant:
    watts: float

    def power_w(self, t_s: float) -> float:
        return self.watts


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    sources = {"A": Constant(100.0), "B": Constant(200.0), "C": Constant(300.0)}
    with Bench(sources, lambda: 0.0, tmp_path, on_serial=2) as bench:
        yield bench


@pytest.fixture
def meters(bench: Bench) -> Iterator[dict[str, ModbusDriver]]:
    """A and B share a serial line, C is on TCP."""
    drivers = {name: ModbusDriver(**options) for name, options in options_of(bench).items()}
    yield drivers
    for driver in drivers.values():
        driver.close()
        driver.close()


@pytest.fixture
def raw() -> Iterator[TcpFarEnd]:
    with TcpFarEnd(lambda question: [tcp(question, bytes(2 * int.from_bytes(question[10:12], "big")))]) as end:
        yield end


@pytest.fixture
def raw_meter(raw: TcpFarEnd) -> Iterator[ModbusDriver]:
    driver = ModbusDriver(host="127.0.0.1", tcp_port=raw.port)
    yield driver
    driver.close()


def options_of(bench: Bench) -> dict[str, dict[str, Any]]:
    return dict(bench.connections)


def test_every_channel_of_the_profile_is_read_over_rtu_and_over_tcp(meters: dict[str, ModbusDriver]) -> None:
    for name, watts in (("A", 100.0), ("B", 200.0), ("C", 300.0)):
        values = meters[name].read(1.0)
        assert list(values) == CHANNELS
        assert [channel.name for channel in meters[name].channels] == CHANNELS
        assert values["power_w"] == watts
        assert values["apparent_power_va"] == pytest.approx(watts / 0.95, rel=1e-6)
        assert values["apparent_power_va"] == pytest.approx(values["voltage_v"] * values["current_a"], rel=1e-5)
        assert values["energy_import_kwh"] == 0.0


def test_a_meter_is_asked_in_as_few_blocks_as_it_takes(raw: TcpFarEnd, raw_meter: ModbusDriver) -> None:
    assert raw_meter.read(1.0) == dict.fromkeys(CHANNELS, 0.0)
    questions = [(q[6], q[7], int.from_bytes(q[8:10], "big"), int.from_bytes(q[10:12], "big")) for q in raw.asked]
    assert questions == [(1, 4, 0x0000, 32), (1, 4, 0x0046, 6), (1, 4, 0x0156, 2)]


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_register_that_holds_no_number_is_none(raw: TcpFarEnd, raw_meter: ModbusDriver, number: float) -> None:
    raw.answer = lambda question: [tcp(question, registers(number) * (int.from_bytes(question[10:12], "big") // 2))]
    assert raw_meter.read(1.0) == dict.fromkeys(CHANNELS)


def test_a_block_that_is_refused_leaves_its_channels_out(raw: TcpFarEnd, raw_meter: ModbusDriver) -> None:
    def refuse_energy(question: bytes) -> list[bytes]:
        if question[8:10] == b"\x00\x46":
            return [tcp(question, b"", function=0x84, count=2)]
        return [tcp(question, registers(*[5.0] * (int.from_bytes(question[10:12], "big") // 2)))]

    raw.answer = refuse_energy
    left_out = ("frequency_hz", "energy_import_kwh", "energy_export_kwh")
    assert raw_meter.read(1.0) == {name: 5.0 for name in CHANNELS if name not in left_out}


def test_the_words_are_there_as_they_were_read(raw: TcpFarEnd, raw_meter: ModbusDriver) -> None:
    raw.answer = lambda question: [tcp(question, bytes.fromhex("4366 3334") * (question[11] // 2))]
    words = raw_meter.read_words(1.0)
    assert (words[4, 0x0000], words[4, 0x0001]) == (0x4366, 0x3334)
    assert set(words) == {(4, at) for at in (*range(0x20), *range(0x46, 0x4C), 0x156, 0x157)}


@pytest.mark.parametrize("name", ["A", "C"])
def test_a_meter_that_refuses_everything_is_not_available(
    bench: Bench, meters: dict[str, ModbusDriver], name: str
) -> None:
    bench.meters[name].fault = Fault.EXCEPTION
    with pytest.raises(DeviceUnavailable, match="refuses every register") as caught:
        meters[name].read(1.0)
    assert caught.value.hint
    bench.meters[name].fault = Fault.NONE
    assert meters[name].read(1.0)["power_w"] is not None


def test_a_gateway_without_the_meter_behind_it_is_not_available(raw: TcpFarEnd, raw_meter: ModbusDriver) -> None:
    raw.answer = lambda question: [tcp(question, b"", function=0x84, count=0x0B)]
    with pytest.raises(DeviceUnavailable):
        raw_meter.read(1.0)


@pytest.mark.parametrize("name", ["B", "C"])
def test_a_silent_meter_costs_its_timeout_and_no_more(bench: Bench, meters: dict[str, ModbusDriver], name: str) -> None:
    bench.meters[name].fault = Fault.SILENT
    start_s = time.monotonic()
    with pytest.raises(DeviceUnavailable, match="no proper answer"):
        meters[name].read(1.0)
    assert 0.9 < time.monotonic() - start_s < 2.0  # to ask again would take as long again


def test_its_neighbours_on_the_line_are_read_in_between_with_their_own_values(
    bench: Bench, meters: dict[str, ModbusDriver]
) -> None:
    bench.meters["B"].fault = Fault.SILENT
    for _ in range(3):
        assert meters["A"].read(1.0)["power_w"] == 100.0
        with pytest.raises(DeviceUnavailable):
            meters["B"].read(0.05)
    bench.meters["B"].fault = Fault.NONE
    assert [meters[name].read(1.0)["power_w"] for name in "ABAB"] == [100.0, 200.0, 100.0, 200.0]


def test_an_adapter_that_is_pulled_out_fails_at_once_and_is_read_again_when_it_is_back(
    bench: Bench, meters: dict[str, ModbusDriver]
) -> None:
    assert meters["A"].read(1.0)["power_w"] == 100.0
    bench.unplug()
    start_s = time.monotonic()
    for name in "AB":
        with pytest.raises(DeviceUnavailable):
            meters[name].read(PATIENCE_S)
    with pytest.raises(DeviceUnavailable, match="cannot be opened") as caught:
        meters["A"].open()
    assert "plugged in" in caught.value.hint
    assert time.monotonic() - start_s < PATIENCE_S
    bench.replug()
    assert [meters[name].read(1.0)["power_w"] for name in "AB"] == [100.0, 200.0]


def test_a_port_pulled_out_in_mid_question_fails_at_once(bench: Bench, meters: dict[str, ModbusDriver]) -> None:
    bench.meters["A"].fault = Fault.SILENT
    meters["A"].open()
    pulled = threading.Timer(0.1, bench.unplug)
    pulled.start()
    start_s = time.monotonic()
    with pytest.raises(DeviceUnavailable):
        meters["A"].read(PATIENCE_S)
    assert time.monotonic() - start_s < PATIENCE_S
    pulled.join()


def test_closing_one_meter_does_not_cost_its_neighbour_a_read(meters: dict[str, ModbusDriver]) -> None:
    meters["A"].open()
    meters["B"].open()
    meters["A"].close()
    assert meters["B"].read(1.0)["power_w"] == 200.0


def test_a_port_has_one_owner(bench: Bench, meters: dict[str, ModbusDriver]) -> None:
    port = str(bench.connections["A"]["port"])
    meters["A"].open()
    with pytest.raises(DeviceUnavailable, match="cannot be opened"):
        SerialLine(port, 9600, "N", 1).open(1.0)
    with pytest.raises(serial.SerialException, match="exclusively lock"):
        serial.Serial(port, exclusive=True)
    assert meters["A"].read(1.0)["power_w"] == 100.0


def test_a_port_that_somebody_else_has_is_not_available(bench: Bench, meters: dict[str, ModbusDriver]) -> None:
    with (
        serial.Serial(str(bench.connections["A"]["port"]), exclusive=True),
        pytest.raises(DeviceUnavailable, match="cannot be opened"),
    ):
        meters["A"].read(1.0)
    assert meters["A"].read(1.0)["power_w"] == 100.0


@pytest.mark.parametrize("path", ["no-such-port", "not-a-port"])
def test_what_is_no_port_is_not_available(tmp_path: Path, path: str) -> None:
    (tmp_path / "not-a-port").write_text("a file")
    driver = ModbusDriver(port=str(tmp_path / path))
    with pytest.raises(DeviceUnavailable, match="cannot be opened"):
        driver.open()
    with pytest.raises(DeviceUnavailable, match="cannot be opened"):
        driver.read(0.1)


def test_an_address_where_nobody_listens_is_not_available() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free_port = taken.getsockname()[1]
    driver = ModbusDriver(host="127.0.0.1", tcp_port=free_port)
    with pytest.raises(DeviceUnavailable, match="no connection"):
        driver.read(1.0)


def test_a_gateway_that_closes_the_connection_is_reached_again(raw: TcpFarEnd, raw_meter: ModbusDriver) -> None:
    assert raw_meter.read(1.0)
    good, raw.answer = raw.answer, lambda _question: (_ for _ in ()).throw(ConnectionError)
    with pytest.raises(DeviceUnavailable, match="closed the connection"):
        raw_meter.read(1.0)
    raw.answer = good
    assert raw_meter.read(1.0)
    assert raw.connections == 2


def test_a_serial_server_passes_rtu_frames_on_as_they_are() -> None:
    with SerialServer(lambda question: [rtu(question, registers(*[5.0] * (question[5] // 2)))]) as server:
        driver = ModbusDriver(host="127.0.0.1", tcp_port=server.port, rtu_over_tcp=True)
        assert driver.read(1.0) == dict.fromkeys(CHANNELS, 5.0)
        driver.close()


def test_rtu_over_tcp_goes_with_a_host_only() -> None:
    with pytest.raises(ConfigError, match="with a host, not with a port"):
        ModbusDriver(port="/dev/ttyS0", rtu_over_tcp=True)


def test_coils_discrete_inputs_and_registers_of_one_device_are_read_together() -> None:
    with WordMeter() as meter:
        meter.words = {(1, 17): 1, (2, 3): 0, (2, 4): 1, (3, 100): 2, (4, 100): 0xFFFE}
        wanted = [
            Register(channel="pump", function=1, address=17, type="bit", states={"0": "stopped", "1": "pumping"}),
            Register(channel="door", function=2, address=3, type="bit"),
            Register(channel="lamp", function=2, address=4, type="bit"),
            Register(channel="state", function=3, address=100, type="uint16", states={"0": "idle", "1": "measuring"}),
            Register(channel="tilt", function=4, address=100, type="int16", scale=0.1, low=-9, high=9),
        ]
        driver = ModbusDriver(registers=wanted, host="127.0.0.1", tcp_port=meter.port)
        values = driver.read(1.0)
        driver.close()
        assert values == {"pump": "pumping", "door": 0.0, "lamp": 1.0, "state": "2", "tilt": pytest.approx(-0.2)}
        assert meter.asked == [(1, 17, 1), (2, 3, 1), (3, 100, 1), (4, 100, 1)]


@pytest.mark.parametrize("options", [{}, {"port": "/dev/ttyS0", "host": "192.0.2.1"}])
def test_a_meter_needs_a_port_or_a_host_and_not_both(options: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="either a port or a host"):
        ModbusDriver(**options)


def test_a_meter_that_answers_some_of_its_blocks_only_is_too_slow_and_not_miswired() -> None:
    def first_block_only(question: bytes) -> list[bytes]:
        return [tcp(question, bytes(2 * question[11]))] if question[8:10] == b"\0\0" else []

    with TcpFarEnd(first_block_only) as end:
        driver = ModbusDriver(host="127.0.0.1", tcp_port=end.port)
        with pytest.raises(DeviceUnavailable, match=r"answers, but not all of eastron-sdm120 within 0\.20 s") as caught:
            driver.read(0.2)
        driver.close()
    assert "timeout_s longer" in caught.value.hint
