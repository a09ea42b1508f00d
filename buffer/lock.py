"""One agent per state directory."""

import errno
import fcntl
import os
from pathlib import Path

from instrument_agent.buffer.ballast import BALLAST_NAME
from instrument_agent.buffer.card import PROBE_NAME
from instrument_agent.buffer.reader import FILE_NAME, HEAD_NAME
from instrument_agent.buffer.stopnote import NOTE_NAME
from instrument_agent.core.errors import StoreUnavailable
from instrument_agent.i18n import _
from instrument_agent.rights import UnsafeFile, refuse_unsafe_in

LOCK_NAME = "lock"
OURS = (LOCK_NAME, FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm", HEAD_NAME, BALLAST_NAME, NOTE_NAME, PROBE_NAME)


class StateLock:
    """An exclusive lock on a state directory, held until ``release`` or the end of the process."""

    def __init__(self, state_dir: Path) -> None:
        """Take the lock, and make the directory if it is not there.

        Raises:
            StoreUnavailable: another process has it, the directory cannot be written, or others may change
                what is in it.
        """
        path = state_dir / LOCK_NAME
        try:
            state_dir.mkdir(parents=True, exist_ok=True)
            refuse_unsafe_in(state_dir, OURS)
            self._fd = _opened(path)
        except UnsafeFile as error:
            raise StoreUnavailable(str(error), error.hint) from error
        except OSError as error:
            raise StoreUnavailable(
                _("the state directory {path} cannot be used: {error}").format(path=state_dir, error=error),
                _("create it and give it to the user the agent runs as, or set box.state_dir"),
            ) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._fd)
            raise StoreUnavailable(
                _("another agent already works in {path}").format(path=state_dir),
                _("stop it first: systemctl stop instrument-agent"),
            ) from error

    def release(self) -> None:
        """Give the lock back."""
        os.close(self._fd)


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        # The lock of a file system that became read-only: what is on it can be resumed from.
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
