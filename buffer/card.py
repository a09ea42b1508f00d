"""Whether the file system of the state directory takes anything, asked of the file system itself.

SQLite cannot tell: on a full disk it may fail because it finds no room for its shared memory, and where reads fail
with EIO it says that the database is malformed. The mount table cannot tell either: after ext4 has given up, it may
still say rw.
"""

import errno
import os
from pathlib import Path

PROBE_NAME = "probe"
PROBE_BYTES = 128 * 1024
"""What SQLite needs at least to begin: a page of its log and the 32 KiB of its shared memory, with some to spare."""
FULL = (errno.ENOSPC, errno.EDQUOT)
PASSING = (*FULL, errno.EROFS)
"""What may end while the agent runs: somebody makes room, or mounts the file system for writing again."""


def refusal(state_dir: Path) -> OSError | None:
    """Try to take some room and give it back; return what the system said if that failed."""
    path = state_dir / PROBE_NAME
    try:
        with path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, PROBE_BYTES)  # reserves blocks without writing them
            os.fsync(file.fileno())
    except OSError as error:
        found: OSError | None = error
    else:
        found = None
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        return found or error
    return found


def full(state_dir: Path) -> bool:
    """Say whether there is no room."""
    found = refusal(state_dir)
    return found is not None and found.errno in FULL
