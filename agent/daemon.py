"""Wires the rooms together and keeps them going: the agent as one process."""

import logging
import random
import signal
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from instrument_agent import snapshot
from instrument_agent.buffer.books import (
    last_epoch,
    save_configured,
    save_events,
    save_stop,
    states,
    time_spent_ns,
)
from instrument_agent.buffer.lock import StateLock
from instrument_agent.buffer.outbox import Outbox
from instrument_agent.buffer.quarantine import open_books
from instrument_agent.buffer.store import Transaction
from instrument_agent.clock import Clock
from instrument_agent.config import Config, DestinationConfig, InstrumentConfig
from instrument_agent.control import ControlServer
from instrument_agent.core.errors import StoreUnavailable
from instrument_agent.core.readings import NS_PER_MS, NS_PER_S, FailedRead, UnknownReason
from instrument_agent.core.records import configured
from instrument_agent.core.sessions import Earlier
from instrument_agent.core.step import State, begin, end
from instrument_agent.notify import Notifier
from instrument_agent.poll.bus import Bus, Station
from instrument_agent.poll.guard import Guard
from instrument_agent.poll.recorder import Recorder, Watched
from instrument_agent.poll.watching import watching
from instrument_agent.timesync import SYNCHRONIZED, TimeSync
from instrument_agent.upkeep import Upkeep
from instrument_agent.uplink.anchoring import Anchoring
from instrument_agent.uplink.delivery import Delivery
from instrument_agent.uplink.heartbeat import Heartbeat, phase
from instrument_agent.uplink.http import HttpTransport
from instrument_agent.worker import Worker

log = logging.getLogger(__name__)

TICK_S = 1.0
HUNG_AFTER_S = 10.0
"""A driver that takes this much longer than it was given is hung (real seconds)."""
JUST_BOOTED_NS = 600 * NS_PER_S


class Agent:
    """One box: instruments on buses, books in the database, destinations behind it."""

    def __init__(self, config: Config, clock: Clock, sync_file: Path = SYNCHRONIZED) -> None:
        """Take the state directory and open the books; ``sync_file`` tells that a time server set the wall clock.

        Raises:
            StoreUnavailable: another agent has it, or it cannot be used.
        """
        self.config = config
        self.clock = clock
        self.stopping = threading.Event()
        self.failed = False
        self._lock = StateLock(config.box.state_dir)
        self.store = open_books(config.box.state_dir, config.box.id, clock.utc_ns())
        self._last = last_epoch(self.store)
        self._resumed = states(self.store)
        self._upkeep = Upkeep(self.store, clock, config)
        self._upkeep.begin()
        self.recorder = Recorder(self.store, clock, config.box.checkpoint_s)
        self.anchoring = Anchoring(self.store, clock)
        self._time_sync = TimeSync(clock, sync_file)
        self._last_read = snapshot.LastRead(self.store, config)
        self.buses: dict[str, Bus] = {}
        self.deliveries: list[Delivery] = []
        self.heartbeats: list[Heartbeat] = []
        for instrument in config.instruments:
            self._resume(instrument)
            self._connect(instrument)
        self.recorder.checkpoint()
        for destination in config.destinations:
            self._serve(destination)
        answers = {"status": lambda _request: self.status()} | watching(self.buses, self.recorder, clock)
        self._control = ControlServer(config.box.runtime_dir, answers)

    def run(self, notifier: Notifier) -> int:
        """Run until stopped; return the exit status (1 if a worker died, so that systemd starts a new process)."""
        # A closed terminal ends an agent in the foreground in order too.
        for signal_number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(signal_number, lambda *_: self.stopping.set())
        for worker in self._workers:
            worker.on_death = self._worker_died
            worker.start()
        notifier.ready()
        log.info("watching %d instruments on %d buses", len(self.config.instruments), len(self.buses))
        while not self.stopping.wait(TICK_S):
            self._tick(notifier)
        notifier.stopping()
        self._stop()
        return 1 if self.failed or self.recorder.storage_error else 0

    def status(self) -> dict[str, Any]:
        """Return everything `status` shows."""
        health = {name: item for bus in self.buses.values() for name, item in bus.health().items()}
        watched, last_read = self.recorder.watched(), self._last_read
        boot_id, now_ns = self.clock.boot_id, self.clock.boottime_ns()
        return {
            "running": True,
            **snapshot.box(self.config, self.anchoring.known(), last_read, boot_id, now_ns),
            "epoch": self.store.epoch,
            "storage_error": self.recorder.storage_error,
            "unsaved_changes": self.recorder.unsaved,
            "instruments": [
                snapshot.instrument_now(item, watched[item.id], self.recorder.live(item.id), health.get(item.id))
                | snapshot.idle_now(self.config, item.id, last_read)
                for item in self.config.instruments
            ],
            "destinations": [
                entry | {"contact": asdict(delivery.contact), "heartbeats_sent": heartbeat.sent}
                for entry, delivery, heartbeat in zip(
                    snapshot.queues(self.config, last_read),
                    self.deliveries,
                    self.heartbeats,
                    strict=True,
                )
            ],
        }

    def _resume(self, instrument: InstrumentConfig) -> None:
        """Take up the books where they were left, and say why nothing was seen in between."""
        now_ns, boot_id = self.clock.boottime_ns(), self.clock.boot_id
        rules = instrument.activity.rules()
        state, ended = self._resumed.get(instrument.id), None
        spent_ns = time_spent_ns(self.store, instrument.id, boot_id)
        if state is not None and state.boot_id != boot_id:
            # Between two checkpoints nothing was written: for so long it may have gone on.
            ended = end(rules, state, round(self.config.box.checkpoint_s * NS_PER_S))
            state = begin(boot_id, 0, _open_at_end(state))
        elif state is None:
            state = begin(boot_id, now_ns)
        data = configured(instrument.identity(), instrument.driver.name, rules, round(instrument.poll_s * 1000))

        def write_first(change: Transaction) -> None:
            # In one transaction with the new state: a boot whose books are closed must never be closed again.
            if ended is not None:
                save_events(change, instrument.id, *ended)
            save_configured(change, instrument.id, boot_id, now_ns, data)

        self.recorder.watch(instrument.id, Watched(rules, state, spent_ns=spent_ns), write_first)
        if instrument.id in self._resumed:
            self.recorder.take(instrument.id, FailedRead(now_ns, self._why_unseen(self._resumed[instrument.id])))

    def _why_unseen(self, state: State) -> UnknownReason:
        if self._last is not None and self._last.stopped_ns is not None:
            return UnknownReason.AGENT_STOPPED
        same_boot = state.boot_id == self.clock.boot_id
        return UnknownReason.AGENT_CRASHED if same_boot else UnknownReason.POWER_LOSS

    def _connect(self, instrument: InstrumentConfig) -> None:
        """Put the instrument on its bus."""
        driver = instrument.driver.build(lambda: self.clock.boottime_ns() / NS_PER_S)
        guard = Guard(instrument.id, driver, self.clock, instrument.timeout_s, instrument.poll_s)
        name = instrument.driver.bus or instrument.id
        slowest_s = max(item.timeout_s for item in self.config.instruments if (item.driver.bus or item.id) == name)
        if name not in self.buses:
            self.buses[name] = Bus(name, self.clock, self.recorder, stuck_after_s=slowest_s + HUNG_AFTER_S)
        bus = self.buses[name]
        bus.add(Station(instrument.id, guard, round(instrument.poll_s * NS_PER_S)))

    def _serve(self, destination: DestinationConfig) -> None:
        """Start a delivery and a heartbeat for a destination, each with connections of its own."""
        box_id = self.config.box.id
        spread_s = destination.first_contact_spread_s if self.clock.boottime_ns() < JUST_BOOTED_NS else 0.0
        wait_s = random.uniform(0, spread_s)  # noqa: S311  # spreads load, guards nothing

        def transport() -> HttpTransport:
            return HttpTransport(destination.url, box_id, destination.credential_file, destination.ca_file)

        delivery = Delivery(
            destination.name,
            Outbox(self.store, destination.name),
            transport(),
            self.clock,
            self.anchoring,
            destination.batch_records,
        )
        delivery.first_contact_after_s = wait_s
        self.store.listen(delivery.wake)
        period_s = destination.heartbeat_s * phase(box_id)
        heartbeat = Heartbeat(
            destination.name,
            transport(),
            self.clock,
            self.anchoring,
            period_s,
            lambda: self._heartbeat_body(destination.name),
        )
        heartbeat.first_contact_after_s = wait_s
        self.recorder.on_change(heartbeat.wake.set)
        self.deliveries.append(delivery)
        self.heartbeats.append(heartbeat)

    def _heartbeat_body(self, destination: str) -> dict[str, Any]:
        instruments = {item.id: self.recorder.live(item.id) for item in self.config.instruments}
        now = {
            "epoch": self.store.epoch,
            "boot_id": self.clock.boot_id,
            "boottime_ms": self.clock.boottime_ns() // NS_PER_MS,
            "storage_error": self.recorder.storage_error,
        }
        return snapshot.heartbeat_body(self.config, self._last_read, now, instruments, destination)

    def _tick(self, notifier: Notifier) -> None:
        """Look after the loops; the watchdog is fed only while each makes progress or is known to hang."""
        self.anchoring.see(self._time_sync.sight())
        if self.store.damage:
            self._worker_died()  # the next start sets the database aside
            return
        self._upkeep.do_what_is_due(self.recorder, self.anchoring)
        hung = [bus for bus in self.buses.values() if bus.stuck]
        for bus in hung:
            bus.tell_hung()
        if all(worker.is_alive() and (not worker.stuck or worker in hung) for worker in self._workers):
            notifier.alive()
        trouble = ", nothing can be written down" if self.recorder.storage_error else ""
        notifier.status(
            f"{len(self.config.instruments)} instruments, {len(self.buses)} buses, {len(hung)} hung{trouble}"
        )

    @property
    def _workers(self) -> list[Worker]:
        return [*self.buses.values(), *self.deliveries, *self.heartbeats]

    def _worker_died(self) -> None:
        self.failed = True
        self.stopping.set()

    def _stop(self) -> None:
        """Stop every loop, write everything down, and say that this end was meant."""
        deadline_s = time.monotonic() + HUNG_AFTER_S
        for worker in self._workers:
            worker.stop()
        for worker in (worker for worker in self._workers if not worker.stuck):
            worker.join(max(0.0, deadline_s - time.monotonic()))
        self.recorder.checkpoint()
        if self.recorder.storage_error:
            log.critical("%d changes could not be written down and are lost", self.recorder.unsaved)
        elif not self.failed:
            with suppress(StoreUnavailable), self.store.write() as change:
                save_stop(change, self.store.epoch, self.clock.boottime_ns())
        self._control.close()
        self.store.close()
        self._lock.release()
        log.info("stopped")


def _open_at_end(state: State) -> Earlier | None:
    """Return the run that was open when a boot ended."""
    return Earlier(state.boot_id, state.open_run.start_ns) if state.open_run is not None else None
