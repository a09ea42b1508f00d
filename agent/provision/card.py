"""The card or stick that a technician brings: what is read from it, removed from it and told on it.

It may be FAT, which knows no owners, rights or links, so only what is on it counts. Elsewhere a link is refused: it
could lead to what only root may read.
"""

import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from instrument_agent.buffer.headfile import sync_directory
from instrument_agent.core.errors import AgentError
from instrument_agent.i18n import _
from instrument_agent.provision.named import named_files
from instrument_agent.tables.file import MAX_BYTES, parsed

FILE_NAME = "instrument-agent.toml"
CODE_NAME = "enrol-code.txt"
VERDICT_NAME = "instrument-agent-verdict.txt"


class UnfitCard(AgentError):
    """Something on the card cannot be taken."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was on a card: the config file, and the files it names or that go with it, by their name there."""

    config: bytes
    beside: Mapping[str, bytes]


class Card:
    """One folder: the boot partition, or a stick."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def has_file(self) -> bool:
        """Whether there is anything to do."""
        return os.path.lexists(self.folder / FILE_NAME)

    def read(self) -> Found:
        """Return all that is to be taken.

        Raises:
            UnfitCard: something on it is no ordinary file, is too large, cannot be read, or lies elsewhere.
            InvalidConfig: the file is not TOML.
        """
        config = _content(self.folder, FILE_NAME)
        keys = parsed(Path(FILE_NAME), config).keys
        wanted = dict.fromkeys([item.name for item in named_files(keys)] + [CODE_NAME])
        there = [name for name in wanted if os.path.lexists(self.folder / name)]
        return Found(config, {name: _content(self.folder, name) for name in there})

    def remove(self, names: Sequence[str]) -> list[str]:
        """Delete files; return those that are still there afterwards."""
        for name in names:
            with suppress(OSError):
                (self.folder / name).unlink(missing_ok=True)
        with suppress(OSError):
            sync_directory(self.folder)
        return [name for name in names if os.path.lexists(self.folder / name)]

    def tell(self, text: str) -> None:
        """Write the verdict beside the file, whole or not at all.

        Raises:
            OSError: it cannot be written; the card may be read-only or gone.
        """
        path, new = self.folder / VERDICT_NAME, self.folder / f"{VERDICT_NAME}.new"
        new.unlink(missing_ok=True)
        # The editor of any Windows shows Chinese with this mark, and its lines with these ends.
        content = text.replace("\n", "\r\n").encode("utf-8-sig")
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        sync_directory(self.folder)


def _content(folder: Path, name: str) -> bytes:
    """Return the content of an ordinary file that lies under ``folder`` itself."""
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise UnfitCard(
            _("{name}: only files beside {file} are taken along").format(name=name, file=FILE_NAME),
            _("name it without .. and without a / in front"),
        )
    try:
        fd = _opened(folder, Path(name).parts)
    except OSError as error:
        raise _unreadable(name, error) from error
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise UnfitCard(_("{name} is no ordinary file").format(name=name), _("put an ordinary file there"))
        try:
            content = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise _unreadable(name, error) from error
    if len(content) > MAX_BYTES:
        raise UnfitCard(_("{name} is larger than 1 MiB").format(name=name), _("is this really the file you mean?"))
    return content


def _unreadable(name: str, error: OSError) -> UnfitCard:
    return UnfitCard(
        _("{name} cannot be read: {error}").format(name=name, error=error),
        _("put an ordinary file there, not a link; if it is one, the card may be damaged"),
    )


def _opened(folder: Path, parts: Sequence[str]) -> int:
    """Open a file step by step, so that no folder on the way can be a link either."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            inner = os.open(part, flags | os.O_DIRECTORY, dir_fd=held)
            os.close(held)
            held = inner
        return os.open(parts[-1], flags, dir_fd=held)
    finally:
        os.close(held)
