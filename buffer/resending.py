"""Dead letters, and records that somebody wants to be sent once more; no watermark moves for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from instrument_agent.buffer.chain import COLUMNS, tied, why_wrong
from instrument_agent.buffer.outbox import Batch, Entry
from instrument_agent.buffer.reader import Readable, damaged
from instrument_agent.buffer.store import Store
from instrument_agent.i18n import _

SETTLED = "(select acked_id from destinations where name = ?)"
CHOSEN = {
    "letters": f"select record_id from dead_letters where destination = ? and record_id <= {SETTLED}",  # noqa: S608
    "letter": f"select record_id from dead_letters where destination = ? and record_id <= {SETTLED} and record_id = ?",  # noqa: S608
    "range": f"select id from records where ? is not null and id <= {SETTLED} and epoch = ? and seq between ? and ?",  # noqa: S608
}
"""Which records are meant, after the destination twice. What is not settled yet is waiting anyway."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record a destination refused: its position in the log and its name, the reason, and whether it goes out again.

    ``record`` is its canonical JSON.
    """

    destination: str
    id: int
    epoch: str
    seq: int
    type: str
    instrument_id: str | None
    reason: str
    again: bool
    hash: str
    record: str


def dead_letters(source: Readable, destination: str | None = None, id_: int | None = None) -> list[DeadLetter]:
    """Return what was refused, oldest first: all of it, or of one destination, or at one position in the log."""
    rows = source.rows(
        "select d.destination, r.id, r.epoch, r.seq, r.type, r.instrument_id, d.reason, p.record_id is not null,"
        " r.hash, r.body from dead_letters d join records r on r.id = d.record_id"
        " left join repetitions p on p.destination = d.destination and p.record_id = d.record_id"
        " where (? is null or d.destination = ?) and (? is null or r.id = ?) order by r.id, d.destination",
        (destination, destination, id_, id_),
    )
    names = [item.name for item in fields(DeadLetter)]
    return [DeadLetter(**dict(zip(names, row, strict=True)) | {"again": bool(row[7])}) for row in rows]


def ask_again(store: Store, destination: str, which: str, place: Sequence[object] = ()) -> int:
    """Have records sent again that were settled at a destination; return how many.

    ``which`` is letters (all of them), letter (``place``: id), or range (``place``: epoch, first and last seq).

    Raises:
        StoreUnavailable: it cannot be written down.
    """
    with store.write() as change:
        chosen = change.execute(CHOSEN[which], (destination, destination, *place)).fetchall()
        for (record_id,) in chosen:
            change.execute("insert or ignore into repetitions values (?, ?)", (destination, record_id))
    return len(chosen)


def next_again(store: Store, destination: str, limit: int) -> Batch | None:
    """Return the oldest records to be sent again, at most ``limit``, all tied together; None if there are none.

    Raises:
        StoreDamaged: one of them is not what was written; it must not be sent.
    """
    rows: list[Any] = store.rows(
        f"select {COLUMNS} from records where id in (select record_id from repetitions where destination = ?)"  # noqa: S608
        " order by id limit ?",
        (destination, limit),
    )
    batch = [row for row in rows if row[1] == rows[0][1]]
    for row in (row for row in batch if why_wrong(row)):
        error = damaged(_("record {seq} of epoch {epoch} is not what was written").format(seq=row[2], epoch=row[1]))
        store.note_damage(str(error))
        raise error
    return Batch(batch[0][1], tuple(Entry(row[0], row[2], row[5], row[6]) for row in tied(batch))) if batch else None


def settle_again(store: Store, destination: str, ids: Sequence[int], refused: Mapping[int, str]) -> None:
    """Note what became of records sent again: no longer a dead letter, or one (again) for the reason given."""
    with store.write() as change:
        for record_id in ids:
            mine = (destination, record_id)
            change.execute("delete from repetitions where destination = ? and record_id = ?", mine)
            change.execute("delete from dead_letters where destination = ? and record_id = ?", mine)
            if record_id in refused:
                change.execute("insert into dead_letters values (?, ?, ?)", (*mine, refused[record_id][:500]))
