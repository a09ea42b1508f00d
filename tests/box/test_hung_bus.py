"""A bus that hangs for good is worth one restart of the real process, not two; the other instruments go on."""

import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from instrument_agent.buffer.reader import Reader
from instrument_agent.control import NoAgent, ask

CONFIG = """
[box]
id = "box-1"
state_dir = "state"
runtime_dir = "run"
[[instrument]]
id = "stuck"
timeout_s = 0.1
driver = { name = "mock", script = ["hang"] }
activity = { off_below = 5, run_above = 1000 }
[[instrument]]
id = "well"
driver = { name = "mock", script = [100.0] }
activity = { off_below = 5, run_above = 1000 }
"""
SPEED = 200.0  # the minute of patience passes in 0.3 s, the hour in 18 s
# What the machine itself is given before a driver counts as hung is real time; the rest is on the scaled clock.
HASTY = (
    "import sys; from instrument_agent import daemon; daemon.HUNG_AFTER_S = 0.3;"
    " from instrument_agent.sandbox.agent_process import main; sys.exit(main())"
)


class HastyBox:
    """A box with one driver that never returns, started again and again in the same boot."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config_path = folder / "box.toml"
        self.config_path.write_text(CONFIG, encoding="utf-8")
        now = (time.clock_gettime_ns(time.CLOCK_BOOTTIME), time.time_ns(), uuid.uuid4())
        self.clock = [str(SPEED), *map(str, now)]
        self.agent: subprocess.Popen[bytes] | None = None

    def start(self) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            self.agent = subprocess.Popen(
                [sys.executable, "-c", HASTY, str(self.config_path), *self.clock],
                env={"NOTIFY_SOCKET": str(self.folder / "nobody"), "LANGUAGE": "C"},
                stderr=log,
            )
        return self.agent

    def log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8")

    def until(self, claim: Callable[[], Any], what: str) -> Any:
        """Look until the claim holds; the agent is another process, so there is no event to wait on."""
        end_s = time.monotonic() + 30
        while time.monotonic() < end_s:
            if found := claim():
                return found
            time.sleep(0.02)
        raise AssertionError(f"never: {what}\n{self.log()}")

    def instruments(self) -> list[dict[str, Any]]:
        try:
            found: list[dict[str, Any]] = ask(self.folder / "run", {"do": "status"})["instruments"]
        except NoAgent:
            return []
        return found


@pytest.fixture
def box(tmp_path: Path) -> Iterator[HastyBox]:
    box = HastyBox(tmp_path)
    yield box
    if box.agent is not None:
        box.agent.kill()
        box.agent.wait()


def test_a_hung_bus_makes_the_agent_restart_once_and_not_twice(box: HastyBox) -> None:
    assert box.start().wait(30) == 1, box.log()
    assert "restarting: stuck hangs" in box.log()

    second = box.start()
    box.until(lambda: "stuck: hangs again after a restart" in box.log(), "that it is left alone")
    stuck, well = box.instruments()
    assert (stuck["activity"], stuck["reason"]) == ("unknown", "driver_hung")
    reads = well["driver"]["reads"]
    box.until(lambda: box.instruments()[1]["driver"]["reads"] > reads, "the other instrument is read on")
    second.terminate()
    assert second.wait(30) == 0, box.log()

    reader = Reader(box.folder / "state")
    faults = reader.rows("select json_extract(body, '$.data.buses') from records where type = 'fault'")
    stopped = reader.rows("select stopped_ns is not null from epochs order by number")
    reader.close()
    assert faults == [("stuck",)]
    assert stopped == [(1,), (1,)], "both ends were meant"
