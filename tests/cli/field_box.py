"""A box with one instrument, and the commands a technician gives beside it."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from in_process import Done, run

from instrument_agent.control import NoAgent, ask

PATIENCE_S = 30.0
COMMAND = [sys.executable, "-m", "instrument_agent.cli.main"]
CONFIG = """[box]
id = "box-1"
state_dir = "state"
runtime_dir = "run"
[[instrument]]
id = "m1"
poll_s = {poll_s}
[instrument.driver]
{driver}
[instrument.activity]
off_below = 5
run_above = 500
"""


class FieldBox:
    """One box in a folder; ``driver`` are the lines of its driver table."""

    def __init__(self, folder: Path, driver: str, poll_s: float = 0.05) -> None:
        self.folder = folder
        self.config_path = folder / "box.toml"
        self.config_path.write_text(CONFIG.format(driver=driver, poll_s=poll_s), encoding="utf-8")

    def command(self, *arguments: str) -> list[str]:
        name, *rest = arguments
        return [*COMMAND, name, "--config", str(self.config_path), *rest]

    def run(self, *arguments: str) -> Done:
        return run(*self.command(*arguments)[len(COMMAND) :])

    def start(self, *arguments: str) -> "Running":
        return Running(self.command(*arguments))

    def start_agent(self) -> "Running":
        agent = self.start("run")
        until(self._watched, agent)
        return agent

    def _watched(self) -> Any:
        try:
            return ask(self.folder / "run", {"do": "watch", "instrument": "m1"})["last"]
        except NoAgent:
            return None


class Running(subprocess.Popen[str]):
    """A command that does not outlive its test, however that ends."""

    def __init__(self, command: list[str], environment: Mapping[str, str] | None = None) -> None:
        super().__init__(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def __exit__(self, *exc: object) -> None:
        if exc[0] is not None:
            self.kill()
        super().__exit__(*exc)


def until(claim: Callable[[], Any], process: subprocess.Popen[str], within_s: float = PATIENCE_S) -> Any:
    """Look until the claim holds; what changes is another process, so there is no event to wait on."""
    end_s = time.monotonic() + within_s
    while not (found := claim()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end_s
        threading.Event().wait(0.02)
    return found
