"""A month of one box in one thread: the product's own pieces on an injected clock, and everything that can go wrong.

Nothing of the product is done again here. The world says what time it is, what the instruments draw, what the platform
answers and when a process, a card or the power fails; readings go through the real guard, recorder, core, database,
outbox and delivery. A wait of the product lets the world go on until it is over. A process that is killed is a
``Killed`` that nothing catches.
"""

import heapq
import os
import random
import re
import sqlite3
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

from happenings import DRIVER_FAULTS, FAULTS, PER_DAY, PLATFORM_FAULTS, TOLD, Killed, Line, Stopped
from machine import CHECKPOINT_S, POLL_S, NoSocket, SimClock, SimDriver, write_config
from oracle import RecordingLedger
from truth import NS, Boot, random_truth

from instrument_agent import daemon
from instrument_agent.buffer.lock import StateLock
from instrument_agent.config import load_config
from instrument_agent.core.errors import StoreUnavailable
from instrument_agent.notify import Notifier
from instrument_agent.poll.guard import Guard

BORN_UTC_NS = 1_795_334_400 * NS  # 2026-11-22T08:00:00Z, the beginning of the world
TICK_NS, DAYS_NS, DELIVER_NS, BEAT_NS = 60 * NS, 600 * NS, 60 * NS, 1800 * NS
SYNCHRONIZE_NS = 2048 * NS
WRITES = re.compile(r"\s*(insert|update|delete|commit)", re.IGNORECASE)
SOON_AGAIN = 0.2
"""Of so many starts the agent does not come far: what it had taken up was not yet written down."""


class World:
    """One box, its three instruments and its platform over ``days``, as ``seed`` has it."""

    def __init__(self, seed: int, directory: Path, days: float = 30.0) -> None:
        self.rng = random.Random(seed)
        random.seed(seed)  # the product's own jitter
        self.directory, self.end_ns = directory, round(days * 86_400 * NS)
        self.state_dir = directory / "state"
        self.now_ns = 0
        self.wall_off_ns = 0
        self.truths = [random_truth(self.rng, f"instrument-{n}", days + 3) for n in (1, 2, 3)]
        self.ledger = RecordingLedger(directory / "platform.db")
        self.boots: dict[str, Boot] = {}
        self.watched_to_ns: dict[str, int] = {}
        self.blind_s: dict[str, float] = {}
        self.synchronized = directory / "synchronized"
        self.boot = self.new_boot()
        self.agent: daemon.Agent | None = None
        self.seen: Counter[str] = Counter()
        self.driver_faults: dict[str, tuple[str, int]] = {}
        self.platform_fault: tuple[str, int] = ("", 0)
        self.storage_fault_ns = (0, 0)
        self.statements_left = 0
        self._started_ns = 0
        self._busy: set[str] = set()
        self._due_ns: dict[str, int] = {}
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._held: list[Any] = []
        self.expected = [f"driver {fault}" for fault in DRIVER_FAULTS]
        self.expected += [f"platform {fault}" for fault in PLATFORM_FAULTS] + list(TOLD)
        self._quiet = False
        write_config(directory / "box.toml", directory, self.truths)
        self.plan(days)

    def state_size(self) -> int:
        """Return the bytes the box takes on its card."""
        return sum(file.stat().st_size for file in self.state_dir.rglob("*") if file.is_file())

    # What will happen.

    def plan(self, days: float) -> None:
        """Strew faults of all kinds over the time."""
        rng = self.rng
        for kind, per_day in PER_DAY.items():
            for _ in range(int(per_day * days + rng.random())):
                self.at(round(rng.uniform(0, days) * 86_400 * NS), lambda kind=kind: FAULTS[kind](self))

    def at(self, true_ns: int, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (true_ns, len(self._events) + self.rng.getrandbits(30), event))

    def lasting_ns(self, mean_s: float) -> int:
        return self.now_ns + round(self.rng.expovariate(1 / mean_s) * NS)

    # How time passes.

    def utc_ns(self) -> int:
        return BORN_UTC_NS + self.now_ns

    def new_boot(self) -> Boot:
        boot_id = str(uuid.UUID(int=self.rng.getrandbits(128), version=4))
        self.has_time_server = self.rng.random() < 0.6
        self.synchronized.unlink(missing_ok=True)  # it lies in RAM
        self.boots[boot_id] = Boot(boot_id, self.now_ns, self.rng.randint(-80, 80))
        self.now_ns += round(self.rng.uniform(5, 40) * NS)  # from the power to the agent
        return self.boots[boot_id]

    def let_pass(self, until_ns: int) -> None:
        """Let the world go on; jobs that are under way further out are left alone."""
        while True:
            name = min((job for job in self._due_ns if job not in self._busy), key=self._due_ns.__getitem__, default="")
            due_ns = self._due_ns.get(name, until_ns + 1)
            while self._events and self._events[0][0] <= min(due_ns, until_ns):
                at_ns, _order, event = heapq.heappop(self._events)
                self.now_ns = max(self.now_ns, at_ns)
                if not self._quiet:
                    event()
            if due_ns > until_ns:
                break
            self.now_ns = max(self.now_ns, due_ns)
            self._busy.add(name)
            try:
                self._due_ns[name] = self._do(name)
            finally:
                self._busy.discard(name)
        self.now_ns = max(self.now_ns, until_ns)

    def _do(self, name: str) -> int:
        """Do one job of the agent; return when it is due again."""
        agent = self.agent
        assert agent is not None
        if name in agent.buses:
            bus = agent.buses[name]
            bus.read_next()
            return self.boot.true_ns(bus.due_ns)
        if name == "deliver":
            while agent.deliveries[0]._deliver_some():
                pass
            return self.now_ns + DELIVER_NS
        if name == "beat":
            agent.heartbeats[0]._beat()
            return self.now_ns + BEAT_NS
        if name == "hung":
            for bus_name in self._busy & set(agent.buses):
                agent.buses[bus_name].tell_hung()
            return self.now_ns + TICK_NS
        if name == "time server":
            self._synchronize()
            return self.now_ns + SYNCHRONIZE_NS
        agent._tick(Notifier())
        return self.now_ns + DAYS_NS

    def _synchronize(self) -> None:
        """Do what a time server and systemd-timesyncd do: set the wall clock, and touch a file to say so."""
        fault, until_ns = self.platform_fault
        if self.has_time_server and not (fault == "unreachable" and self.now_ns < until_ns):
            self.seen["wall clock synchronized"] += 1
            self.wall_off_ns = 0
            self.synchronized.touch()
            os.utime(self.synchronized, ns=(self.utc_ns(), self.utc_ns()))

    # How the agent lives and dies.

    def run(self) -> None:
        """Go through the whole time, then wait until everything is delivered, and end at that very moment."""
        with self.patched():
            while self.now_ns < self.end_ns:
                self._life(lambda: self.let_pass(self.end_ns))
            self._quiet = True
            self.driver_faults.clear()
            self.platform_fault, self.storage_fault_ns, self.statements_left = ("", 0), (0, 0), 0
            self._life(self._finish)

    def _finish(self) -> None:
        assert self.agent is not None
        # An hour for the platform to be asked what it has, and the longest pause of a destination that was refused.
        self.let_pass(self.now_ns + 3 * 3600 * NS)
        while self.agent.deliveries[0]._outbox.queue().waiting:
            self.let_pass(self.now_ns + DELIVER_NS)
        self.let_pass(self.now_ns + 3600 * NS)
        raise Killed(reboot=False)

    def _life(self, live: Callable[[], None]) -> None:
        try:
            self._start()
            with suppress(Stopped):
                live()
            self._stop()
            self._away()
        except StoreUnavailable:
            if self.now_ns >= self.storage_fault_ns[1]:
                raise  # nothing is wrong with the card
            self.seen["start refused by the card"] += 1
            self._drop()
            self.now_ns += 10 * NS
        except Killed as killed:
            self._drop()
            self._away()
            if killed.reboot:
                self.boot = self.new_boot()

    def _start(self) -> None:
        self.seen["starts"] += 1
        self._started_ns = self.now_ns
        self._busy.clear()
        self.agent = daemon.Agent(load_config(self.directory / "box.toml"), SimClock(self), self.synchronized)
        for truth in self.truths:
            bus = self.agent.buses[truth.instrument_id]
            for station in bus._stations:
                driver = SimDriver(self, truth)
                station.guard = Guard(truth.instrument_id, driver, self.agent.clock, 1.0, POLL_S)
        if not self._quiet and self.rng.random() < SOON_AGAIN:
            self.at(self.lasting_ns(self.rng.choice([15, 300])), lambda: FAULTS["killed"](self))
        self._due_ns = dict.fromkeys([*self.agent.buses, "deliver", "beat", "hung", "time server", "tick"], self.now_ns)

    def _stop(self) -> None:
        """Stop the agent in order; its loops never were threads."""
        agent, self.agent = self.agent, None
        if agent is not None:
            self._due_ns.clear()
            for worker in agent._workers:
                worker.join = lambda _timeout=None, worker=worker: worker.leave()  # type: ignore[method-assign]
            agent._stop()
        self._drop()

    def _drop(self) -> None:
        """Let go of everything a dead process held, and note until when there is something to account for."""
        if self.now_ns - self._started_ns > CHECKPOINT_S * NS:
            self.watched_to_ns[self.boot.boot_id] = self.now_ns
            failing_ns, until_ns = self.storage_fault_ns
            self.blind_s[self.boot.boot_id] = (self.now_ns - failing_ns) / NS if self.now_ns < until_ns else 0.0
        self.agent = None
        self._due_ns.clear()
        for held in self._held:
            # What the agent gave back itself is closed already.
            with suppress(OSError, sqlite3.ProgrammingError):
                if isinstance(held, StateLock):
                    held.release()
                else:
                    held.rollback()
                    held.close()
        self._held.clear()
        self.statements_left = 0

    def _away(self) -> None:
        """Nobody is there for a while: seconds mostly, hours sometimes."""
        if not self._quiet:
            mean_s = self.rng.choice([5, 5, 30, 200, 3600, 20_000])
            until_ns = self.lasting_ns(mean_s)
            while self._events and self._events[0][0] <= until_ns:
                heapq.heappop(self._events)
            self.now_ns = until_ns

    @contextmanager
    def patched(self) -> Iterator[None]:
        """Put the world in the place of the network, the card and the control socket."""
        world, connect = self, sqlite3.connect

        class Card(sqlite3.Connection):
            def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
                world.statement(sql)
                cursor = super().execute(sql, *parameters)
                world.statement("")
                return cursor

        def opened(path: Any, *arguments: Any, **options: Any) -> sqlite3.Connection:
            if Path(str(path)).name != "buffer.db" or options.get("uri"):
                return connect(path, *arguments, **options)
            connection = connect(path, *arguments, **options, factory=Card)
            world._held.append(connection)
            return connection

        class Lock(StateLock):
            def __init__(self, state_dir: Path) -> None:
                super().__init__(state_dir)
                world._held.append(self)

        with (
            patch.object(sqlite3, "connect", opened),
            patch.object(daemon, "StateLock", Lock),
            patch.object(daemon, "ControlServer", NoSocket),
            patch.object(daemon, "HttpTransport", lambda *_: Line(self)),
        ):
            yield

    def statement(self, sql: str) -> None:
        """Hear of a statement before (``sql``) and after it: the card may fail, the process may be killed in it."""
        if self.statements_left:
            self.statements_left -= 1
            if not self.statements_left:
                self.seen["killed in a transaction"] += 1
                raise Killed(reboot=self.rng.random() < 0.3)
        if self.now_ns < self.storage_fault_ns[1] and sql.lstrip()[:6].lower() in (
            "insert",
            "update",
            "delete",
            "commit",
        ):
            self.seen["writes refused by the card"] += 1
            raise sqlite3.OperationalError("database or disk is full")
