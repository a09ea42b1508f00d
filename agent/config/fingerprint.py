"""By which hash records name the config they were made under."""

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

CHUNK_BYTES = 1 << 16


def fingerprint(content: bytes, named: Iterable[Path]) -> str:
    """Return the SHA-256, in hex, of a config file and the files its drivers read, one after the other, each once.

    An auditor gets the same from ``cat config.toml my-meter.toml | sha256sum``. Of ``named`` only files count that
    are there and can be read: a config file may be checked on another machine.
    """
    found = hashlib.sha256(content)
    for path in dict.fromkeys(named):
        with suppress(OSError):
            if path.is_file():  # a device would be opened, and perhaps never end
                _add(found, path)
    return found.hexdigest()


def _add(found: "hashlib._Hash", path: Path) -> None:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            found.update(chunk)
