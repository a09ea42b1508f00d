"""A whole box on the bench: real meters on real wires, the agent as a process, a platform on loopback."""

import json
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from instrument_agent.buffer.books import intervals, states
from instrument_agent.buffer.reader import Reader
from instrument_agent.control import NoAgent, ask
from instrument_agent.core.ledger import Interval, joined
from instrument_agent.receiver.app import create_app
from instrument_agent.receiver.ledger import Ledger
from instrument_agent.receiver.server import PlatformServer
from instrument_agent.sandbox.agent_process import AgentProcess
from instrument_agent.sandbox.bench import Bench
from instrument_agent.sandbox.meter import PowerSource
from instrument_agent.sandbox.scaled_clock import ScaledClock

PATIENCE_S = 30.0
ACTIVITY = """off_below = 5
run_above = 1000
min_on_s = 10
min_off_s = 20
gap_s = 8
bridge_s = 600"""


class Dial:
    """A load whose power a test sets by hand."""

    def __init__(self, watts: float) -> None:
        self.watts = watts

    def power_w(self, _t_s: float) -> float:
        return self.watts


class Rig:
    """One box; ``speed`` is how fast its clock runs, so that minimum times pass in no time."""

    def __init__(self, directory: Path, sources: Mapping[str, PowerSource], speed: float = 20.0) -> None:
        self.directory = directory
        self.config_path = directory / "box.toml"
        self.clock = ScaledClock(speed, time.clock_gettime_ns(time.CLOCK_BOOTTIME), time.time_ns(), str(uuid.uuid4()))
        self.zero_ns = self.clock.boottime_ns()
        self.bench = Bench(sources, self.now_s, directory)
        self.ledger = Ledger(f"sqlite:///{directory / 'platform.db'}")
        self.platform: PlatformServer | None = None
        self.agent: AgentProcess | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(self.ledger)
        self._stack.enter_context(self.bench)
        self._stack.callback(self._end)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()

    def now_s(self) -> float:
        return (self.clock.boottime_ns() - self.zero_ns) / 1e9

    def start_platform(self, port: int = 0, token: str | None = None) -> str:
        app = create_app(self.ledger, self.clock.utc_ns, token=token)
        self.platform = PlatformServer(app, port=port)
        self.platform.__enter__()
        return self.platform.url

    def stop_platform(self) -> None:
        if self.platform is not None:
            self.platform.stop()
            self.platform = None

    def configure(
        self, urls: Mapping[str, str], extra: str = "", activity: str = ACTIVITY, poll_s: float = 2.0
    ) -> None:
        lines = [
            "[box]",
            'id = "box-1"',
            f"state_dir = {json.dumps(str(self.directory / 'state'))}",
            f"runtime_dir = {json.dumps(str(self.directory / 'run'))}",
            "checkpoint_s = 20",
        ]
        for name, url in urls.items():
            lines += ["[[destination]]", f'name = "{name}"', f'url = "{url}"', "first_contact_spread_s = 0", extra]
        for name, options in self.bench.connections.items():
            lines += [
                "[[instrument]]",
                f'id = "{name}"',
                'name_zh = "衍射仪"',
                f"poll_s = {poll_s}",
                "[instrument.driver]",
                'name = "modbus"',
                *(f"{key} = {json.dumps(value)}" for key, value in options.items()),
                "[instrument.activity]",
                activity,
            ]
        self.config_path.write_text("\n".join(lines), encoding="utf-8")

    def start_agent(self, clock: ScaledClock | None = None) -> AgentProcess:
        self.agent = AgentProcess(self.config_path, self.directory / "agent.log", clock or self.clock)
        return self.agent

    def status(self) -> dict[str, Any]:
        try:
            return ask(self.directory / "run", {"do": "status"})
        except NoAgent:
            return {}

    def instrument(self, name: str) -> dict[str, Any]:
        found = [item for item in self.status().get("instruments", []) if item["instrument_id"] == name]
        return found[0] if found else {}

    def activity(self, name: str) -> str:
        return self.instrument(name).get("activity", "")

    def until(self, claim: Callable[[], Any], what: str) -> Any:
        """Look until the claim holds; the agent is another process, so there is no event to wait on."""
        end_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < end_s:
            if found := claim():
                return found
            time.sleep(0.02)
        raise AssertionError(f"never: {what}\nstatus: {self.status()}\nlog:\n{self.log()[-3000:]}")

    def pass_time(self, seconds: float) -> None:
        """Let seconds of the box's clock pass."""
        threading.Event().wait(seconds / self.clock.speed)

    def records(self, kind: str | None = None) -> list[dict[str, Any]]:
        return self.ledger.records("box-1", kind)

    def delivered(self, name: str = "platform") -> bool:
        queues = {item["name"]: item["queue"] for item in self.status().get("destinations", [])}
        return name in queues and queues[name]["waiting"] == 0

    def made(self) -> set[tuple[str, int]]:
        reader = Reader(self.directory / "state")
        keys = {(epoch, seq) for epoch, seq in reader.rows("select epoch, seq from records")}
        reader.close()
        return keys

    def received(self) -> list[tuple[str, int]]:
        return [(record["epoch"], record["seq"]) for record in self.records()]

    def stop_when_all_is_there(self) -> None:
        """Stop the agent once each record is there once; it may make one more until it is gone."""
        self.until(lambda: sorted(self.received()) == sorted(self.made()), "nothing is lost, nothing doubled")
        assert self.agent is not None
        assert self.agent.stop() == 0
        received = self.received()
        assert len(set(received)) == len(received)
        assert set(received) <= self.made()

    def chain(self, name: str, boot_id: str | None = None) -> list[Interval]:
        """The ledger of an instrument in one boot; raises if a second is missing or there twice."""
        reader = Reader(self.directory / "state")
        boot = boot_id or self.clock.boot_id
        closed = intervals(reader, name, boot)
        state = states(reader)[name]
        reader.close()
        return joined([*closed, state.line.open] if state.boot_id == boot else closed)

    def log(self) -> str:
        path = self.directory / "agent.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def _end(self) -> None:
        if self.agent is not None and self.agent.running:
            self.agent.kill()
        self.stop_platform()


def command(*arguments: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Run the product's command line as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "instrument_agent.cli.main", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        stdin=subprocess.DEVNULL,
    )
