"""A power cut at the n-th change of the disk: nothing is changed from then on, and what was not flushed is gone."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

CHANGES = ("fsync", "replace", "unlink", "mkdir", "rename", "rmdir")


class PowerCut(BaseException):
    """Nothing of the product catches this; a process that loses its power catches nothing either."""


class Disk:
    """Counts changes, and fails at one of them and all that follow."""

    def __init__(self, folders: tuple[Path, ...]) -> None:
        self._folders = folders
        self._flushed = {path.stat().st_ino for path in self._files()}
        self._left: int | None = None
        self.changes = 0

    @contextmanager
    def cut_before(self, change: int) -> Iterator[None]:
        """Let the power fail instead of this change; what was written and never flushed is empty afterwards."""
        self._left = change
        with pytest.MonkeyPatch.context() as patched:
            for name in CHANGES:
                patched.setattr(os, name, self._counting(name, getattr(os, name)))
            with suppress(PowerCut):
                yield
        if self._left < 0:
            for path in self._files():
                if path.stat().st_ino not in self._flushed:
                    os.truncate(path, 0)

    def _counting(self, name: str, change: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            assert self._left is not None
            self._left -= 1
            if self._left < 0:
                raise PowerCut
            self.changes += 1
            if name == "fsync":
                self._flushed.add(os.fstat(arguments[0]).st_ino)
            return change(*arguments, **options)

        return counted

    def _files(self) -> list[Path]:
        return [path for folder in self._folders for path in folder.rglob("*") if path.is_file()]
