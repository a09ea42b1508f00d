"""Carries the log to one destination: at least once on the wire, exactly once in the platform's ledger.

Three fates only: the platform has it, the platform refuses it (kept here as a dead letter), or it is kept and sent
again. Nothing is released by a reply that is not an acknowledgement of exactly what was sent.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tenacity import RetryCallState

from instrument_agent.buffer.outbox import Batch, Entry, Outbox
from instrument_agent.clock import Clock
from instrument_agent.core.errors import (
    AgentError,
    PayloadTooLarge,
    PlatformRejected,
    PlatformUnauthorized,
    PlatformUnavailable,
    StoreUnavailable,
)
from instrument_agent.core.readings import NS_PER_MS, NS_PER_S
from instrument_agent.i18n import _
from instrument_agent.uplink.anchoring import Anchoring
from instrument_agent.uplink.http import HttpTransport, Reply
from instrument_agent.uplink.retry import CAP_S, retrying
from instrument_agent.worker import Worker

log = logging.getLogger(__name__)

IDLE_S = 60.0
"""How often an idle loop looks at the log although nobody woke it."""
COMPARE_EVERY_NS = 3600 * NS_PER_S
"""How often the platform is asked what it has: one that was restored from a backup does not know that it lost it."""
LONGEST_EPOCH, LARGEST_SEQ = 64, 2**53 - 1
"""What a platform says goes into a record, which holds no larger integers."""
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
        self, name: str, outbox: Outbox, transport: HttpTransport, clock: Clock, anchoring: Anchoring, limit: int
    ) -> None:
        super().__init__(f"delivery {name}", clock, STUCK_AFTER_S)
        self.destination = name
        self.contact = Contact()
        self.first_contact_after_s = 0.0
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
        while not self.stopping.is_set():
            self.wake.clear()
            if not self._deliver_some():
                self.idle(self.wake, IDLE_S)

    def leave(self) -> None:
        """Drop the connections."""
        self._transport.close()

    def _deliver_some(self) -> bool:
        """Deliver one batch; False if nothing was waiting or the database cannot be read."""
        try:
            if not self._anchoring.anchored.is_set() or self.clock.boottime_ns() >= self._compare_at_ns:
                self._compare(self._policy(self._ask))
            batch = self._outbox.next_batch(self._limit)
            if batch is None:
                return False
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

    def _compare(self, reply: Reply) -> None:
        """Go back to what the platform lost of any epoch; without this, only a loss in the newest would show."""
        now_ns = self.clock.boottime_ns()
        self._anchoring.offer(reply, self.destination, now_ns)
        there = _watermarks(reply)
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
        except (PlatformRejected, PayloadTooLarge) as error:
            if len(batch.entries) == 1:
                self._dead_letter(batch.entries[0], str(error))
                return True
            middle = len(batch.entries) // 2
            halves = Batch(batch.epoch, batch.entries[:middle]), Batch(batch.epoch, batch.entries[middle:])
            return all(not self.stopping.is_set() and self._deliver(half) for half in halves)
        return settled

    def _send(self, batch: Batch) -> bool:
        reply = self._transport.records(self._envelope(batch))
        received_ns = self.clock.boottime_ns()  # before the database is asked, which may take longer than the trip
        acked = _acknowledged(reply, batch, self._outbox.last_seq(batch.epoch))
        self._anchoring.offer(reply, self.destination, received_ns)
        first_seq = batch.entries[0].seq
        if acked < first_seq - 1:
            self._go_back(batch.epoch, acked)
            return False
        if acked < first_seq:
            raise PlatformUnavailable(_("the platform took nothing of what was sent"))
        self._went_back_to = None
        ids = {entry.seq: entry.id for entry in batch.entries}
        refused = {ids[seq]: reason for seq, reason in _rejected(reply) if seq in ids and seq <= acked}
        self._outbox.settle(ids[acked], refused, self.clock.boot_id, self.clock.boottime_ns())
        for record_id, reason in refused.items():
            log.error("%s refuses record %d: %s", self.destination, record_id, reason)
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

    def _envelope(self, batch: Batch) -> dict[str, Any]:
        now_ns = self.clock.boottime_ns()
        return {
            "epoch": batch.epoch,
            "boot_id": self.clock.boot_id,
            "boottime_ms": now_ns // NS_PER_MS,
            "records": [self._item(entry) for entry in batch.entries],
            "head_hash": batch.entries[-1].hash,
        }

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

    def _dead_letter(self, entry: Entry, reason: str) -> None:
        log.error("%s refuses record %d: %s", self.destination, entry.id, reason)
        self._outbox.settle(entry.id, {entry.id: reason}, self.clock.boot_id, self.clock.boottime_ns())

    def _pause(self, seconds: float) -> None:
        self.idle(self.stopping, seconds)

    def _failed(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        hint = error.hint if isinstance(error, AgentError) else ""
        if not self.contact.error:
            log.warning("%s: %s", self.destination, error)
        self.contact = Contact(state.attempt_number, str(error), hint)


def _acknowledged(reply: Reply, batch: Batch, last_seq: int) -> int:
    """Return up to which seq of this batch the platform has everything.

    A platform may have more than this batch, if an earlier reply was lost; it cannot have more than ``last_seq``,
    the last one the box ever wrote in this epoch.

    Raises:
        PlatformUnavailable: the reply is no acknowledgement of this batch.
    """
    body: Mapping[str, Any] = reply.body
    acked = body.get("acked_through")
    if body.get("epoch") != batch.epoch or type(acked) is not int or not 0 <= acked <= last_seq:
        raise PlatformUnavailable(
            _("the reply does not acknowledge what was sent"), _("the platform does not keep to contract v1")
        )
    return min(acked, batch.entries[-1].seq)


def _watermarks(reply: Reply) -> dict[str, int] | None:
    """Return ``acked_through`` of each epoch the platform knows; None if the reply does not say."""
    listed = reply.body.get("epochs")
    if not isinstance(listed, list):
        return None
    try:
        marks = {item["epoch"]: item["acked_through"] for item in listed}
    except (TypeError, KeyError):
        return None
    credible = all(
        isinstance(epoch, str) and len(epoch) <= LONGEST_EPOCH and type(mark) is int and 0 <= mark <= LARGEST_SEQ
        for epoch, mark in marks.items()
    )
    return marks if credible else None


def _rejected(reply: Reply) -> list[tuple[int, str]]:
    listed = reply.body.get("rejected")
    items = listed if isinstance(listed, list) else []
    return [
        (item["seq"], str(item.get("reason", "")))
        for item in items
        if isinstance(item, dict) and type(item.get("seq")) is int
    ]
