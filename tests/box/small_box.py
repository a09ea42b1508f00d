"""A box whose one instrument is a script: the ordinary command on the machine's clock, with nothing around it."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from instrument_agent.control import MayNotAsk, NoAgent, ask

PATIENCE_S = 30.0
CONFIG = """[box]
id = "box-1"
state_dir = "state"
runtime_dir = "run"
[[instrument]]
id = "trial-1"
poll_s = 0.1
[instrument.driver]
{driver}
[instrument.activity]
off_below = 5
run_above = 500
min_on_s = 0
min_off_s = 0
"""
RUNNING_AND_NOT = 'name = "mock"\nscript = [600.0, 20.0]\nstep_s = 0.5'
SILENT = 'name = "mock"\nscript = ["unavailable"]'

# Root may do everything; without its capabilities it is held to the permissions of its own files like anybody else.
AS_ANYBODY = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()


class SmallBox:
    """One box in a folder."""

    def __init__(self, folder: Path, driver: str = RUNNING_AND_NOT) -> None:
        self.folder = folder
        self.config_path = folder / "box.toml"
        self.config_path.write_text(CONFIG.format(driver=driver), encoding="utf-8")
        self.database = folder / "state" / "buffer.db"
        self.agent: subprocess.Popen[bytes] | None = None

    def change(self, old: str, new: str) -> None:
        """Put other words into the config file."""
        text = self.config_path.read_text(encoding="utf-8")
        assert old in text
        self.config_path.write_text(text.replace(old, new), encoding="utf-8")

    def start(self, settings: Mapping[str, str] | None = None, prefix: tuple[str, ...] = ()) -> None:
        with (self.folder / "log").open("ab") as log:
            self.agent = subprocess.Popen(
                [*prefix, sys.executable, "-m", "instrument_agent.cli.main", "run", "--config", str(self.config_path)],
                stdout=log,
                stderr=log,
                env=os.environ | dict(settings or {}),
            )
        self.until(lambda _found: True)

    def until(self, claim: Any) -> dict[str, Any]:
        """Ask the agent until the claim holds of its status; it is another process, so there is no event."""
        end_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < end_s:
            try:
                found: dict[str, Any] = ask(self.folder / "run", {"do": "status"})
            except (NoAgent, MayNotAsk):
                found = {}
            if found and claim(found):
                return found
            assert self.agent is None or self.agent.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.02)
        raise AssertionError((self.folder / "log").read_text())

    def stop(self) -> None:
        """Stop it in order."""
        if self.agent is not None:
            self.agent.terminate()
            assert self.agent.wait(PATIENCE_S) == 0, (self.folder / "log").read_text()
            self.agent = None

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.agent is not None:
            self.agent.kill()
            self.agent.wait()
            self.agent = None

    def command(
        self, name: str, *arguments: str, prefix: tuple[str, ...] = (), stdout: Any = subprocess.PIPE
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on this box as a user would."""
        return subprocess.run(
            [
                *(*prefix, sys.executable, "-m", "instrument_agent.cli.main"),
                *(name, "--config", str(self.config_path), *arguments),
            ],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
