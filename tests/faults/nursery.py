"""Agents by the dozen: a process that has loaded everything forks one agent for each line it reads.

As a module of its own it is the nursery; ``Nursery`` is how a test speaks to it. Each agent is a process that runs the
product's own ``Agent`` and can be killed at any moment, from its first microsecond on. Only its meters are made up:
they draw what ``watts`` says, by the boot clock, so that the truth goes on while nobody is there to see it.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PULSE_S = 90.0
STANDBY_W, RUNNING_W = 100.0, 1500.0


def watts(boottime_s: float, until_s: float) -> float:
    """Return what a meter shows: 90 s of standby and 90 s of running in turn, and standby after ``until_s``."""
    return RUNNING_W if boottime_s < until_s and int(boottime_s // PULSE_S) % 2 else STANDBY_W


class Nursery:
    """Where the agents of one box are born; all of them are gone when the block is left."""

    def __init__(self, log_path: Path) -> None:
        self._log_path = log_path

    def __enter__(self) -> Self:
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.communicate()

    def agent(self, config_path: Path, clock: tuple[float, int, int, str], until_s: float) -> int:
        """Start an agent; return its process id at once."""
        return int(self._ask({"config": str(config_path), "clock": clock, "until_s": until_s}))

    def kill(self, pid: int) -> None:
        """End an agent as a power cut would, and return when it is gone."""
        os.kill(pid, signal.SIGKILL)  # it is a zombie at worst until the nursery has buried it below
        status = int(self._ask({"bury": pid}))
        assert os.WIFSIGNALED(status), f"the agent had ended itself: {os.waitstatus_to_exitcode(status)}"

    def _ask(self, question: Any) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()


def main() -> None:
    """Fork an agent for each line, bury the dead, and take the living along at the end."""
    import logging

    import instrument_agent.cli.main  # noqa: F401  # loads what an agent loads, once for all
    from instrument_agent.daemon import Agent

    del Agent
    logging.basicConfig(level="INFO", format="%(levelname)s %(message)s")
    living: set[int] = set()
    for line in sys.stdin:
        question = json.loads(line)
        if "bury" in question:
            living.discard(question["bury"])
            answer = os.waitpid(question["bury"], 0)[1]
        else:
            answer = os.fork()
            if answer == 0:
                live(question)
            living.add(answer)
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()
    for pid in living:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def live(question: dict[str, Any]) -> None:
    """Be an agent to the end of this process."""
    from instrument_agent.config import load_config
    from instrument_agent.daemon import Agent
    from instrument_agent.drivers.mock import MockDriver
    from instrument_agent.notify import Notifier
    from instrument_agent.sandbox.scaled_clock import ScaledClock

    sys.stdin.close()
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    clock = ScaledClock(*question["clock"])
    MockDriver.read = lambda self, _timeout_s: {  # type: ignore[assignment, method-assign]
        self.channel: watts(clock.boottime_ns() / 1e9, question["until_s"])
    }
    status = 1
    try:
        status = Agent(load_config(Path(question["config"])), clock).run(Notifier())
    except BaseException as error:
        sys.stderr.write(f"died of {error!r}\n")
        raise
    finally:
        os._exit(status)


if __name__ == "__main__":
    main()
