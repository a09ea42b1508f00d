"""The server as a context manager: there when it says so, gone when it says so."""

import gc
import logging
import shutil
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest
import requests
from starlette.types import Receive, Scope, Send
from wire_box import Box

import instrument_agent.receiver.server
from instrument_agent.receiver import Ledger, PlatformServer, create_app


def serving() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "platform"}


def test_it_answers_once_entered_and_refuses_once_left(ledger: Ledger) -> None:
    before = serving()
    with PlatformServer(create_app(ledger, lambda: 0)) as server:
        assert requests.get(f"{server.url}/healthz", timeout=30).status_code == 200
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{server.url}/healthz", timeout=30)
    assert serving() == before
    server.stop()


def test_it_comes_back_on_the_same_port(ledger: Ledger) -> None:
    with PlatformServer(create_app(ledger, lambda: 0)) as server:
        first = Box(server.url)
        first.send(first.chain(2))
    with PlatformServer(create_app(ledger, lambda: 0), port=int(server.url.rpartition(":")[2])) as again:
        assert again.url == first.url
        assert first.watermark() == {first.epoch: 2}


def test_a_port_that_is_taken_fails_where_it_was_named(ledger: Ledger) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        PlatformServer(create_app(ledger, lambda: 0), port=taken.getsockname()[1])


def test_signals_stay_with_the_program(ledger: Ledger) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with PlatformServer(create_app(ledger, lambda: 0)):
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_it_stops_though_a_client_keeps_its_connection(ledger: Ledger) -> None:
    with requests.Session() as session, PlatformServer(create_app(ledger, lambda: 0)) as server:
        session.get(f"{server.url}/healthz", timeout=30)
        server.stop()


def test_a_box_that_goes_away_in_mid_request_is_no_bug(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    with PlatformServer(create_app(ledger, lambda: 0)) as server:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(
                b"POST /v1/boxes/box-1/records HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n"
            )
            assert client.recv(100).startswith(b"HTTP/1.1 100"), "the body is being waited for"
            client.sendall(b'{"epoch": ')
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_a_client_that_does_not_take_its_answer_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instrument_agent.receiver.server, "_DRAIN_S", 1)
    begun = threading.Event()

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        begun.set()
        await send({"type": "http.response.body", "body": bytes(50_000_000)})

    with PlatformServer(app) as server:
        host, port = server.url.removeprefix("http://").split(":")
        client = socket.create_connection((host, int(port)), timeout=30)
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert begun.wait(30)
    client.close()
    del server
    gc.collect()  # a socket of the server that is still open is told as a mistake


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl")
def test_it_speaks_https_with_a_certificate(ledger: Ledger, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=platform",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-keyout",
            str(key),
            "-out",
            str(certificate),
        ],
        check=True,
        capture_output=True,
    )
    with PlatformServer(create_app(ledger, lambda: 0), certfile=certificate, keyfile=key) as server:
        assert server.url.startswith("https://127.0.0.1:")
        assert requests.get(f"{server.url}/healthz", verify=str(certificate), timeout=30).json() == {"status": "ok"}
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(f"{server.url}/healthz", timeout=30)
