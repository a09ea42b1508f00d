"""The log of records, read behind one watermark per destination.

Everything up to a destination's watermark is settled there: stored, or refused and kept here as a dead letter.
"""

import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from instrument_agent.buffer.chain import COLUMNS, Chain, judged, roots, tied
from instrument_agent.buffer.proofs import Proof, keep_proof
from instrument_agent.buffer.reader import Readable, damaged
from instrument_agent.buffer.store import Store, Transaction
from instrument_agent.core.errors import StoreDamaged, StoreUnavailable
from instrument_agent.core.records import Fact, RecordType
from instrument_agent.core.rowsum import row_sum
from instrument_agent.i18n import _

log = logging.getLogger(__name__)

UNKNOWN_HERE = "epoch_unknown_here"
MOST_UNKNOWN = 100
"""So many are said aloud in a log's life: a platform that takes other boxes' epochs for ours must not fill the card."""
PRUNED_SQL = "select coalesce(max(r.id), 0) from records r join roots o on o.epoch = r.epoch and r.seq <= o.seq"
"""Up to where the log is pruned. Nothing before is sent, or sent again: no platform can pass over what is gone."""
LAST_SQL = (
    "with lost (epoch, seq) as materialized (select json_extract(body, '$.data.epoch'),"
    " json_extract(body, '$.data.to_seq') from records"
    " where type = 'fault' and json_extract(body, '$.data.kind') = 'tail_lost')"
    " select e.epoch, max(coalesce((select max(seq) from records r where r.epoch = e.epoch), 0),"
    " coalesce((select o.seq from roots o where o.epoch = e.epoch), 0),"
    " coalesce((select max(l.seq) from lost l where l.epoch = e.epoch), 0)) from epochs e"
)
"""The highest seq of each epoch: of a record that is here, that was pruned, or that was lost and is said to be."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of the log, as it was written: canonical JSON and its hash."""

    id: int
    seq: int
    body: str
    hash: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one epoch, each of which names the hash of the one before it."""

    epoch: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Queue:
    """How a destination stands: records made, settled there, still waiting, and refused by it.

    ``acked_boot_id`` and ``acked_at_ns`` say when it last acknowledged something.
    """

    made: int
    acknowledged: int
    waiting: int
    dead_lettered: int
    acked_boot_id: str | None
    acked_at_ns: int | None


class Outbox:
    """The log as one destination sees it."""

    def __init__(self, store: Store, destination: str) -> None:
        self.store = self._store = store
        self._destination = destination
        with suppress(StoreUnavailable):  # a disk that takes nothing now is tried again when something is to be sent
            self._enter()

    def next_batch(self, limit: int) -> Batch | None:
        """Return the oldest records not settled here, at most ``limit``, all tied together; None if there are none.

        Raises:
            StoreDamaged: the watermark or one of these records is not what was written; it must not be sent.
        """
        rows: list[Any] = self._store.rows(
            f"select {COLUMNS} from records where id > ? order by id limit ?",  # noqa: S608  # a constant
            (self._acked_id(), limit),
        )
        if not rows:
            return None
        epoch, chain, rooted = rows[0][1], Chain(), roots(self._store)
        batch = [row for row in rows if row[1] == epoch]
        for fault in (fault for row in batch for fault in judged(chain, rooted, row)):
            raise self._damaged(
                _("record {seq} of epoch {epoch} is not what was written").format(seq=fault.seq, epoch=fault.epoch)
            )
        return Batch(epoch, tuple(Entry(row[0], row[2], row[5], row[6]) for row in tied(batch)))

    def _enter(self) -> None:
        """Give the destination a watermark if it has none, or none that anything could be sent from."""
        with self._store.write() as change:
            pruned_id = change.execute(PRUNED_SQL).fetchone()[0]
            change.execute(
                "insert or ignore into destinations (name, acked_id, row_sum) values (?, ?, ?)",
                (self._destination, pruned_id, row_sum(self._destination, pruned_id)),
            )
            if self._acked_id() < pruned_id:  # it was not in the config for a while
                self._move(change, pruned_id)

    def last_seq(self, epoch: str) -> int:
        """Return the highest seq known to have been written in an epoch, 0 if there is none."""
        last: int = dict(self._store.rows(f"{LAST_SQL} where e.epoch = ?", (epoch,))).get(epoch, 0)
        return last

    def note_strange(self, acked_through: Mapping[str, int], boot_id: str, at_ns: int) -> None:
        """Say aloud, once, which epochs of this box a platform has records of and this database does not know.

        So it is after an older card was put back, with a clone of it in another box, or if a database was lost.
        """
        known = {epoch for (epoch,) in self._store.rows("select epoch from epochs")}
        said = {fault["epoch"] for fault in strange_epochs(self._store)}
        known |= said
        strange = [(epoch, there) for epoch, there in acked_through.items() if there > 0 and epoch not in known]
        strange = strange[: max(0, MOST_UNKNOWN - len(said))]
        if not strange:
            return
        with self._store.write() as change:
            for epoch, there in strange:
                data = {"kind": UNKNOWN_HERE, "epoch": epoch, "acked_through": there}
                log.error(
                    "%s has %d records of epoch %s, which this box does not know", self._destination, there, epoch
                )
                change.append(
                    Fact(RecordType.FAULT, boot_id, at_ns, data | {"shown_by": f"platform:{self._destination}"})
                )

    def note_high_water(self, acked_through: Mapping[str, int], boot_id: str, at_ns: int) -> None:
        """Say aloud, once, what a platform has of an ended epoch and this box has not: the end of it was lost here."""
        for epoch, last_seq in self._store.rows(f"{LAST_SQL} where e.epoch <> ?", (self._store.epoch,)):
            there = acked_through.get(epoch, 0)
            if there > last_seq:
                span = {"epoch": epoch, "from_seq": last_seq + 1, "to_seq": there}
                data = {"kind": "tail_lost", **span, "shown_by": f"platform:{self._destination}"}
                with self._store.write() as change:
                    change.append(Fact(RecordType.FAULT, boot_id, at_ns, data))

    def settle(
        self, through_id: int, refused: dict[int, str], boot_id: str, at_ns: int, proof: Proof | None = None
    ) -> None:
        """Move the watermark to ``through_id``; ``refused`` maps record ids to the platform's reasons."""
        with self._store.write() as change:
            for record_id, reason in refused.items():
                change.execute(
                    "insert or ignore into dead_letters (destination, record_id, reason) values (?, ?, ?)",
                    (self._destination, record_id, reason[:500]),
                )
            self._move(change, through_id)
            change.execute(
                "update destinations set acked_boot_id = ?, acked_at_ns = ? where name = ?",
                (boot_id, at_ns, self._destination),
            )
            if proof is not None:
                keep_proof(change, self._destination, proof)

    def lost_there(self, acked_through: Mapping[str, int]) -> tuple[str, int] | None:
        """Return the oldest epoch the platform has less of than was settled here, and up to where it has it.

        ``acked_through`` is what the platform says of each epoch it knows. What it lost and is no longer kept here
        cannot be sent again, and is left out. None if nothing is to be sent again.
        """
        settled = self._store.rows(
            "select epoch, max(seq) from records where id <= (select acked_id from destinations where name = ?)"  # noqa: S608
            f" and id > ({PRUNED_SQL}) and epoch not in (select epoch from roots) group by epoch order by min(id)",
            (self._destination,),
        )
        for epoch, seq in settled:
            there = acked_through.get(epoch, 0)
            kept = "select 1 from records where epoch = ? and seq = ?"
            if there < seq and self._store.rows(kept, (epoch, there + 1)):
                return epoch, there
        return None

    def rewind(self, epoch: str, acked_through: int) -> None:
        """Go back to just after ``acked_through`` of ``epoch``: the platform lost what came after it.

        The watermark never moves forward here, except over what is pruned, and what was refused after it is asked about
        again.
        """
        with self._store.write() as change:
            before_lost = "select min(id) - 1 from records where epoch = ? and seq > ?"
            first_id = change.execute(before_lost, (epoch, acked_through)).fetchone()[0]
            acked_id, pruned_id = self._acked_id(), change.execute(PRUNED_SQL).fetchone()[0]
            self._move(change, max(pruned_id, acked_id if first_id is None else min(acked_id, first_id)))
            change.execute(
                "delete from dead_letters where destination = ?"
                " and record_id > (select acked_id from destinations where name = ?)",
                (self._destination, self._destination),
            )

    def queue(self) -> Queue:
        """Return how this destination stands."""
        return queue_of(self._store, self._destination)

    def _acked_id(self) -> int:
        columns = "select acked_id, row_sum from destinations where name = ?"
        if not self._store.rows(columns, (self._destination,)):
            self._enter()
        acked_id, noted = self._store.rows(columns, (self._destination,))[0]
        if row_sum(self._destination, acked_id) != noted:
            raise self._damaged(_("the watermark of {name} does not fit its checksum").format(name=self._destination))
        checked: int = acked_id
        return checked

    def _move(self, change: Transaction, acked_id: int) -> None:
        change.execute(
            "update destinations set acked_id = ?, row_sum = ? where name = ?",
            (acked_id, row_sum(self._destination, acked_id), self._destination),
        )

    def _damaged(self, what: str) -> StoreDamaged:
        error = damaged(what)
        self._store.note_damage(str(error))
        return error


def strange_epochs(source: Readable) -> list[dict[str, Any]]:
    """Return the data of the ``fault`` records about epochs that only a platform knows."""
    rows = source.rows(
        "select body from records where type = ? and json_extract(body, '$.data.kind') = ? order by id",
        (RecordType.FAULT.value, UNKNOWN_HERE),
    )
    return [json.loads(body)["data"] for (body,) in rows]


QUEUE_SQL = (
    "select (select count(*) from records), (select count(*) from records where id <= d.acked_id),"
    " (select count(*) from dead_letters where destination = d.name), d.acked_boot_id, d.acked_at_ns"
    " from destinations d where d.name = ?"
)


def queue_of(source: Readable, destination: str) -> Queue:
    """Return how ``destination`` stands; one that was never seen has everything waiting."""
    rows = source.rows(QUEUE_SQL, (destination,))
    if not rows:
        made = source.rows("select count(*) from records")[0][0]
        return Queue(made, 0, made, 0, None, None)
    made, settled, refused, boot_id, at_ns = rows[0]
    return Queue(made, settled - refused, made - settled, refused, boot_id, at_ns)
