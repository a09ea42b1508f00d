"""The ordinary agent as a process of its own, on the machine's clock or on a scaled one.

As a module (``python -m instrument_agent.sandbox.agent_process``) it runs the agent on a scaled clock: the product's
own command cannot, so that no hours ever come from a clock that was tampered with.
"""

import argparse
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

from instrument_agent.config import load_config
from instrument_agent.core.errors import AgentError
from instrument_agent.i18n import _
from instrument_agent.notify import Notifier
from instrument_agent.sandbox.scaled_clock import ScaledClock
from instrument_agent.service import Service

START_WITHIN_S = 30.0
STOP_WITHIN_S = 30.0


class AgentProcess:
    """An agent that was started and has said through sd_notify that it is ready."""

    def __init__(self, config_path: Path, log_path: Path, clock: ScaledClock | None = None) -> None:
        """Start it, on the machine's clock unless a scaled one is given.

        Raises:
            AgentError: it did not become ready.
        """
        self._log_path = log_path
        notify_path = config_path.parent / "notify.sock"
        notify_path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified, log_path.open("ab") as log:
            notified.bind(str(notify_path))
            self.process = subprocess.Popen(  # noqa: S603  # our own interpreter and our own arguments
                [*_dying_with_us(), sys.executable, "-m", *_command(config_path, clock)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | {"NOTIFY_SOCKET": str(notify_path)},
                # Ctrl-C at the terminal is for the one who watches; the agent is told to stop in order.
                start_new_session=True,
            )
            self._await_ready(notified)
        notify_path.unlink()

    @property
    def running(self) -> bool:
        """Whether the process is still there."""
        return self.process.poll() is None

    def stop(self) -> int:
        """Ask it to stop (SIGTERM) and return its exit status."""
        if self.running:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.process.wait()

    def kill(self) -> None:
        """End it as a power cut would (SIGKILL)."""
        self.process.kill()
        self.process.wait()

    def _await_ready(self, notified: socket.socket) -> None:
        notified.settimeout(0.2)
        for _attempt in range(round(START_WITHIN_S / 0.2)):
            try:
                if b"READY=1" in notified.recv(4096):
                    return
            except TimeoutError:
                if not self.running:
                    break
        self.kill()
        raise AgentError(
            _("the agent did not start"), self._log_path.read_text(encoding="utf-8", errors="replace")[-2000:]
        )


def _dying_with_us() -> list[str]:
    """Return the prefix with which a process ends when its parent does, however that ends (PR_SET_PDEATHSIG).

    An agent that outlived its bench would go on opening what is no longer its port.
    """
    setpriv = shutil.which("setpriv")  # util-linux; on every Debian
    return [setpriv, "--pdeathsig", "TERM"] if setpriv else []


def _command(config_path: Path, clock: ScaledClock | None) -> list[str]:
    if clock is None:
        return ["instrument_agent.cli.main", "run", "--config", str(config_path)]
    return [
        "instrument_agent.sandbox.agent_process",
        str(config_path),
        str(clock.speed),
        str(clock.origin_boottime_ns),
        str(clock.origin_utc_ns),
        clock.boot_id,
    ]


def main() -> int:
    """Run the agent on a scaled clock in this process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("config", type=Path)
    parser.add_argument("speed", type=float)
    parser.add_argument("origin_boottime_ns", type=int)
    parser.add_argument("origin_utc_ns", type=int)
    parser.add_argument("boot_id")
    given = parser.parse_args()
    logging.basicConfig(level="INFO", format="%(levelname)s %(message)s")
    clock = ScaledClock(given.speed, given.origin_boottime_ns, given.origin_utc_ns, given.boot_id)
    # The machine's time server vouches for the machine's clock, not for this one; the bench may touch a file instead.
    return Service(load_config(given.config), clock, Notifier(), given.config.parent / "synchronized").run()


if __name__ == "__main__":
    sys.exit(main())
