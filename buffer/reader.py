"""Looking into the database without touching it, while the agent runs or after it has stopped."""

import sqlite3
from pathlib import Path
from typing import Any, Protocol

from instrument_agent.core.errors import StoreDamaged, StoreUnavailable
from instrument_agent.i18n import _
from instrument_agent.rights import join_hint

FILE_NAME = "buffer.db"
DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
NO_PERMISSION = (sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_AUTH)


class Readable(Protocol):
    """Something that answers queries: the agent's own store, or a reader beside it."""

    def rows(self, sql: str, parameters: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""


class Reader:
    """A read-only view of the database in a state directory."""

    def __init__(self, state_dir: Path, file_name: str = FILE_NAME) -> None:
        """Open it.

        Raises:
            StoreUnavailable: there is none yet, or it cannot be read.
        """
        self.path = state_dir / file_name
        try:
            self.path.stat()
            # Without a -wal nobody writes, and to read as usual SQLite would have to make one: not everyone may.
            kind = "mode=ro" if Path(f"{self.path}-wal").exists() else "mode=ro&immutable=1"
            self._connection = sqlite3.connect(f"{self.path.absolute().as_uri()}?{kind}", uri=True, timeout=10)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise StoreUnavailable(
                _("there is no database in {path}").format(path=state_dir),
                _("start the agent once, or give the config file of the agent that runs: --config FILE"),
            ) from error
        except (sqlite3.Error, OSError) as error:
            raise self._unreadable(error) from error

    def rows(self, sql: str, parameters: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query.

        Raises:
            StoreUnavailable: the database cannot be read.
        """
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def close(self) -> None:
        """Close the view."""
        self._connection.close()

    def _unreadable(self, error: sqlite3.Error | OSError) -> StoreUnavailable:
        found = unusable(self.path, error)
        if isinstance(error, PermissionError) or _code(error) in NO_PERMISSION:
            found.hint = join_hint(self.path)
        return found


def unusable(path: Path, error: sqlite3.Error | OSError) -> StoreUnavailable:
    """Return the error that tells an operator what SQLite or the system said."""
    hint = _("look at the free space and the permissions there; do not delete it: it holds hours not yet delivered")
    if _code(error) == sqlite3.SQLITE_NOTADB or "no such table" in str(error):
        hint = _("this file is not a database of this agent: check box.state_dir, or move the file away")
    elif _code(error) == sqlite3.SQLITE_FULL:
        hint = _("make room on the card; what happens until then is kept in memory, and lost only if the agent ends")
    message = _("the database {path} cannot be used: {error}").format(path=path, error=error)
    # A text that is no UTF-8 is damage too, but the module that says so gives no code.
    if _code(error) in DAMAGE or str(error).startswith("Could not decode"):
        return StoreDamaged(message, hint if _code(error) == sqlite3.SQLITE_NOTADB else restart_hint())
    return StoreUnavailable(message, hint)


def damaged(what: str) -> StoreDamaged:
    """Return the error of something in the database that is not what was written."""
    return StoreDamaged(_("the database is damaged: {what}").format(what=what), restart_hint())


def restart_hint() -> str:
    """Return what to do about a damaged database."""
    return _("restart the agent: it sets the file aside, keeps all that can be verified, and says what was lost")


def _code(error: sqlite3.Error | OSError) -> int | None:
    """Return SQLite's primary result code, if it is SQLite's error and has one."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
