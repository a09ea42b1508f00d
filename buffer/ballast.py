"""Room that is given up when the disk is full.

SQLite needs room even to delete. On a full disk this file goes first, so that what is known can still be written; it
is laid down again once there is plenty of room.
"""

import logging
import os
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

BALLAST_NAME = "ballast"
BALLAST_BYTES = 4 * 1024 * 1024


class Ballast:
    """The ballast of a state directory."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / BALLAST_NAME

    def release(self) -> bool:
        """Give the room back; False if there was none to give."""
        try:
            self._path.unlink()
        except OSError:
            return False
        log.warning("the disk is full; gave up the ballast of %d bytes", BALLAST_BYTES)
        return True

    def take(self) -> bool:
        """Lay the ballast down, if it is not there and twice its size would still be free; say if it lies there."""
        try:
            if self._path.exists():
                return True
            room = os.statvfs(self._path.parent)
            if room.f_bavail * room.f_frsize < 3 * BALLAST_BYTES:
                return False
            with self._path.open("wb") as file:
                # Reserves blocks without writing them, which wears out no card.
                os.posix_fallocate(file.fileno(), 0, BALLAST_BYTES)
        except OSError:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
            return False
        return True
