"""The head of the chain, kept a second time beside the database.

A flipped bit in the -wal file makes SQLite drop whole commits at the next start without a word, and a hash chain cannot
see that its end is missing. So after each commit that appended records their last place is written here.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from instrument_agent.buffer.reader import HEAD_NAME, Readable
from instrument_agent.core.rowsum import row_sum


@dataclass(frozen=True, slots=True)
class NotedHead:
    """The last record that was committed: its place in the chain, its hash and its position in the log."""

    epoch: str
    seq: int
    hash: str
    id: int


def write_head(state_dir: Path, head: NotedHead) -> None:
    """Write the head down so that it is there after a power cut, whole or as it was before.

    Raises:
        OSError: it could not be written; the database holds what it should all the same.
    """
    path, new = state_dir / HEAD_NAME, state_dir / f"{HEAD_NAME}.new"
    text = json.dumps(asdict(head) | {"sum": row_sum(head.epoch, head.seq, head.hash, head.id)})
    with new.open("w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    sync_directory(state_dir)


def read_head(state_dir: Path) -> NotedHead | None:
    """Return the head that was noted; None if there is none or it cannot be trusted, which loses nothing by itself."""
    try:
        raw = json.loads((state_dir / HEAD_NAME).read_text(encoding="ascii"))
        head = NotedHead(raw["epoch"], raw["seq"], raw["hash"], raw["id"])
        return head if raw["sum"] == row_sum(head.epoch, head.seq, head.hash, head.id) else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def lost_tail(source: Readable, head: NotedHead | None) -> dict[str, object] | None:
    """Return what is missing at the end of the log, as the data of a ``fault`` record; None if nothing is."""
    if head is None:
        return None
    found = source.rows("select hash from records where epoch = ? and seq = ?", (head.epoch, head.seq))
    if found == [(head.hash,)]:
        return None
    last_seq = source.rows("select max(seq) from records where epoch = ?", (head.epoch,))[0][0] or 0
    from_seq = min(last_seq + 1, head.seq)
    return {"kind": "tail_lost", "epoch": head.epoch, "from_seq": from_seq, "to_seq": head.seq, "shown_by": "head_file"}


def sync_directory(directory: Path) -> None:
    """Flush a directory: a renamed file is only safe with its name."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
