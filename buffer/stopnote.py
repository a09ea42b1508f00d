"""How the last agent ended: as the database says, or, if that took nothing any more, as a note beside it says.

A full disk takes no new file, but other bytes in a place that a file has already. So the note is laid down blank while
there is room, and an agent that is stopped while nothing can be written down writes over it. Where not even that works
(a card that is read-only or broken), nobody can tell that stop from a crash.
"""

import json
import os
from contextlib import suppress
from pathlib import Path

from instrument_agent.buffer.books import LastEpoch, last_epoch
from instrument_agent.buffer.reader import Readable
from instrument_agent.core.errors import StoreUnavailable
from instrument_agent.core.rowsum import row_sum

NOTE_NAME = "stopped"
NOTE_BYTES = 512
NEWEST = "select epoch from epochs order by number desc limit 1"


def lay_down_note(state_dir: Path) -> None:
    """Lay down a blank note; one that told of an earlier stop is blank then, too."""
    with suppress(OSError):
        _write(state_dir, "", os.O_CREAT)


def note_stop(state_dir: Path, source: Readable, boot_id: str, at_ns: int) -> None:
    """Note that the agent is stopped in order, and that the database does not take it."""
    with suppress(OSError, StoreUnavailable):
        for (epoch,) in source.rows(NEWEST):
            noted = {"epoch": epoch, "boot_id": boot_id, "at_ns": at_ns, "sum": row_sum(epoch, boot_id, at_ns)}
            _write(state_dir, json.dumps(noted))


def how_it_ended(state_dir: Path, source: Readable) -> LastEpoch | None:
    """Return the newest epoch in the database and how it ended.

    Raises:
        StoreDamaged: it does not fit its checksum.
    """
    last = last_epoch(source)
    if last is None or last.stopped_ns is not None:
        return last
    try:
        noted = json.loads((state_dir / NOTE_NAME).read_text(encoding="ascii"))
        place = noted["epoch"], noted["boot_id"], noted["at_ns"]
        fits = noted["sum"] == row_sum(*place)
    except (OSError, ValueError, TypeError, KeyError):
        return last
    if not fits or [place[:1]] != source.rows(NEWEST) or noted["boot_id"] != last.boot_id:
        return last
    return LastEpoch(last.boot_id, noted["at_ns"], unsaved=True)


def _write(state_dir: Path, text: str, more_flags: int = 0) -> None:
    """Write over the note in place, always as many bytes."""
    fd = os.open(state_dir / NOTE_NAME, os.O_WRONLY | os.O_CLOEXEC | more_flags, 0o640)
    try:
        os.write(fd, text.encode("ascii").ljust(NOTE_BYTES))
        os.fsync(fd)
    finally:
        os.close(fd)
