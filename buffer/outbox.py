"""The log of records, read behind one watermark per destination.

Everything up to a destination's watermark is settled there: stored, or refused and kept here as a dead letter.
"""

from dataclasses import dataclass

from instrument_agent.buffer.reader import Readable
from instrument_agent.buffer.store import Store


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of the log, as it was written: canonical JSON and its hash."""

    id: int
    seq: int
    body: str
    hash: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive records of one epoch."""

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
        self._store = store
        self._destination = destination
        with store.write() as change:
            change.execute("insert or ignore into destinations (name, acked_id) values (?, 0)", (destination,))

    def next_batch(self, limit: int) -> Batch | None:
        """Return the oldest records not settled here, at most ``limit``, all of one epoch; None if there are none."""
        rows = self._store.rows(
            "select id, epoch, seq, body, hash from records"
            " where id > (select acked_id from destinations where name = ?) order by id limit ?",
            (self._destination, limit),
        )
        if not rows:
            return None
        epoch = rows[0][1]
        entries = tuple(Entry(id_, seq, body, digest) for id_, of_epoch, seq, body, digest in rows if of_epoch == epoch)
        return Batch(epoch, entries)

    def last_seq(self, epoch: str) -> int:
        """Return the highest seq written in an epoch, 0 if there is none."""
        found: int = self._store.rows("select coalesce(max(seq), 0) from records where epoch = ?", (epoch,))[0][0]
        return found

    def settle(self, through_id: int, refused: dict[int, str], boot_id: str, at_ns: int) -> None:
        """Move the watermark to ``through_id``; ``refused`` maps record ids to the platform's reasons."""
        with self._store.write() as change:
            for record_id, reason in refused.items():
                change.execute(
                    "insert or ignore into dead_letters (destination, record_id, reason) values (?, ?, ?)",
                    (self._destination, record_id, reason[:500]),
                )
            change.execute(
                "update destinations set acked_id = ?, acked_boot_id = ?, acked_at_ns = ? where name = ?",
                (through_id, boot_id, at_ns, self._destination),
            )

    def rewind(self, epoch: str, acked_through: int) -> None:
        """Go back to just after ``acked_through`` of ``epoch``: the platform lost what came after it.

        The watermark never moves forward here, and what was refused after it is asked about again.
        """
        with self._store.write() as change:
            change.execute(
                "update destinations set acked_id = min(acked_id, coalesce("
                "(select min(id) - 1 from records where epoch = ? and seq > ?), acked_id)) where name = ?",
                (epoch, acked_through, self._destination),
            )
            change.execute(
                "delete from dead_letters where destination = ?"
                " and record_id > (select acked_id from destinations where name = ?)",
                (self._destination, self._destination),
            )

    def queue(self) -> Queue:
        """Return how this destination stands."""
        return queue_of(self._store, self._destination)


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
