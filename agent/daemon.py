"""Wires the rooms together and keeps them going: the agent as one process."""

import logging
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from instrument_agent import appending, snapshot
from instrument_agent.buffer.books import save_configured, save_stop
from instrument_agent.buffer.lock import StateLock
from instrument_agent.buffer.outbox import Outbox
from instrument_agent.buffer.quarantine import open_books
from instrument_agent.buffer.resending import ask_again
from instrument_agent.buffer.stopnote import note_stop
from instrument_agent.clock import Clock
from instrument_agent.config import Config, DestinationConfig, InstrumentConfig
from instrument_agent.control import ControlServer
from instrument_agent.core.errors import AgentError, StoreUnavailable
from instrument_agent.core.readings import NS_PER_MS, NS_PER_S
from instrument_agent.core.records import LifecycleWord
from instrument_agent.core.step import live
from instrument_agent.handover import Order, order_of
from instrument_agent.hung import HungBuses
from instrument_agent.notify import Notifier
from instrument_agent.poll.bus import Bus, Station
from instrument_agent.poll.guard import Guard
from instrument_agent.poll.recorder import Recorder
from instrument_agent.poll.watching import watching
from instrument_agent.report.confirming import confirming
from instrument_agent.rereading import refuse_while_hung, reread
from instrument_agent.resuming import Resuming
from instrument_agent.self_learning import self_learning
from instrument_agent.standing_rules import announcement, standing_rules
from instrument_agent.timesync import SYNCHRONIZED, TimeSync
from instrument_agent.upkeep import Upkeep
from instrument_agent.uplink.anchoring import Anchoring
from instrument_agent.uplink.answers import Transport
from instrument_agent.uplink.delivery import Delivery
from instrument_agent.uplink.enrolled import KeyFile
from instrument_agent.uplink.heartbeat import Heartbeat, phase
from instrument_agent.uplink.retry import first_contact_s
from instrument_agent.uplink.signing import Signer
from instrument_agent.uplink.transports import transport_to
from instrument_agent.witnesses import Witnesses
from instrument_agent.worker import Worker

log = logging.getLogger(__name__)

TICK_S = 1.0
HUNG_AFTER_S = 10.0
"""A driver that takes this much longer than it was given is hung (real seconds)."""


class Agent:
    """One box: instruments on buses, books in the database, destinations behind it."""

    def __init__(
        self, config: Config, clock: Clock, sync_file: Path = SYNCHRONIZED, order: Order | None = None
    ) -> None:
        """Take the state directory and open the books; ``sync_file`` tells that a time server set the wall clock.

        Raises:
            StoreUnavailable: another agent has it, or it cannot be used.
        """
        self.clock = clock
        self.stopping = threading.Event()
        self.failed = self.restarting = False
        self.reload_wanted = threading.Event()
        self.successor: Config | None = None
        self.order: Order | None = None
        self._lock = StateLock(config.box.state_dir)
        self.store = open_books(config.box.state_dir, config.box.id, clock.utc_ns())
        resuming = Resuming(self.store, clock, config.box.checkpoint_s, order)
        self._upkeep = Upkeep(self.store, clock, config)
        self._upkeep.begin()
        self.config = config = resuming.retire_from(config)
        self._upkeep.count_also(resuming.unwatched(config))
        self.recorder = Recorder(self.store, clock, config.box.checkpoint_s)
        self.anchoring = Anchoring(self.store, clock)
        self._time_sync = TimeSync(clock, sync_file)
        self._last_read = snapshot.LastRead(self.store, config)
        self.buses: dict[str, Bus] = {}
        self._hung_buses = HungBuses(self.store, clock)
        self.deliveries: list[Delivery] = []
        self.heartbeats: list[Heartbeat] = []
        for instrument in config.instruments:
            resuming.take_up(instrument, self.recorder)
            self._connect(instrument)
        self.recorder.checkpoint()
        self._witnesses = Witnesses(self.store, clock, self.recorder, config)
        self._learning = self_learning(config.instruments, self.recorder, clock)
        for destination in config.destinations:
            self._serve(destination)
        answers = {
            "status": lambda _request: self.status(),
            "send_again": self._send_again,
            "try_now": self._try_now,
            "append": self._append,
            "reload": self._reload,
            **confirming(self.store, clock, config),
            **watching(self.buses, self.recorder, clock),
        }
        self._control = ControlServer(config.box.runtime_dir, answers)

    def run(self, notifier: Notifier) -> int:
        """Run until stopped; return the exit status (1 if a worker died or hangs: systemd starts a new process).

        If ``successor`` is set then, an agent with that config is to take the place of this one.
        """
        for worker in self._workers:
            worker.on_death = self._worker_died
            worker.start()
        notifier.ready()
        log.info("watching %d instruments on %d buses", len(self.config.instruments), len(self.buses))
        while not self.stopping.wait(TICK_S):
            self._tick(notifier)
        if self.successor is None:
            notifier.stopping()
        else:
            notifier.reloading()
        self._stop()
        return 1 if self.failed or self.restarting or self.recorder.storage_error or self._ports_held else 0

    def status(self) -> dict[str, Any]:
        """Return everything `status` shows."""
        health = {name: item for bus in self.buses.values() for name, item in bus.health().items()}
        watched, last_read = self.recorder.watched(), self._last_read
        boot_id, now_ns = self.clock.boot_id, self.clock.boottime_ns()
        now = {name: live(item.rules, item.state, now_ns) for name, item in watched.items()}
        return {
            "running": True,
            **snapshot.box(self.config, self.anchoring.known(), last_read, boot_id, now_ns),
            "epoch": self.store.epoch,
            "storage_error": self.recorder.storage_error,
            "unsaved_changes": self.recorder.unsaved,
            "instruments": [
                snapshot.instrument_now(item, watched[item.id], now[item.id], health.get(item.id))
                | snapshot.standing_now(self.config, item.id, last_read)
                | self._witnesses.now(item.id)
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
        wait_s = first_contact_s(destination.first_contact_spread_s, self.clock.boottime_ns())
        keys = KeyFile(self.config.box.state_dir, destination.name)

        def transport() -> Transport:
            return transport_to(destination, box_id, keys, self.clock.boottime_ns)

        delivery = Delivery(
            destination.name,
            Outbox(self.store, destination.name),
            transport(),
            self.clock,
            self.anchoring,
            destination.batch_records,
        )
        delivery.signer = Signer(keys, box_id)
        delivery.first_contact_after_s = wait_s
        self.store.listen(delivery.wake)
        period_s = destination.heartbeat_s * phase(box_id)
        name, body = destination.name, lambda: self._heartbeat_body(destination.name)
        heartbeat = Heartbeat(name, transport(), self.clock, self.anchoring, period_s, body)
        heartbeat.first_contact_after_s = wait_s
        self.recorder.on_change(heartbeat.wake.set)
        self.deliveries.append(delivery)
        self.heartbeats.append(heartbeat)

    def _append(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Put what people did to an instrument in the log; return where it stands there."""
        place = appending.append(self.config, self.store, self.clock, request)
        if request["event"] == LifecycleWord.COMMISSIONED:  # that may be where the rules in force come from by now
            instrument = next(item for item in self.config.instruments if item.id == request["instrument"])
            data = announcement(instrument, standing_rules(instrument, self.store))
            with self.store.write() as change:
                save_configured(change, instrument.id, self.clock.boot_id, self.clock.boottime_ns(), data)
        return asdict(place)

    def _reload(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Have an agent with the config as it is now take the place of this one; refuse a config with mistakes.

        An order in the request is carried out between the books of this agent and those of that one.
        """
        refuse_while_hung([name for name, bus in self.buses.items() if bus.stuck])
        successor = reread(self.config)
        self.order = order_of(request, {item.id for item in successor.instruments})
        self.successor = successor
        log.info("the config was read again; taking it up")
        self.stopping.set()
        return {"config_hash": self.successor.hash}

    def _send_again(self, request: Mapping[str, Any]) -> int:
        """Have a destination get settled records once more; return how many."""
        count = ask_again(self.store, request["destination"], request["which"], request["place"])
        self._try_now(request)
        return count

    def _try_now(self, _request: Mapping[str, Any]) -> None:
        """End the pauses after failures: there is a new key or something new to send."""
        for delivery, heartbeat in zip(self.deliveries, self.heartbeats, strict=True):
            for event in (delivery.again, delivery.wake, heartbeat.again, heartbeat.wake):
                event.set()

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
        if self.reload_wanted.is_set():
            self.reload_wanted.clear()
            try:
                self._reload({})
            except AgentError as error:
                log.error("the old config stays: %s. %s", error, error.hint)
        self._upkeep.do_what_is_due(self.recorder, self.anchoring)
        self._witnesses.compare_if_due()
        hung = {name: bus for name, bus in self.buses.items() if bus.stuck}
        for bus in hung.values():
            bus.tell_hung()
        if self._hung_buses.restart_due(hung):
            self.restarting = True
            self.stopping.set()
        if all(worker.is_alive() and (not worker.stuck or worker in hung.values()) for worker in self._workers):
            notifier.alive()
        trouble = ", nothing can be written down" if self.recorder.storage_error else ""
        notifier.status(
            f"{len(self.config.instruments)} instruments, {len(self.buses)} buses, {len(hung)} hung{trouble}"
        )

    @property
    def _ports_held(self) -> bool:
        """Whether a bus did not end: an agent in the same process could not open its port."""
        return self.successor is not None and any(bus.is_alive() for bus in self.buses.values())

    @property
    def _workers(self) -> list[Worker]:
        return [*self.buses.values(), *self.deliveries, *self.heartbeats, *self._learning]

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
            if not self.failed:
                note_stop(self.config.box.state_dir, self.store, self.clock.boot_id, self.clock.boottime_ns())
        elif not self.failed:
            with suppress(StoreUnavailable), self.store.write() as change:
                save_stop(change, self.store.epoch, self.clock.boottime_ns())
        self._control.close()
        self.store.close()
        self._lock.release()
        log.info("stopped")
