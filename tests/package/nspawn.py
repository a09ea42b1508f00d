"""A small Debian under a systemd of its own (systemd-nspawn), thrown away afterwards; it shares our loopback."""

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

UNIT = "instrument-agent.service"
CONFIG = "/etc/instrument-agent/config.toml"
DATABASE = "/var/lib/instrument-agent/buffer.db"
PATIENCE_S = 60.0


def nspawn(tree: Path, *arguments: str) -> list[str]:
    # A systemd that runs here would want a scope of its own for it; without one, there is nobody to make it.
    scope = [] if Path("/run/systemd/system").exists() else ["--keep-unit"]
    # A systemd in a container may load the filter that enforces DeviceAllow= only if it is let.
    return [
        *("systemd-nspawn", "--quiet", "--register=no", *scope, "--system-call-filter=bpf", "--capability=CAP_BPF"),
        *("--directory", str(tree), "--volatile=overlay", *arguments),
    ]


def why_not(tree: Path) -> str:
    """Say why no container can be started here; empty if one can."""
    tried = subprocess.run(
        [*nspawn(tree, "--pipe"), "true"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    return tried.stderr[-500:] if tried.returncode else ""


class Box:
    """One such Debian; ``binds`` are files or folders of ours it sees, by the path where it sees them."""

    def __init__(self, tree: Path, log: Path, binds: Mapping[str, Path]) -> None:
        self._log = log
        self._command = nspawn(
            tree, "--boot", "--console=pipe", *(f"--bind={ours}:{its}" for its, ours in binds.items())
        )

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._nspawn = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            )
        try:
            self._leader = self.until(self._first_process, "a first process")
            self.until(lambda: self.run("systemctl", "is-system-running").stdout.strip() == "running", "a systemd")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        self._nspawn.send_signal(signal.SIGTERM)
        try:
            self._nspawn.wait(20)
        except subprocess.TimeoutExpired:
            self._nspawn.kill()
            self._nspawn.wait()

    def _first_process(self) -> str:
        if self._nspawn.poll() is not None:
            raise AssertionError(f"systemd-nspawn ended: {self._log.read_text(errors='replace')[-1000:]}")
        pid = self._nspawn.pid
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().strip()

    def run(self, *command: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command in it as root."""
        return subprocess.run(
            ["nsenter", "--target", self._leader, "--all", *command],
            input=text or "",
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def do(self, *command: str, text: str | None = None) -> str:
        """Run a command that must succeed; return what it printed."""
        ran = self.run(*command, text=text)
        assert ran.returncode == 0, f"{command}: {ran.returncode}\n{ran.stdout[-2000:]}\n{ran.stderr[-2000:]}"
        return ran.stdout

    def write(self, path: str, text: str) -> None:
        self.do("install", "-D", "-m", "0644", "/dev/stdin", path, text=text)

    def install(self, package: str) -> str:
        """Install a package from the stick, with no network at all: there is only what is in the tree."""
        options = ("-y", "-q", "--allow-downgrades")
        return self.do("unshare", "--net", "apt-get", "install", *options, f"/stick/{package}")

    def show(self, key: str) -> str:
        return self.do("systemctl", "show", "--value", "--property", key, UNIT).strip()

    def journal(self) -> str:
        return self.run("journalctl", "--no-pager", "--output=cat", "-u", UNIT).stdout

    def status(self) -> dict[str, Any]:
        answer = self.run("instrument-agent", "status", "--json")
        found: dict[str, Any] = json.loads(answer.stdout) if answer.returncode == 0 else {}
        return found if found.get("running") else {}

    def instrument(self, name: str) -> dict[str, Any]:
        found = [item for item in self.status().get("instruments", []) if item["instrument_id"] == name]
        return found[0] if found else {}

    def made(self) -> list[tuple[str, int]]:
        """The keys of all records in the box's database."""
        ask = f"import json, sqlite3; c = sqlite3.connect('file:{DATABASE}?mode=ro', uri=True)"
        rows = json.loads(
            self.do(
                "python3", "-c", f"{ask}; print(json.dumps(c.execute('select epoch, seq from records').fetchall()))"
            )
        )
        return [(epoch, seq) for epoch, seq in rows]

    def until(self, claim: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
        """Look until the claim holds; what goes on in there gives us no event to wait on."""
        end_s = time.monotonic() + patience_s
        while time.monotonic() < end_s:
            if found := claim():
                return found
            threading.Event().wait(0.1)
        log = self.journal() if hasattr(self, "_leader") else self._log.read_text(errors="replace")
        raise AssertionError(f"never: {what}\n{log[-3000:]}")


def missing_here() -> str:
    """Say what this machine lacks for any of this; empty if nothing."""
    if os.geteuid():
        return "only root can start a container"
    tools = ("systemd-nspawn", "nsenter", "unshare", "mmdebstrap", "dpkg-deb")
    lacking = [tool for tool in tools if shutil.which(tool) is None]
    return f"not installed: {', '.join(lacking)}" if lacking else ""
