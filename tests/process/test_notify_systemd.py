"""What systemd is told, on the socket it names, and that nothing depends on its being there."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from instrument_agent.notify import Notifier


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.settimeout(10)
        yield listener


def told(notifier: Notifier, listener: socket.socket) -> list[bytes]:
    notifier.ready()
    notifier.status("3 台仪器")
    notifier.alive()
    notifier.stopping()
    return [listener.recv(1000) for _ in range(4)]


SENTENCES = [b"READY=1", "STATUS=3 台仪器".encode(), b"WATCHDOG=1", b"STOPPING=1"]


def test_it_is_told_on_a_socket_in_the_file_system(
    listener: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener.bind(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    assert told(Notifier(), listener) == SENTENCES


def test_it_is_told_on_a_socket_with_an_abstract_name(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    listener.bind("")  # Linux picks a free abstract name
    monkeypatch.setenv("NOTIFY_SOCKET", "@" + listener.getsockname()[1:].decode())
    assert told(Notifier(), listener) == SENTENCES


def test_without_systemd_nothing_is_sent_and_nothing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    Notifier().alive()


@pytest.mark.parametrize("name", ["missing", "not-a-socket", "x" * 200])
def test_a_socket_that_is_gone_does_not_stop_the_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "not-a-socket").write_text("")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / name))
    Notifier().ready()


def test_it_is_told_again_when_it_is_back(
    listener: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    notifier = Notifier()
    notifier.alive()
    listener.bind(str(tmp_path / "notify"))
    notifier.alive()
    assert listener.recv(100) == b"WATCHDOG=1"
