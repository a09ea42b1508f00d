"""A month of one box: the product's own pieces on an injected clock, and everything that can go wrong.

Nothing of the product is done again here. The world says what time it is, what the instruments draw, what the platforms
answer and when a process, a card or the power fails; readings go through the real guard, recorder, core, database,
outbox and delivery. A wait of the product lets the world go on until it is over. A process that is killed is a
``Killed`` that nothing catches.
"""

import heapq
import os
import random
import sqlite3
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from cards import KILLED, LOST_POWER, STOPPED, Card, Life, note_ended
from happenings import DRIVER_FAULTS, FAULTS, TOLD, Fault, killed
from machine import PLATFORMS, POLL_S, Killed, SimClock, SimDriver, Stopped, write_config
from platforms import PLATFORM_FAULTS, Platform
from truth import HOUR_NS, NS, Boot, random_truth
from turns import Turns
from underneath import put_under

from instrument_agent import daemon
from instrument_agent.buffer.lock import StateLock
from instrument_agent.config import load_config
from instrument_agent.core.errors import StoreUnavailable
from instrument_agent.notify import Notifier
from instrument_agent.poll.guard import Guard
from instrument_agent.uplink.delivery import Delivery
from instrument_agent.worker import Worker

BORN_UTC_NS = 1_795_334_400 * NS  # 2026-11-22T08:00:00Z, the beginning of the world
TICK_NS, DAYS_NS, DELIVER_NS, BEAT_NS = 90 * NS, 1800 * NS, 900 * NS, 3600 * NS
IDLE_NS = 1800 * NS
"""How often an idle delivery looks at the log although nothing was written."""
SYNCHRONIZE_NS = 2048 * NS
SOON_AGAIN = 0.2
"""Of so many starts the agent does not come far: what it had taken up was not yet written down."""
LONGEST_END_NS = 3 * 86_400 * NS
"""Everything is delivered within this time once nothing is wrong any more."""


class World:
    """One box, its three instruments and its two platforms over ``days``, as ``seed`` has it."""

    def __init__(self, seed: int, directory: Path, days: float = 30.0) -> None:
        self.rng = random.Random(seed)
        random.seed(seed)  # the product's own jitter
        self.directory, self.end_ns = directory, round(days * 86_400 * NS)
        self.state_dir = directory / "state"
        self.now_ns = 0
        self.wall_off_ns = 0
        self.seen: Counter[str] = Counter()
        self.problems: list[str] = []
        self.truths = [random_truth(self.rng, f"instrument-{n}", days + 6) for n in (1, 2, 3)]
        self.platforms = [Platform(self, name) for name in PLATFORMS]
        self.card = Card()
        self.cards = [self.card]
        self.boots: dict[str, Boot] = {}
        self.synchronized = directory / "synchronized"
        self.boot = self.new_boot()
        self.agent: daemon.Agent | None = None
        self.driver_faults: dict[str, tuple[str, int]] = {}
        self.no_network_until_ns = 0
        self.storage_fault_ns = (0, 0)
        self.faults: list[Fault] = []
        self.statements_left = 0
        self.left_out, self.life = "", Life(0, 0, "", "")
        self._busy: set[str] = set()
        self._due_ns: dict[str, int] = {}
        self._turns = Turns()
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self.held: list[Any] = []
        self.expected = [f"driver {fault}" for fault in DRIVER_FAULTS]
        self.expected += [f"platform {fault}" for fault in PLATFORM_FAULTS] + list(TOLD)
        self._quiet = False
        write_config(directory / "box.toml", directory, self.truths)
        self._config = load_config(directory / "box.toml")
        for happening, per_day in FAULTS.items():
            for _ in range(int(per_day * days + self.rng.random())):
                at_ns = round(self.rng.uniform(0, days) * 86_400 * NS)
                self.at(at_ns, lambda happening=happening: happening(self))

    def close(self) -> None:
        for platform in self.platforms:
            platform.ledger.close()

    # What will happen.

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

    def wait_until(self, true_ns: int) -> None:
        """Wait as the product does: a delivery lets the others go on, everything else lets the world go on."""
        if not self._turns.wait_until(true_ns):
            self.let_pass(true_ns)

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
            self._wake()
            return self.boot.true_ns(bus.due_ns)
        if name in self._turns:
            since_ns = self.now_ns
            try:
                return self._turns.go_on(name) or self.now_ns + 10 * self.end_ns
            finally:  # a delivery that sends for long holds up the others only here: in the product all are threads
                if self.now_ns - since_ns > POLL_S * NS:
                    self.faults.append(Fault("", "suspended", since_ns, self.now_ns))
        if name == "beat":
            for heartbeat in agent.heartbeats:
                heartbeat._beat()
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

    def _wake(self) -> None:
        """Let a delivery that has something to send do so before long."""
        assert self.agent is not None
        for delivery in self.agent.deliveries:
            name = delivery.destination
            if delivery.wake.is_set() and name in self._turns.waiting:
                self._due_ns[name] = min(self._due_ns[name], self.now_ns + DELIVER_NS)

    def _synchronize(self) -> None:
        """Do what a time server and systemd-timesyncd do: set the wall clock, and touch a file to say so."""
        if self.has_time_server and self.now_ns >= self.no_network_until_ns:
            self.seen["wall clock synchronized"] += 1
            self.wall_off_ns = 0
            self.synchronized.touch()
            os.utime(self.synchronized, ns=(self.utc_ns(), self.utc_ns()))

    # How the agent lives and dies.

    def run(self) -> None:
        """Go through the whole time, then wait until everything is delivered, and end at that very moment."""
        with put_under(self):
            while self.now_ns < self.end_ns:
                self._life(lambda: self.let_pass(self.end_ns))
            self._quiet, self.left_out = True, ""
            self.driver_faults.clear()
            self.no_network_until_ns, self.storage_fault_ns, self.statements_left = 0, (0, 0), 0
            for platform in self.platforms:
                platform.fault, platform.taste = ("", 0), ""
            self._life(self._finish)

    def _finish(self) -> None:
        assert self.agent is not None
        end_ns = self.now_ns + LONGEST_END_NS
        # An hour for the platforms to be asked what they have, and the longest pause of a destination that was refused;
        # then again, for what was sent anew, and what came meanwhile.
        for hours in (3, 1):
            self.let_pass(self.now_ns + hours * HOUR_NS)
            while any(item._outbox.queue().waiting for item in self.agent.deliveries) and self.now_ns < end_ns:
                self.let_pass(self.now_ns + TICK_NS)
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
            self._drop("")
            self.now_ns += 10 * NS
        except Killed as death:
            self._drop(LOST_POWER if death.reboot else KILLED)
            death.then()
            self._away()
            if death.reboot:
                self.boot = self.new_boot()

    def _start(self) -> None:
        self.seen["starts"] += 1
        self.life = Life(self.now_ns, self.now_ns, "", self.left_out)
        self._busy.clear()
        watched = tuple(item for item in self._config.instruments if item.id != self.left_out)
        self.agent = daemon.Agent(replace(self._config, instruments=watched), SimClock(self), self.synchronized)
        for truth in (truth for truth in self.truths if truth.instrument_id != self.left_out):
            for station in self.agent.buses[truth.instrument_id]._stations:
                driver = SimDriver(self, truth)
                station.guard = Guard(truth.instrument_id, driver, self.agent.clock, 1.0, POLL_S)
        deliveries = {item.destination: self._delivering(item) for item in self.agent.deliveries}
        self._turns.begin(deliveries)
        if not self._quiet and self.rng.random() < SOON_AGAIN:
            self.at(self.lasting_ns(self.rng.choice([15, 300])), lambda: killed(self))
        jobs = [*self.agent.buses, *deliveries, "beat", "hung", "time server", "tick"]
        self._due_ns = dict.fromkeys(jobs, self.now_ns)

    def _delivering(self, delivery: Delivery) -> Callable[[], None]:
        def deliver() -> None:
            while not delivery.stopping.is_set():
                delivery.wake.clear()
                if not delivery._deliver_some():
                    self._turns.waiting.add(delivery.destination)
                    self.wait_until(self.now_ns + IDLE_NS)
                    self._turns.waiting.discard(delivery.destination)

        return deliver

    def _stop(self) -> None:
        """Stop the agent in order; its loops are no threads that could be joined."""
        agent, self.agent = self.agent, None
        if agent is not None:
            self._due_ns.clear()
            for item in agent._workers:
                item.join = lambda _timeout=None, item=item: self._join(item)  # type: ignore[method-assign]
            agent._stop()
        self._drop(STOPPED)

    def _join(self, loop: Worker) -> None:
        if isinstance(loop, Delivery):
            self._turns.finish(loop.destination)
        loop.leave()

    def _drop(self, end: str) -> None:
        """Let go of everything a dead process held, and note until when there is something to account for."""
        note_ended(self, end)
        self.agent = None
        self._due_ns.clear()
        self._turns.end()
        for held in self.held:
            # What the agent gave back itself is closed already.
            with suppress(OSError, sqlite3.ProgrammingError):
                if isinstance(held, StateLock):
                    held.release()
                else:
                    held.rollback()
                    held.close()
        self.held.clear()
        self.statements_left = 0

    def _away(self) -> None:
        """Nobody is there for a while: seconds mostly, hours sometimes."""
        if not self._quiet:
            mean_s = self.rng.choice([5, 5, 30, 200, 3600, 20_000])
            until_ns = self.lasting_ns(mean_s)
            while self._events and self._events[0][0] <= until_ns:
                heapq.heappop(self._events)
            self.now_ns = until_ns
