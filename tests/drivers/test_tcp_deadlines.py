"""A host that does not answer, or has several addresses, costs no more than the time of the read."""

import socket
import time
from collections.abc import Iterator

import pytest

from instrument_agent.core.errors import DeviceUnavailable
from instrument_agent.drivers.byte_streams import TcpStream
from instrument_agent.drivers.modbus import ModbusDriver

TIMEOUT_S = 1.0
ALLOWED_S = 2 * TIMEOUT_S - 0.1
"""Whoever waits twice takes longer; a busy machine does not."""
Address = tuple[str, int]


@pytest.fixture
def deaf() -> Iterator[Address]:
    """A server whose queue is full: the kernel lets every further connection wait."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        address: Address = server.getsockname()
        waiting = [socket.socket() for _number in range(4)]
        for item in waiting:
            item.setblocking(False)
            item.connect_ex(address)
        yield address
        for item in waiting:
            item.close()


@pytest.fixture
def server() -> Iterator[Address]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()


def test_opening_and_reading_a_host_that_lets_us_wait_takes_the_time_of_one_read(deaf: Address) -> None:
    driver = ModbusDriver(host=deaf[0], tcp_port=deaf[1])
    began_s = time.monotonic()
    driver.open()
    with pytest.raises(DeviceUnavailable, match="no connection"):
        driver.read(TIMEOUT_S)
    assert time.monotonic() - began_s < ALLOWED_S
    driver.close()


def test_all_addresses_of_a_name_share_the_time_and_the_last_is_still_tried(
    deaf: Address, server: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", address) for address in (deaf, deaf, server)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_what, **_more: places)
    stream = TcpStream("meter.example", server[1], "")
    began_s = time.monotonic()
    stream.open(TIMEOUT_S)
    assert time.monotonic() - began_s < ALLOWED_S
    stream.close()


def test_a_lookup_that_took_all_of_the_time_is_told_as_that(server: Address) -> None:
    stream = TcpStream("localhost", server[1], "")
    with pytest.raises(DeviceUnavailable, match="while its name was looked up"):
        stream.open(0.0)
