"""The simulated meter answers like an SDM120: same registers, same encoding, read with a client on the wire."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusIOException

from instrument_agent.sandbox.bench import Bench
from instrument_agent.sandbox.meter import Fault

READ = ModbusTcpClient.convert_from_registers
FLOAT32 = ModbusTcpClient.DATATYPE.FLOAT32


@dataclass
class Scene:
    """A source whose power and time a test sets."""

    power: float = 1900.0
    now: float = 0.0

    def power_w(self, t_s: float) -> float:
        return self.power

    def now_s(self) -> float:
        return self.now


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def bench(scene: Scene, tmp_path: Path) -> Iterator[Bench]:
    with Bench({"A": scene}, scene.now_s, tmp_path, on_serial=0) as bench:
        yield bench


@pytest.fixture
def client(bench: Bench) -> Iterator[ModbusTcpClient]:
    connection = bench.connections["A"]
    with ModbusTcpClient(str(connection["host"]), port=int(connection["tcp_port"]), timeout=0.3, retries=0) as client:
        yield client


def quantity(client: ModbusTcpClient, address: int) -> float:
    answer = client.read_input_registers(address, count=2, device_id=1)
    assert not answer.isError(), answer
    value = READ(answer.registers, FLOAT32)
    assert isinstance(value, float)
    return value


def test_every_quantity_stands_at_its_address_and_they_fit_together(client: ModbusTcpClient) -> None:
    voltage, current = quantity(client, 0x0000), quantity(client, 0x0006)
    active, apparent, reactive = (quantity(client, address) for address in (0x000C, 0x0012, 0x0018))
    assert active == 1900.0
    assert 207.0 < voltage < 253.0
    assert apparent == pytest.approx(voltage * current, rel=1e-6)
    assert apparent**2 == pytest.approx(active**2 + reactive**2, rel=1e-6)
    assert quantity(client, 0x001E) == pytest.approx(active / apparent, rel=1e-6)
    assert quantity(client, 0x0046) == 50.0


def test_power_is_that_of_the_moment_of_the_request(client: ModbusTcpClient, scene: Scene) -> None:
    scene.power = 12.5
    assert quantity(client, 0x000C) == 12.5
    scene.power = 6000.0
    assert quantity(client, 0x000C) == 6000.0


def test_a_block_read_gives_the_same_values_as_single_reads(client: ModbusTcpClient) -> None:
    block = client.read_input_registers(0x0000, count=0x004C, device_id=1).registers
    for address in (0x0000, 0x0006, 0x000C, 0x0012, 0x0018, 0x001E, 0x0046, 0x0048, 0x004A):
        assert READ(block[address : address + 2], FLOAT32) == quantity(client, address)


def test_energy_is_the_integral_of_power(client: ModbusTcpClient, scene: Scene) -> None:
    assert quantity(client, 0x0048) == 0.0
    scene.now = 3600.0
    assert quantity(client, 0x0048) == pytest.approx(1.9)
    scene.power = -600.0
    scene.now = 7200.0
    assert quantity(client, 0x004A) == pytest.approx(0.6)
    assert quantity(client, 0x0048) == pytest.approx(1.9)
    assert quantity(client, 0x0156) == pytest.approx(2.5)


def test_a_clamp_turned_round_shows_negative_power_and_power_factor(client: ModbusTcpClient, scene: Scene) -> None:
    scene.power = -500.0
    assert quantity(client, 0x000C) == -500.0
    assert quantity(client, 0x001E) == pytest.approx(-0.95)
    assert quantity(client, 0x0006) > 0


def test_nothing_but_reading_input_registers_is_answered(client: ModbusTcpClient) -> None:
    assert client.read_holding_registers(0, count=2, device_id=1).exception_code == 1
    assert client.write_register(0x000C, 1, device_id=1).exception_code == 1
    assert client.read_input_registers(0x0060, count=2, device_id=1).exception_code == 2
    assert quantity(client, 0x000C) == 1900.0


def test_a_gateway_reports_a_unit_that_is_not_there(client: ModbusTcpClient) -> None:
    assert client.read_input_registers(0, count=2, device_id=9).exception_code == 0x0B


def test_a_fault_comes_and_goes_while_it_runs(client: ModbusTcpClient, bench: Bench) -> None:
    bench.meters["A"].fault = Fault.EXCEPTION
    assert client.read_input_registers(0x000C, count=2, device_id=1).exception_code == 4
    bench.meters["A"].fault = Fault.SILENT
    with pytest.raises(ModbusIOException, match="No response"):
        client.read_input_registers(0x000C, count=2, device_id=1)
    bench.meters["A"].fault = Fault.NONE
    client.close()
    assert client.connect()
    assert quantity(client, 0x000C) == 1900.0
