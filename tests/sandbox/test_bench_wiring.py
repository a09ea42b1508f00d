"""The wires of the bench: one serial line for several meters, TCP for the others, faults, and nothing left behind."""

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import pytest
import serial
from pymodbus.client import ModbusSerialClient, ModbusTcpClient
from pymodbus.exceptions import ModbusException, ModbusIOException

from instrument_agent.sandbox.bench import Bench
from instrument_agent.sandbox.loads import bench_loads
from instrument_agent.sandbox.meter import Fault

Client = ModbusSerialClient | ModbusTcpClient


@dataclass
class Constant:
    watts: float

    def power_w(self, t_s: float) -> float:
        return self.watts


SOURCES = {"A": Constant(100.0), "B": Constant(200.0), "C": Constant(300.0), "D": Constant(400.0)}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(SOURCES, lambda: 0.0, tmp_path, on_serial=3) as bench:
        yield bench


@pytest.fixture
def line(bench: Bench) -> Iterator[ModbusSerialClient]:
    with connected(bench, "A") as client:
        assert isinstance(client, ModbusSerialClient)
        yield client


def connected(bench: Bench, name: str) -> Client:
    options = bench.connections[name]
    client: Client
    if "port" in options:
        client = ModbusSerialClient(str(options["port"]), baudrate=int(options["baud"]), timeout=0.3, retries=0)
    else:
        client = ModbusTcpClient(str(options["host"]), port=int(options["tcp_port"]), timeout=0.3, retries=0)
    assert client.connect()
    return client


def power_w(client: Client, unit: int) -> float:
    answer = client.read_input_registers(0x000C, count=2, device_id=unit)
    assert not answer.isError(), answer
    value = client.convert_from_registers(answer.registers, client.DATATYPE.FLOAT32)
    assert isinstance(value, float)
    return value


def test_meters_on_one_line_answer_under_their_own_unit(bench: Bench, line: ModbusSerialClient) -> None:
    assert [bench.connections[name]["unit_id"] for name in "ABC"] == [1, 2, 3]
    assert len({bench.connections[name]["port"] for name in "ABC"}) == 1
    assert [power_w(line, unit) for unit in (1, 2, 3, 2, 1)] == [100.0, 200.0, 300.0, 200.0, 100.0]


def test_a_block_read_passes_the_line_whole(line: ModbusSerialClient) -> None:
    answer = line.read_input_registers(0, count=0x4C, device_id=3)
    assert len(answer.registers) == 0x4C
    assert line.convert_from_registers(answer.registers[0x0C:0x0E], line.DATATYPE.FLOAT32) == 300.0


def test_the_others_answer_on_their_own_tcp_port(bench: Bench) -> None:
    with connected(bench, "D") as client:
        assert power_w(client, int(bench.connections["D"]["unit_id"])) == 400.0


def test_connections_hold_exactly_the_options_of_the_driver(bench: Bench, tmp_path: Path) -> None:
    assert bench.connections["B"] == {
        "profile": "eastron-sdm120",
        "port": str(tmp_path / "ttyRS485"),
        "baud": 9600,
        "parity": "N",
        "stop_bits": 1,
        "unit_id": 2,
    }
    assert bench.connections["D"].keys() == {"profile", "host", "tcp_port", "unit_id"}


def test_a_round_trip_on_the_line_is_short(bench: Bench, line: ModbusSerialClient) -> None:
    # pymodbus' client alone sleeps 8 ms a read at 9600 baud, so the wire is timed with bytes.
    line.close()
    read_power_of_unit_1 = bytes.fromhex("0104000c0002b1c8")
    with serial.Serial(str(bench.connections["A"]["port"]), 9600, timeout=2, exclusive=True) as port:
        times_s = []
        for _ in range(50):
            start = perf_counter()
            port.write(read_power_of_unit_1)
            assert port.read(9).hex().startswith("01040442c80000")
            times_s.append(perf_counter() - start)
    assert min(times_s) < 0.005


def test_a_silent_meter_does_not_disturb_its_neighbours(bench: Bench, line: ModbusSerialClient) -> None:
    bench.meters["B"].fault = Fault.SILENT
    with pytest.raises(ModbusIOException, match="No response"):
        line.read_input_registers(0x000C, count=2, device_id=2)
    assert power_w(line, 3) == 300.0
    bench.meters["B"].fault = Fault.NONE
    assert power_w(line, 2) == 200.0


def test_a_unit_that_is_not_there_stays_silent_on_the_bus(line: ModbusSerialClient) -> None:
    with pytest.raises(ModbusIOException, match="No response"):
        line.read_input_registers(0x000C, count=2, device_id=77)
    assert power_w(line, 1) == 100.0


def test_a_meter_can_answer_with_an_exception(bench: Bench, line: ModbusSerialClient) -> None:
    bench.meters["A"].fault = Fault.EXCEPTION
    assert line.read_input_registers(0x000C, count=2, device_id=1).exception_code == 4
    assert power_w(line, 2) == 200.0


def test_the_port_can_be_opened_by_one_only(bench: Bench, line: ModbusSerialClient) -> None:
    assert power_w(line, 1) == 100.0
    with pytest.raises(serial.SerialException, match="exclusively lock"):
        serial.Serial(str(bench.connections["A"]["port"]), exclusive=True)


def test_an_unplugged_line_fails_whoever_has_it_open_and_its_link_is_gone(
    bench: Bench, line: ModbusSerialClient, tmp_path: Path
) -> None:
    assert power_w(line, 1) == 100.0
    bench.unplug()
    bench.unplug()
    assert not os.path.lexists(tmp_path / "ttyRS485")
    with pytest.raises((ModbusException, OSError)):
        line.read_input_registers(0x000C, count=2, device_id=1)


def test_after_replugging_the_line_answers_under_the_same_path(bench: Bench, line: ModbusSerialClient) -> None:
    assert power_w(line, 1) == 100.0
    bench.unplug()
    line.close()
    with pytest.raises(serial.SerialException):
        serial.Serial(str(bench.connections["A"]["port"]))
    bench.replug()
    bench.replug()
    with connected(bench, "A") as again:
        assert power_w(again, 3) == 300.0


def test_the_other_meters_answer_while_the_line_is_unplugged(bench: Bench) -> None:
    bench.unplug()
    with connected(bench, "D") as client:
        assert power_w(client, 1) == 400.0


def test_stopping_leaves_no_descriptor_no_thread_and_no_link(tmp_path: Path) -> None:
    def open_things() -> tuple[int, set[threading.Thread]]:
        return len(list(Path("/proc/self/fd").iterdir())), set(threading.enumerate())

    before = open_things()
    for _ in range(3):
        bench = Bench(SOURCES, lambda: 0.0, tmp_path)
        bench.start()
        with connected(bench, "A") as line, connected(bench, "D") as tcp:
            assert power_w(line, 1) + power_w(tcp, 1) == 500.0
            bench.stop()
            bench.stop()
            with pytest.raises((ModbusException, OSError)):
                power_w(tcp, 1)
    assert open_things() == before
    assert list(tmp_path.iterdir()) == []


def test_a_bench_that_cannot_start_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    bench = Bench(SOURCES, lambda: 0.0, tmp_path / "missing")
    with pytest.raises(FileNotFoundError):
        bench.start()
    bench.stop()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert not any(thread.name == "bench" for thread in threading.enumerate())


def test_a_bench_without_a_line_has_nothing_to_unplug(tmp_path: Path) -> None:
    with Bench(SOURCES, lambda: 0.0, tmp_path, on_serial=0) as bench, pytest.raises(RuntimeError):
        bench.unplug()


def test_the_five_loads_are_read_over_their_wires_as_they_are(tmp_path: Path) -> None:
    now = [0.0]
    loads = {load.instrument_id: load for load in bench_loads(60.0)}
    with Bench(loads, lambda: now[0], tmp_path) as bench:
        for instrument_id, load in loads.items():
            with connected(bench, instrument_id) as client:
                for now[0] in (0.0, 13.0, 29.5, 45.0, 59.0):
                    read = power_w(client, int(bench.connections[instrument_id]["unit_id"]))
                    assert read == pytest.approx(load.power_w(now[0]), rel=1e-6)
