"""Looking into the database without touching it, while the agent runs or after it has stopped."""

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from instrument_agent.core.errors import StoreDamaged, StoreUnavailable
from instrument_agent.i18n import _
from instrument_agent.rights import join_hint

FILE_NAME = "buffer.db"
HEAD_NAME = "head.json"
"""The end of the chain of records, noted a second time; it also shows that a database beside it is the agent's own."""
Broken = sqlite3.Error | UnicodeDecodeError
BROKEN = (sqlite3.Error, UnicodeDecodeError)
"""What SQLite says of a broken file; its own message may quote bytes that are no text."""
DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
NO_JSON = "malformed JSON"
SAYS_DAMAGE = (NO_JSON, "Could not decode", "no such table", "no such column")
"""How errors begin that are damage although no code says so: the schema has been looked at when a table is read."""
NO_PERMISSION = (sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_AUTH)
MISTAKES = (
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_MISUSE,
    sqlite3.SQLITE_RANGE,
    sqlite3.SQLITE_TOOBIG,
)
"""What SQLite says of a statement that is wrong, whatever the state of the disk."""


class Readable(Protocol):
    """Something that answers queries: the agent's own store, or a reader beside it."""

    def rows(self, sql: str, parameters: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""


class Reader:
    """A read-only view of the database in a state directory."""

    def __init__(self, state_dir: Path, file_name: str = FILE_NAME, *, alone: bool = False) -> None:
        """Open it; ``alone`` says that nobody else can be writing now.

        Raises:
            StoreUnavailable: there is none yet, or it cannot be read.
        """
        self.path = state_dir / file_name
        try:
            self.path.stat()
            self._connection = reading(self.path, alone=alone)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise StoreUnavailable(
                _("there is no database in {path}").format(path=state_dir),
                _("start the agent once, or give the config file of the agent that runs: --config FILE"),
            ) from error
        except (*BROKEN, OSError) as error:
            raise self._unreadable(error) from error

    def rows(self, sql: str, parameters: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query.

        Raises:
            StoreUnavailable: the database cannot be read.
        """
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except BROKEN as error:
            raise self._unreadable(error) from error

    def each(self, sql: str, parameters: tuple[object, ...] = ()) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query one at a time, however many there are.

        Raises:
            StoreUnavailable: the database cannot be read.
        """
        try:
            yield from self._connection.execute(sql, parameters)
        except BROKEN as error:
            raise self._unreadable(error) from error

    def stand_still(self) -> None:
        """See from the next query on what is there then, and nothing that a running agent adds later.

        A record that comes in between two queries would look as if what it was made of were missing.

        Raises:
            StoreUnavailable: the database cannot be read.
        """
        self.rows("begin")

    def close(self) -> None:
        """Close the view."""
        self._connection.close()

    def _unreadable(self, error: Broken | OSError) -> StoreUnavailable:
        found = unusable(self.path, error)
        if isinstance(error, PermissionError) or _code(error) in NO_PERMISSION:
            found.hint = join_hint(self.path)
            if os.access(self.path, os.R_OK) and not os.access(self.path.parent, os.W_OK):
                hint = _("copy {name} and {name}-wal to a directory you may write to, and look there")
                found.hint = hint.format(name=self.path.name)
        return found


def reading(path: Path, *, alone: bool = False) -> sqlite3.Connection:
    """Connect to a database that is not to be changed; ``alone`` says that nobody else can be writing now.

    Raises:
        sqlite3.Error: it cannot be opened.
        OSError: likewise.
    """
    wal = Path(f"{path}-wal")
    # Without a -wal nobody writes, and to read as usual SQLite would have to make one: not everyone may. One that is
    # empty may be about to be filled, but not if we are alone: then it is what a full disk left of an attempt. Beside
    # an empty database SQLite would delete it, whatever is in it, and although it is only to read.
    still = not wal.exists() or path.stat().st_size == 0 or (alone and wal.stat().st_size == 0)
    kind = "mode=ro&immutable=1" if still else "mode=ro"
    return sqlite3.connect(f"{path.absolute().as_uri()}?{kind}", uri=True, timeout=10, check_same_thread=False)


def our_mistake(error: Broken) -> bool:
    """Say whether an error is one of the statement, and so of this agent, and not of the disk or the file."""
    if isinstance(error, UnicodeDecodeError) or str(error).startswith(NO_JSON):
        return False
    if _code(error) is None:
        return not isinstance(error, sqlite3.OperationalError)
    return _code(error) in MISTAKES


def unusable(path: Path, error: Broken | OSError) -> StoreUnavailable:
    """Return the error that tells an operator what SQLite or the system said."""
    if _code(error) == sqlite3.SQLITE_NOTADB and not (path.parent / HEAD_NAME).exists():
        return StoreDamaged(
            _("{path} is not a database of this agent, or its first bytes are damaged").format(path=path),
            _("check that this is the right file; if it is: {hint}").format(hint=restart_hint()),
        )
    if isinstance(error, UnicodeDecodeError) or _code(error) in DAMAGE or str(error).startswith(SAYS_DAMAGE):
        return StoreDamaged(_("the database {path} is damaged: {error}").format(path=path, error=error), restart_hint())
    hint = _("look at the free space and the permissions there; do not delete it: it holds hours not yet delivered")
    if _code(error) == sqlite3.SQLITE_FULL:
        hint = _("make room on the card; what happens until then is kept in memory, and lost only if the agent ends")
    return StoreUnavailable(_("the database {path} cannot be used: {error}").format(path=path, error=error), hint)


def disk_fails(state_dir: Path, error: OSError) -> StoreUnavailable:
    """Return the error of a disk that takes nothing."""
    return StoreUnavailable(
        _("the disk of {path} takes nothing: {error}").format(path=state_dir, error=error),
        _("look at the card and at what the system log says of it"),
    )


def damaged(what: str) -> StoreDamaged:
    """Return the error of something in the database that is not what was written."""
    return StoreDamaged(_("the database is damaged: {what}").format(what=what), restart_hint())


def restart_hint() -> str:
    """Return what to do about a damaged database."""
    return _(
        "start the agent again: it sets the file aside, keeps all that can be verified, and says what was lost;"
        " if this is a copy, take another one"
    )


def _code(error: Broken | OSError) -> int | None:
    """Return SQLite's primary result code, if it is SQLite's error and has one."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
