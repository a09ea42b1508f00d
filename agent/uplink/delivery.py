"""Carries the log to one destination: at least once on the wire, exactly once in the platform's ledger.

Three fates only: the platform has it, the platform refuses it (kept here as a dead letter), or it is kept and sent
again. Nothing is released by a reply that is not an acknowledgement of exactly what was sent.
"""

import json
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tenacity import RetryCallState

from instrument_agent.buffer.outbox import Batch, Entry, Outbox
from instrument_agent.buffer.proofs import Proof
from instrument_agent.buffer.resending import next_again, settle_again
from instrument_agent.clock import Clock
from instrument_agent.core.errors import (
    AgentError,
    PayloadTooLarge,
    PlatformRejected,
    PlatformUnauthorized,
    PlatformUnavailable,
    ReplyTooLong,
    StoreUnavailable,
)
from instrument_agent.core.readings import NS_PER_MS, NS_PER_S
from instrument_agent.i18n import _
from instrument_agent.uplink.anchoring import Anchoring
from instrument_agent.uplink.answers import Reply, Transport
from instrument_agent.uplink.replies import acknowledged, receipt, rejected, watermarks
from instrument_agent.uplink.retry import CAP_S, retrying
from instrument_agent.uplink.signing import Signer
from instrument_agent.worker import Worker

log = logging.getLogger(__name__)

IDLE_S = 60.0
"""How often an idle loop looks at the log although nobody woke it."""
COMPARE_EVERY_NS = 3600 * NS_PER_S
"""How often the platform is asked what it has: one that was restored from a backup does not know that it lost it."""
STUCK_AFTER_S = 120.0
"""Longer than any exchange with a platform may take."""


@dataclass(frozen=True, slots=True)
class Contact:
    """How a destination answers; ``error`` is what it said last, empty while all is well."""

    attempts: int = 0
    error: str = ""
    hint: str = ""


class Delivery(Worker):
    """The sender of one destination."""

    def __init__(
        self, name: str, outbox: Outbox, transport: Transport, clock: Clock, anchoring: Anchoring, limit: int
    ) -> None:
        super().__init__(f"delivery {name}", clock, STUCK_AFTER_S)
        self.destination = name
        self.contact = Contact()
        self.first_contact_after_s = 0.0
        self.again = threading.Event()
        """Set when there is a reason to believe that a failure is over, such as a new credential: a pause ends."""
        self.signer: Signer | None = None
        self._outbox = outbox
        self._transport = transport
        self._anchoring = anchoring
        self._limit = limit
        self._compare_at_ns = 0
        self._went_back_to: tuple[str, int] | None = None
        self._policy = retrying(self._pause, self.stopping.is_set, self._failed)

    def loop(self) -> None:
        """Deliver what is waiting, then wait to be woken."""
        self.idle(self.stopping, self.first_contact_after_s)
        while True:
            self.wake.clear()
            if self.stopping.is_set():  # looked at after clearing: stop() sets it before the other
                return
            if not self._deliver_some():
                self.idle(self.wake, IDLE_S)

    def stop(self) -> None:
        """End the loop at its next wait."""
        super().stop()
        self.again.set()

    def leave(self) -> None:
        """Drop the connections."""
        self._transport.close()

    def _deliver_some(self) -> bool:
        """Deliver one batch; False if nothing was waiting or the database cannot be read."""
        try:
            if not self._anchoring.anchored.is_set() or self.clock.boottime_ns() >= self._compare_at_ns:
                self._compare(self._policy(self._ask_unless_endless))
            batch = self._outbox.next_batch(self._limit)
            if batch is None:
                return self._deliver_again()
            self._deliver(batch)
        except StoreUnavailable as error:
            self.contact = replace(self.contact, error=str(error), hint=error.hint)
            return False
        except (PlatformUnavailable, PlatformUnauthorized):
            return False  # the policy gives up only when the loop is to stop
        return True

    def _ask(self) -> Reply:
        try:
            return self._transport.watermark()
        except (PlatformRejected, PayloadTooLarge) as error:  # no record is in a question that could be set aside
            raise PlatformUnavailable(str(error), error.hint) from error

    def _ask_unless_endless(self) -> Reply:
        """Ask, and take a list of epochs that is too long to be read for an empty answer.

        What a restored platform lost of epochs that ended is not seen then. Waiting for a shorter list would keep all
        records here for ever: it grows with each start of the agent.
        """
        try:
            return self._ask()
        except ReplyTooLong as error:
            log.warning("%s: %s; sending without comparing what it has", self.destination, error)
            return Reply({}, 0.0, None)

    def _ask_who_it_is(self) -> None:
        if watermarks(self._ask()) is None:
            raise PlatformUnavailable(
                _("what refuses the records does not say what it has, as a platform would"),
                _("a proxy or a login page of the network may stand in between"),
            )

    def _compare(self, reply: Reply) -> None:
        """Go back to what the platform lost of any epoch; without this, only a loss in the newest would show."""
        now_ns = self.clock.boottime_ns()
        self._anchoring.offer(reply, self.destination, now_ns)
        there = watermarks(reply)
        if there is not None:
            self._outbox.note_high_water(there, self.clock.boot_id, now_ns)
            self._outbox.note_strange(there, self.clock.boot_id, now_ns)
        lost = None if there is None else self._outbox.lost_there(there)
        if lost is not None:
            self._go_back(*lost)
        self._answers()
        self._compare_at_ns = now_ns + COMPARE_EVERY_NS

    def _deliver(self, batch: Batch) -> bool:
        """Deliver a batch, halving it while it is too large or holds a record the platform refuses.

        False if less than all of it is settled: what comes after it must not be, or the rest would be skipped.
        """
        try:
            settled: bool = self._policy(self._send, batch)
        except (PlatformRejected, PayloadTooLarge):
            if len(batch.entries) == 1:
                return self._deliver_refused(batch)
            middle = len(batch.entries) // 2
            halves = Batch(batch.epoch, batch.entries[:middle]), Batch(batch.epoch, batch.entries[middle:])
            return all(not self.stopping.is_set() and self._deliver(half) for half in halves)
        return settled

    def _deliver_refused(self, batch: Batch) -> bool:
        """Set a record aside that is refused once more although the platform answers other questions.

        One that refuses everything, or a proxy before it, says nothing about a record: it is waited for.
        """
        self._policy(self._ask_who_it_is)
        try:
            settled: bool = self._policy(self._send, batch)
        except (PlatformRejected, PayloadTooLarge) as error:
            self._dead_letter(batch.entries[0], str(error))
            return True
        return settled

    def _deliver_again(self) -> bool:
        """Deliver what somebody asked to be sent again, after everything new; False if nothing was."""
        batch = next_again(self._outbox.store, self.destination, self._limit)
        if batch is None:
            return False
        self._ask_about(batch)
        return True

    def _ask_about(self, batch: Batch) -> None:
        """Send records once more whose fate was settled before; the watermark stays where it is."""
        refused: dict[int, str] = {}
        ids = {entry.seq: entry.id for entry in batch.entries}
        try:
            reply = self._policy(self._sent_again, batch)
        except (PlatformRejected, PayloadTooLarge) as error:
            if len(batch.entries) > 1:
                middle = len(batch.entries) // 2
                for half in (batch.entries[:middle], batch.entries[middle:]):
                    if not self.stopping.is_set():
                        self._ask_about(Batch(batch.epoch, half))
                return
            refused = dict.fromkeys(ids.values(), str(error))
        else:
            refused = {ids[seq]: reason for seq, reason in rejected(reply) if seq in ids}
        self._tell_refused(refused)
        settle_again(self._outbox.store, self.destination, tuple(ids.values()), refused)
        self._answers()

    def _sent_again(self, batch: Batch) -> Reply:
        signed = None if self.signer is None else self.signer.sign(batch)
        reply = self._transport.records(self._envelope(batch, signed))
        acknowledged(reply, batch, self._outbox.last_seq(batch.epoch))
        return reply

    def _send(self, batch: Batch) -> bool:
        signed = None if self.signer is None else self.signer.sign(batch)
        reply = self._transport.records(self._envelope(batch, signed))
        received_ns = self.clock.boottime_ns()  # before the database is asked, which may take longer than the trip
        acked = acknowledged(reply, batch, self._outbox.last_seq(batch.epoch))
        self._anchoring.offer(reply, self.destination, received_ns)
        first_seq = batch.entries[0].seq
        if acked < first_seq - 1:
            self._go_back(batch.epoch, acked)
            return False
        if acked < first_seq:
            raise PlatformUnavailable(_("the platform took nothing of what was sent"))
        self._went_back_to = None
        ids = {entry.seq: entry.id for entry in batch.entries}
        refused = {ids[seq]: reason for seq, reason in rejected(reply) if seq in ids and seq <= acked}
        proof = None if signed is None else replace(signed, receipt=receipt(reply))
        self._outbox.settle(ids[acked], refused, self.clock.boot_id, self.clock.boottime_ns(), proof)
        self._tell_refused(refused)
        self._answers()
        return acked == batch.entries[-1].seq

    def _go_back(self, epoch: str, acked: int) -> None:
        """Send again what comes after ``acked``, at once the first time."""
        if (epoch, acked) == self._went_back_to:
            # It refuses a record, or lost one that is no longer here, and does not pass over it either.
            self.contact = replace(
                self.contact,
                error=_("the platform neither takes nor passes over the record after {seq}").format(seq=acked),
                hint=_("tell the platform's operator: acked_through must count what was refused"),
            )
            self._pause(CAP_S)
        log.warning("%s has lost records after %d of epoch %s; sending them again", self.destination, acked, epoch)
        self._went_back_to = (epoch, acked)
        self._outbox.rewind(epoch, acked)

    def _envelope(self, batch: Batch, signed: Proof | None) -> dict[str, Any]:
        now_ns = self.clock.boottime_ns()
        envelope = {
            "epoch": batch.epoch,
            "boot_id": self.clock.boot_id,
            "boottime_ms": now_ns // NS_PER_MS,
            "records": [self._item(entry) for entry in batch.entries],
            "head_hash": batch.entries[-1].hash,
        }
        return envelope if signed is None else envelope | {"signature": signed.signature}

    def _item(self, entry: Entry) -> dict[str, Any]:
        """Return a record with the UTC it seems to have now beside it, outside its hash, for convenience."""
        record = json.loads(entry.body)
        item: dict[str, Any] = {"hash": entry.hash, "record": record}
        utc = self._anchoring.utc(record["boot_id"], record["at_ms"] * NS_PER_MS)
        if utc is not None:
            at_ms, error_ms = utc.in_ms()
            item["utc"] = {"at_ms": at_ms, "error_ms": error_ms, "quality": utc.quality.value}
        return item

    def _answers(self) -> None:
        if self.contact.error:
            log.warning("%s: answers again", self.destination)
            self._compare_at_ns = 0  # it may have been away to be restored
        self.contact = Contact()

    def _tell_refused(self, refused: Mapping[int, str]) -> None:
        for record_id, reason in refused.items():
            log.error("%s refuses record %d: %s", self.destination, record_id, reason)

    def _dead_letter(self, entry: Entry, reason: str) -> None:
        self._tell_refused({entry.id: reason})
        self._outbox.settle(entry.id, {entry.id: reason}, self.clock.boot_id, self.clock.boottime_ns())

    def _pause(self, seconds: float) -> None:
        self.again.clear()
        if not self.stopping.is_set():
            self.idle(self.again, seconds)

    def _failed(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        hint = error.hint if isinstance(error, AgentError) else ""
        if not self.contact.error:
            log.warning("%s: %s", self.destination, error)
        self.contact = Contact(state.attempt_number, str(error), hint)
