"""`scan --host` finds units behind a gateway, and takes its refusals for what they are."""

import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from in_process import run
from tuned_line import SDM120, refused_or_read

from instrument_agent.control import ControlServer
from instrument_agent.core.errors import DeviceUnavailable
from instrument_agent.field.search import Found, Plan, search

NO_RESPONSE = 0x0B


@pytest.fixture
def gateway() -> Iterator[tuple[int, list[int]]]:
    """A gateway with an SDM120 at unit 3; for every other unit it answers that nobody is there."""
    functions: list[int] = []
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(server, functions), daemon=True).start()
    yield server.getsockname()[1], functions
    server.shutdown(socket.SHUT_RDWR)
    server.close()


def serve(server: socket.socket, functions: list[int]) -> None:
    while True:
        try:
            connection, _address = server.accept()
        except OSError:
            return
        with connection:
            while len(frame := connection.recv(12)) == 12:
                functions.append(frame[7])
                pdu = refused_or_read(SDM120, 4, frame[7:]) if frame[6] == 3 else bytes([frame[7] | 0x80, NO_RESPONSE])
                connection.sendall(frame[:4] + struct.pack(">H", len(pdu) + 1) + frame[6:7] + pdu)


def test_only_the_unit_that_is_there_is_found(gateway: tuple[int, list[int]]):
    port, functions = gateway
    found = Found()
    search(Plan((1, 2, 3), host="127.0.0.1", tcp_port=port), found, threading.Event(), lambda _done: None)
    (meter,) = found.meters
    assert meter.options == {"unit_id": 3, "host": "127.0.0.1", "tcp_port": port}
    assert meter.fits[0].profile == "eastron-sdm120"
    assert set(functions) == {3, 4}


def test_a_host_that_does_not_answer_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(DeviceUnavailable, match="no connection"):
        search(Plan((1,), host="127.0.0.1", tcp_port=port), Found(), threading.Event(), lambda _done: None)


@pytest.mark.parametrize(("host", "its"), [("127.0.0.1", True), ("localhost", True), ("127.0.0.9", False)])
def test_the_host_of_a_running_agent_is_asked_through_it_by_any_name(tmp_path: Path, host: str, its: bool):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    config = tmp_path / "box.toml"
    config.write_text(
        f'[box]\nid = "b"\nruntime_dir = "run"\nstate_dir = "state"\n[[instrument]]\nid = "x"\n'
        f'[instrument.driver]\nname = "modbus"\nhost = "127.0.0.1"\ntcp_port = {port}\n'
        f"[instrument.activity]\noff_below = 5\nrun_above = 500\n"
    )
    silence = {"silence": "no answer", "damaged": False}
    agent = ControlServer(tmp_path / "run", {"status": lambda _request: {}, "ask_line": lambda _request: silence})
    try:
        done = run("scan", "--config", str(config), "--host", host, "--tcp-port", str(port), "--units", "1")
    finally:
        agent.close()
    assert ("asks between its readings" in done.stderr) is its
    assert ("no connection" in done.stderr) is not its


def test_a_config_file_that_is_named_must_be_there(tmp_path: Path):
    done = run("scan", "--config", str(tmp_path / "nosuch.toml"), "--host", "127.0.0.1", "--tcp-port", "1")
    assert done.returncode == 78
    assert "nosuch.toml: there is no such file" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--units", "3"), "--units does nothing without --port / --host"),
        (("--tcp-port", "503"), "--tcp-port does nothing without --host"),
        (("--baud", "9600"), "--baud does nothing without --port"),
        (("--host", "192.0.2.1", "--parity", "N"), "--parity does nothing without --port"),
        (("--port", "/dev/null", "--tcp-port", "503"), "--tcp-port does nothing without --host"),
    ],
)
def test_an_option_that_would_do_nothing_is_an_error(arguments: tuple[str, ...], said: str):
    done = run("scan", *arguments)
    assert done.returncode == 78
    assert said in done.stderr
    assert "What to do: add --" in done.stderr
