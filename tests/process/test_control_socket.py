"""The local socket: who may ask, what is answered, and that nothing asked there harms the agent."""

import json
import logging
import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from instrument_agent import control
from instrument_agent.control import LONGEST_LINE, LONGEST_PATH, SOCKET_NAME, ControlServer, NoAgent, RequestFailed, ask
from instrument_agent.core.errors import AgentError

Request = Mapping[str, Any]


def fail(_request: Request) -> None:
    raise ValueError("the shelf is empty")


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def answers() -> dict[str, Callable[[Request], Any]]:
    return {"add": lambda request: request["a"] + request["b"], "fail": fail, "set": lambda _request: {1, 2}}


@pytest.fixture
def server(runtime: Path, answers: dict[str, Callable[[Request], Any]]) -> Iterator[ControlServer]:
    server = ControlServer(runtime, answers)
    yield server
    server.close()


def raw(runtime: Path, sent: bytes) -> list[dict[str, Any]]:
    """Send bytes as they are, say no more, and return every line that comes back."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(runtime / SOCKET_NAME))
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as lines:
            return [json.loads(line) for line in lines]


@pytest.mark.usefixtures("server")
def test_a_request_is_answered(runtime: Path) -> None:
    assert ask(runtime, {"do": "add", "a": 2, "b": 3}) == 5
    assert ask(runtime, {"do": "add", "a": "马弗", "b": "炉"}) == "马弗炉"


@pytest.mark.usefixtures("server")
def test_one_connection_may_ask_several_times(runtime: Path) -> None:
    question = b'{"do": "add", "a": 1, "b": %d}\n'
    assert raw(runtime, question % 1 + question % 2) == [{"answer": 2}, {"answer": 3}]


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    "sent",
    [
        b"status\n",
        b"\xff\xfe\n",
        b"\n",
        b'{"do": "teleport"}\n',
        b'{"ask": "add"}\n',
        b'{"do": ["add"]}\n',
        b'["add"]\n',
        b"null\n",
        b"[" * 100_000 + b"\n",
        b'{"do": "add"',
    ],
    ids=lambda sent: sent[:20],
)
def test_what_is_not_understood_is_said_and_harms_nothing(
    runtime: Path, sent: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    assert raw(runtime, sent) == [{"error": "the request is not understood"}]
    assert ask(runtime, {"do": "add", "a": 1, "b": 1}) == 2
    assert capfd.readouterr().err == ""


@pytest.mark.usefixtures("server")
def test_a_line_without_end_is_not_collected(runtime: Path) -> None:
    found = raw(runtime, b"x" * (LONGEST_LINE + 5))
    assert found == [{"error": "the request is not understood"}] * 2


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(("do", "why"), [("fail", "shelf is empty"), ("set", "set"), ("add", "'a'")])
def test_a_request_that_fails_tells_the_asker_why_and_the_log_everything(
    runtime: Path, do: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(RequestFailed, match=why):
        ask(runtime, {"do": do})
    assert [(record.levelno, bool(record.exc_info)) for record in caplog.records] == [(logging.ERROR, True)]


@pytest.mark.usefixtures("server")
def test_a_slow_answer_does_not_hold_up_another(runtime: Path, answers: dict[str, Callable[[Request], Any]]) -> None:
    entered, release = threading.Event(), threading.Event()

    def slow(_request: Request) -> str:
        entered.set()
        assert release.wait(10)
        return "done"

    answers["slow"] = slow
    got: list[str] = []
    asker = threading.Thread(target=lambda: got.append(ask(runtime, {"do": "slow"})))
    asker.start()
    assert entered.wait(10)
    assert ask(runtime, {"do": "add", "a": 1, "b": 1}) == 2
    release.set()
    asker.join(10)
    assert got == ["done"]


@pytest.mark.usefixtures("server")
def test_owner_and_group_may_ask_and_nobody_else(runtime: Path) -> None:
    mode = (runtime / SOCKET_NAME).stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o660


def test_the_umask_is_left_as_it_was(runtime: Path) -> None:
    before = os.umask(0o027)
    try:
        ControlServer(runtime, {}).close()
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)


def test_without_an_agent_there_is_no_answer(runtime: Path, server: ControlServer) -> None:
    server.close()
    assert not (runtime / SOCKET_NAME).exists()
    with pytest.raises(NoAgent):
        ask(runtime, {"do": "add", "a": 1, "b": 1})


def test_the_socket_of_a_dead_agent_is_no_agent_and_is_taken_over(runtime: Path) -> None:
    runtime.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(runtime / SOCKET_NAME))
    with pytest.raises(NoAgent):
        ask(runtime, {"do": "add"})
    server = ControlServer(runtime, {"add": lambda _request: 7})
    assert ask(runtime, {"do": "add"}) == 7
    server.close()


def test_an_agent_that_does_not_answer_is_none(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "ANSWER_WITHIN_S", 0.1)
    runtime.mkdir()
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(runtime / SOCKET_NAME))
        deaf.listen()
        with pytest.raises(NoAgent):
            ask(runtime, {"do": "add"})


@pytest.mark.usefixtures("server")
def test_an_asker_who_is_gone_before_the_answer_is_no_noise(
    runtime: Path, answers: dict[str, Callable[[Request], Any]], capfd: pytest.CaptureFixture[str]
) -> None:
    gone, answered = threading.Event(), threading.Event()

    def late(_request: Request) -> str:
        assert gone.wait(10)
        answered.set()
        return "x" * 1_000_000

    answers["late"] = late
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(runtime / SOCKET_NAME))
        connection.sendall(b'{"do": "late"}\n{"do": "late"}\n')
    gone.set()
    assert answered.wait(10)
    assert ask(runtime, {"do": "add", "a": 1, "b": 1}) == 2
    for thread in threading.enumerate():
        if "process_request_thread" in thread.name:
            thread.join(10)
    assert capfd.readouterr().err == ""


def deep(tmp_path: Path, length: int) -> Path:
    """A folder whose socket has a path of so many bytes."""
    left = length - len(os.fsencode(tmp_path / SOCKET_NAME)) - 1
    return tmp_path / ("a" * left)


def test_the_longest_path_allowed_is_the_longest_the_system_takes(tmp_path: Path) -> None:
    longest = deep(tmp_path, LONGEST_PATH)
    server = ControlServer(longest, {"add": lambda _request: 7})
    assert ask(longest, {"do": "add"}) == 7
    server.close()
    with pytest.raises(AgentError, match="runtime directory"):
        ControlServer(deep(tmp_path, LONGEST_PATH + 1), {})


@pytest.mark.parametrize("make", [Path.touch, lambda path: (path / SOCKET_NAME).mkdir(parents=True)])
def test_a_folder_that_cannot_hold_the_socket_is_an_error_with_a_hint(
    runtime: Path, make: Callable[[Path], object]
) -> None:
    make(runtime)
    with pytest.raises(AgentError, match=str(runtime)) as caught:
        ControlServer(runtime, {})
    assert "box.runtime_dir" in caught.value.hint
