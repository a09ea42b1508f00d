"""The config is read again while the agent runs: whole and at once, or not at all."""

import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_box import SILENT, SmallBox

from instrument_agent.buffer.books import epochs
from instrument_agent.buffer.reader import Reader
from instrument_agent.control import RequestFailed, ask
from instrument_agent.core.errors import AgentError
from instrument_agent.rereading import refuse_while_hung

RUNNING = 'name = "mock"\nscript = [600.0]'


@pytest.fixture
def box(tmp_path: Path) -> Iterator[SmallBox]:
    box = SmallBox(tmp_path, RUNNING)
    yield box
    box.kill()


def running(status: dict[str, Any]) -> bool:
    return bool(status["instruments"][0]["activity"] == "running")


def reread(box: SmallBox, config_hash: str) -> dict[str, Any]:
    return box.until(lambda status: status["config_hash"] == config_hash and running(status))


def test_an_agent_takes_up_its_config_anew_without_losing_a_second_or_a_run(box: SmallBox) -> None:
    box.start()
    before = box.until(running)
    box.change("run_above = 500", "run_above = 550")
    answer = ask(box.folder / "run", {"do": "reload"})
    after = reread(box, answer["config_hash"])
    assert after["config_hash"] != before["config_hash"]
    assert after["epoch"] != before["epoch"]
    assert after["instruments"][0]["open_run"]["start_ms"] == before["instruments"][0]["open_run"]["start_ms"]
    assert box.agent is not None
    assert box.agent.poll() is None  # it is still the same process
    box.stop()
    reader = Reader(box.folder / "state")
    assert [epoch.stopped_ns is not None for epoch in epochs(reader)] == [True, True]
    assert reader.rows("select reason from intervals where reason in ('agent_stopped', 'agent_crashed')") == []
    (configured,) = reader.rows("select json_extract(data, '$.rules.run_above') from configured")
    assert configured == ("550.0",)
    reader.close()


def test_a_config_with_mistakes_is_refused_with_each_of_them_and_the_old_one_stays(box: SmallBox) -> None:
    box.start()
    before = box.until(running)
    box.change("off_below = 5", "off_below = -5\nmin_on_z = 3")
    with pytest.raises(RequestFailed) as caught:
        ask(box.folder / "run", {"do": "reload"})
    lines = str(caught.value).splitlines()
    assert [line.startswith(f"{box.config_path}:{number}: ") for line, number in zip(lines, (11, 12), strict=True)]
    box.change("off_below = -5\nmin_on_z = 3", "off_below = 5")
    for key, value in (("id", "box-2"), ("state_dir", "elsewhere"), ("runtime_dir", "elsewhere")):
        old = {"id": "box-1", "state_dir": "state", "runtime_dir": "run"}[key]
        box.change(f'{key} = "{old}"', f'{key} = "{value}"')
        with pytest.raises(RequestFailed, match=rf"box\.{key}") as refused:
            ask(box.folder / "run", {"do": "reload"})
        assert "restart the service" in refused.value.hint
        box.change(f'{key} = "{value}"', f'{key} = "{old}"')
    after = box.until(running)
    assert (after["epoch"], after["config_hash"]) == (before["epoch"], before["config_hash"])


@pytest.fixture
def told(tmp_path: Path) -> Iterator[list[bytes]]:
    """What systemd would be told at tmp_path/notify: a socket that nobody reads would soon hold up the agent."""
    found: list[bytes] = []

    def listen(listener: socket.socket) -> None:
        while line := listener.recv(1000):
            found.append(line)

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        thread = threading.Thread(target=listen, args=(listener,))
        thread.start()
        yield found
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", str(tmp_path / "notify"))
        thread.join(10)


def test_systemd_is_told_of_a_reload_that_it_asked_for_by_a_signal(
    box: SmallBox, tmp_path: Path, told: list[bytes]
) -> None:
    box.start({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    before = box.until(running)
    assert box.agent is not None
    box.change("run_above = 500", "run_above = -1")
    box.agent.send_signal(signal.SIGHUP)
    log = box.folder / "log"
    box.until(lambda _status: "the old config stays" in log.read_text(encoding="utf-8"))
    assert f"{box.config_path}:12: " in log.read_text(encoding="utf-8")
    box.change("run_above = -1", "run_above = 550")
    box.agent.send_signal(signal.SIGHUP)
    box.until(lambda status: status["config_hash"] != before["config_hash"] and running(status))
    box.stop()
    lines = [line.split(b"\n") for line in told if not line.startswith((b"STATUS", b"WATCHDOG"))]
    assert [line[0] for line in lines] == [b"READY=1", b"RELOADING=1", b"READY=1", b"STOPPING=1"]
    assert int(lines[1][1].removeprefix(b"MONOTONIC_USEC=")) > 0


def test_a_terminal_that_closes_ends_an_agent_in_the_foreground_in_order(tmp_path: Path) -> None:
    box = SmallBox(tmp_path, SILENT)
    box.start({"NOTIFY_SOCKET": ""})
    assert box.agent is not None
    box.agent.send_signal(signal.SIGHUP)
    assert box.agent.wait(20) == 0
    reader = Reader(box.folder / "state")
    assert epochs(reader)[-1].stopped_ns is not None
    reader.close()


def test_a_bus_that_hangs_keeps_its_port_so_only_a_new_process_may_take_it() -> None:
    refuse_while_hung([])
    with pytest.raises(AgentError, match="/dev/ttyUSB0 hangs") as caught:
        refuse_while_hung(["/dev/ttyUSB0"])
    assert "restart the service" in caught.value.hint


def test_an_agent_that_is_to_end_while_it_reloads_ends(box: SmallBox) -> None:
    box.start()
    box.until(running)
    ask(box.folder / "run", {"do": "reload"})
    assert box.agent is not None
    box.stop()
