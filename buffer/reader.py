"""Looking into the database without touching it, while the agent runs or after it has stopped."""

import sqlite3
from pathlib import Path
from typing import Any, Protocol

from instrument_agent.core.errors import StoreUnavailable
from instrument_agent.i18n import _

FILE_NAME = "buffer.db"


class Readable(Protocol):
    """Something that answers queries: the agent's own store, or a reader beside it."""

    def rows(self, sql: str, parameters: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""


class Reader:
    """A read-only view of the database in a state directory."""

    def __init__(self, state_dir: Path) -> None:
        """Open it.

        Raises:
            StoreUnavailable: there is none yet, or it cannot be read.
        """
        self.path = state_dir / FILE_NAME
        try:
            if not self.path.exists():
                raise StoreUnavailable(
                    _("there is no database in {path}").format(path=state_dir),
                    _("start the agent once, or give the config file of the agent that runs: --config FILE"),
                )
            self._connection = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)
        except (sqlite3.Error, PermissionError) as error:
            raise unusable(self.path, error) from error

    def rows(self, sql: str, parameters: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query.

        Raises:
            StoreUnavailable: the database cannot be read.
        """
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise unusable(self.path, error) from error

    def close(self) -> None:
        """Close the view."""
        self._connection.close()


def unusable(path: Path, error: sqlite3.Error | OSError) -> StoreUnavailable:
    """Return the error that tells an operator what SQLite or the system said."""
    return StoreUnavailable(
        _("the database {path} cannot be used: {error}").format(path=path, error=error),
        _("look at the free space and the permissions there; do not delete it: it holds hours not yet delivered"),
    )
