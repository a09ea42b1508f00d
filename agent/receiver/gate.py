"""Lets so many writers in at a time, and asks the others to come again."""

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.exceptions import HTTPException

RETRY_AFTER_S = 5
"""The least a box is asked to wait; boxes spread themselves out from there."""


class Gate:
    """Room for ``places`` at a time; used from the event loop only, so it needs no lock."""

    def __init__(self, places: int) -> None:
        self._free = places

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Take a place for as long as the block runs.

        Raises:
            HTTPException: 429 with Retry-After, there is none.
        """
        if not self._free:
            raise HTTPException(429, "too many at once", headers={"Retry-After": str(RETRY_AFTER_S)})
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1
