"""The product end to end without hardware: simulated instruments, the ordinary agent, a reference platform."""

import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from instrument_agent.buffer.books import intervals, states
from instrument_agent.buffer.outbox import queue_of
from instrument_agent.buffer.reader import Reader
from instrument_agent.clock import Clock, SystemClock
from instrument_agent.config import Config, load_config
from instrument_agent.control import NoAgent, ask
from instrument_agent.core.errors import AgentError
from instrument_agent.core.ledger import Interval, totals_ns
from instrument_agent.core.readings import NS_PER_MS, NS_PER_S, Activity
from instrument_agent.receiver.app import create_app
from instrument_agent.receiver.ledger import Ledger
from instrument_agent.receiver.server import PlatformServer
from instrument_agent.sandbox.agent_process import AgentProcess
from instrument_agent.sandbox.bench import Bench
from instrument_agent.sandbox.boxfile import write_box_file
from instrument_agent.sandbox.judge import (
    Run,
    Verdict,
    accounting_problems,
    delivery_problems,
    run_problems,
    seconds,
)
from instrument_agent.sandbox.loads import Load, bench_loads
from instrument_agent.sandbox.scaled_clock import ScaledClock
from instrument_agent.signals import aside

LOOK_EVERY_S = 0.25
DRAIN_WITHIN_S = 30.0
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STALL_S = 5.0
"""A machine that is busy elsewhere for this long (real seconds) must not tear a run apart in the demo."""


@dataclass(frozen=True, slots=True)
class Look:
    """What there is to see at one moment: the agent's status and what is true."""

    at_s: float
    span_s: float
    status: dict[str, Any]
    truth: dict[str, Activity]


@dataclass(slots=True)
class Result:
    """How the demo ended; ``problems`` is empty if everything was counted, delivered and right."""

    config_path: Path
    seconds: float
    speed: float
    verdicts: list[Verdict] = field(default_factory=list)
    heartbeats: int = 0
    records: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    interrupted: bool = False

    @property
    def good(self) -> bool:
        """Whether nothing is wrong anywhere."""
        return not self.problems and not any(verdict.problems for verdict in self.verdicts)

    def as_json(self) -> dict[str, Any]:
        """Return the result as plain data."""
        return {
            "ok": self.good,
            "interrupted": self.interrupted,
            "seconds": self.seconds,
            "speed": self.speed,
            "config": str(self.config_path),
            "instruments": [verdict.as_json() for verdict in self.verdicts],
            "heartbeats_received": self.heartbeats,
            "records": self.records,
            "problems": self.problems,
        }


class Demo:
    """Simulated instruments, an agent and a platform for ``seconds_real`` real seconds at ``speed``."""

    def __init__(self, directory: Path, seconds_real: float, speed: float) -> None:
        self.config_path = directory / "demo.toml"
        self._directory = directory
        self._seconds = seconds_real
        self._speed = speed
        self.span_s = seconds_real * speed
        self._scaled = _scaled_clock(speed) if speed != 1 else None
        self._clock: Clock = self._scaled or SystemClock()
        self._zero_ns: int | None = None
        self._interrupted = threading.Event()
        self.loads = bench_loads(self.span_s)
        self._bench = Bench({load.instrument_id: load for load in self.loads}, self.now_s, directory)

    def now_s(self) -> float:
        """Return the seconds on the instruments' time axis; zero until the agent watches."""
        if self._zero_ns is None:
            return 0.0
        return (self._clock.boottime_ns() - self._zero_ns) / NS_PER_S

    @contextmanager
    def ended_in_order(self) -> Iterator[None]:
        """Have Ctrl-C (or a terminal that goes) end ``run`` early and in order.

        To be entered before anything is said: a KeyboardInterrupt that comes while a library is imported may be lost
        there, and the demo would go on as if nobody had asked.
        """
        before = [(number, signal.signal(number, self._interrupt)) for number in ENDING]
        try:
            yield
        finally:
            for number, handler in before:
                signal.signal(number, handler)

    def run(self, show: Callable[[Look], None]) -> Result:
        """Run it all, calling ``show`` a few times a second."""
        result = Result(self.config_path, self._seconds, self._speed)
        with ExitStack() as stack:
            ledger = stack.enter_context(Ledger(f"sqlite:///{self._directory / 'platform.db'}"))
            platform = stack.enter_context(PlatformServer(create_app(ledger, self._clock.utc_ns)))
            stack.enter_context(self._bench)
            config = self._write_config(platform.url)
            agent = AgentProcess(self.config_path, self._directory / "agent.log", self._scaled)
            stack.callback(agent.stop)
            self._zero_ns = self._clock.boottime_ns()
            self._watch(config, agent, show)
            result.interrupted = self._interrupted.is_set()
            over_s = min(self.now_s(), self.span_s)
            self._drain(config, agent)
            if status := agent.stop():
                result.problems.append(f"the agent ended with status {status}, see {self._directory / 'agent.log'}")
            self._judge(config, ledger, over_s, result)
        return result

    def _interrupt(self, number: int, frame: object) -> None:
        """End in order at the first Ctrl-C (or when the terminal goes); a second one is for those who will not wait."""
        aside(self._interrupted.set)(number, frame)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def _write_config(self, platform_url: str) -> Config:
        write_box_file(
            self.config_path,
            self.loads,
            self._bench.connections,
            platform_url,
            poll_s=max(1.0, self._speed / 10),
            gap_s=max(60.0, STALL_S * self._speed),
        )
        return load_config(self.config_path)

    def _watch(self, config: Config, agent: AgentProcess, show: Callable[[Look], None]) -> None:
        while (at_s := self.now_s()) < self.span_s and agent.running:
            truth = {load.instrument_id: load.activity(at_s) for load in self.loads}
            show(Look(at_s, self.span_s, _status(config), truth))
            if self._interrupted.wait(min(LOOK_EVERY_S, (self.span_s - at_s) / self._speed)):
                return

    def _drain(self, config: Config, agent: AgentProcess) -> None:
        """Wait until the last runs are certain and the platform has everything."""
        until_s = time.monotonic() + DRAIN_WITHIN_S
        while time.monotonic() < until_s and agent.running:
            status = _status(config)
            waiting = sum(item["queue"]["waiting"] for item in status.get("destinations", []))
            still_open = any(item["open_run"] for item in status.get("instruments", []))
            if status and not waiting and not (still_open and self.now_s() >= self.span_s):
                return
            time.sleep(LOOK_EVERY_S)

    def _judge(self, config: Config, ledger: Ledger, over_s: float, result: Result) -> None:
        reader = Reader(config.box.state_dir)
        received = ledger.records(config.box.id)
        made = {(epoch, seq) for epoch, seq in reader.rows("select epoch, seq from records")}
        queue = queue_of(reader, config.destinations[0].name)
        result.heartbeats = ledger.heartbeats(config.box.id).count
        result.problems += delivery_problems(made, received)
        keys = {(record["epoch"], record["seq"]) for record in received}
        result.records = {
            "made": queue.made,
            "acknowledged": queue.acknowledged,
            "waiting": queue.waiting,
            "dead_lettered": queue.dead_lettered,
            "lost": len(made - keys),
            "doubled": len(received) - len(keys),
        }
        if queue.waiting or queue.dead_lettered:
            result.problems.append(f"{queue.waiting} records wait, {queue.dead_lettered} were refused")
        if not result.heartbeats:
            result.problems.append("no heartbeat was received")
        known = states(reader)
        for load in self.loads:
            state = known[load.instrument_id]
            chain = [*intervals(reader, load.instrument_id, state.boot_id), state.line.open]
            runs = [self._run_s(record) for record in received if _is_run(record, load.instrument_id)]
            result.verdicts.append(self._verdict(load, chain, runs, over_s, whole=not result.interrupted))
        reader.close()

    def _verdict(self, load: Load, chain: list[Interval], runs: list[Run], over_s: float, *, whole: bool) -> Verdict:
        # An interrupted demo can only be judged by the runs that were certain to have ended by then.
        certain_s = over_s if whole else over_s - load.min_off_s - 5 * max(1.0, self._speed / 10)
        true_runs = [(start, end) for start, end in load.true_sessions(over_s) if end is not None and end <= certain_s]
        judged = runs if whole else runs[: len(true_runs)]
        asked_s = self._bench.meters[load.instrument_id].asked_s
        true_s = dict.fromkeys((f"{activity.value}_s" for activity in Activity), 0.0)
        for start, end, activity in load.true_intervals(over_s):
            true_s[f"{activity.value}_s"] += end - start
        return Verdict(
            load.instrument_id,
            true_runs,
            runs,
            true_s,
            seconds(totals_ns(chain)),
            self._accounting_problems(chain, asked_s if whole else []) + run_problems(true_runs, judged, asked_s),
        )

    def _accounting_problems(self, chain: list[Interval], asked_s: Sequence[float]) -> list[str]:
        """Judge the chain from before the instruments began to move to the last reading but one, which is judged."""
        zero_ns = self._zero_ns or 0
        to_ns = zero_ns + round(asked_s[-2] * NS_PER_S) if len(asked_s) > 1 else 0
        return accounting_problems(chain, zero_ns, to_ns)

    def _run_s(self, record: dict[str, Any]) -> Run:
        zero_ms = (self._zero_ns or 0) / NS_PER_MS
        return (record["data"]["start_ms"] - zero_ms) / 1000, (record["data"]["end_ms"] - zero_ms) / 1000


def _scaled_clock(speed: float) -> ScaledClock:
    return ScaledClock(speed, time.clock_gettime_ns(time.CLOCK_BOOTTIME), time.time_ns(), str(uuid.uuid4()))


def _status(config: Config) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = ask(config.box.runtime_dir, {"do": "status"})
    except (NoAgent, AgentError):
        return {}
    return answer


def _is_run(record: dict[str, Any], instrument_id: str) -> bool:
    return (record["type"], record.get("instrument_id")) == ("run_session", instrument_id)
