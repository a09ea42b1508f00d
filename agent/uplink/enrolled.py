"""What enrolment gave a box for one destination: its key and its credential, in one file of the state directory.

Each destination gets a key of its own: what happens to one platform's enrolment touches no other's. The file is read
anew for each request, so that what `enrol` writes is used at once.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from instrument_agent.core.errors import PlatformUnauthorized
from instrument_agent.i18n import _
from instrument_agent.rights import UnsafeFile, read_ordinary

KEYS_NAME = "keys"


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What is needed besides the private key; ``platform_key`` is empty if the platform signs nothing."""

    credential: str
    public_key: str
    platform_key: str


class KeyFile:
    """The file of one destination (0600), and beside it the key that is still being enrolled."""

    def __init__(self, state_dir: Path, destination: str) -> None:
        self._state_dir = state_dir
        self.path = state_dir / KEYS_NAME / f"{destination}.json"
        self.coming = state_dir / KEYS_NAME / f"{destination}.coming.json"

    def read(self) -> Enrolled | None:
        """Return what was given; None if the box is not enrolled there.

        Raises:
            PlatformUnauthorized: the file cannot be read, or is not what was written.
        """
        found = self._read(self.path)
        if found is None:
            return None
        try:
            return Enrolled(found["credential"], found["public_key"], found["platform_key"])
        except (KeyError, TypeError) as error:
            raise self._unfit(self.path) from error

    def private_key(self) -> str:
        """Return the private key in use; empty if there is none.

        Raises:
            PlatformUnauthorized: the file cannot be read.
        """
        return str((self._read(self.path) or {}).get("private_key", ""))

    def coming_key(self) -> str:
        """Return the private key that was made for an enrolment whose reply never came; empty if there is none."""
        with suppress(PlatformUnauthorized):
            return str((self._read(self.coming) or {}).get("private_key", ""))
        return ""

    def keep_coming(self, private_key: str) -> None:
        """Keep a key before it is shown to the platform: a reply that is lost must not lose it."""
        self._write(self.coming, {"private_key": private_key})

    def take(self, private_key: str, given: Enrolled) -> None:
        """Put a key and what the platform gave for it in use."""
        whole = {"credential": given.credential, "public_key": given.public_key, "platform_key": given.platform_key}
        self._write(self.path, whole | {"private_key": private_key})
        self.coming.unlink(missing_ok=True)

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            found = json.loads(read_ordinary(path))
        except FileNotFoundError:
            return None
        except UnsafeFile as error:
            raise PlatformUnauthorized(str(error), error.hint) from error
        except OSError as error:
            raise PlatformUnauthorized(
                _("the key file {path} cannot be read: {error}").format(path=path, error=error),
                _("give it to the user the agent runs as, and to nobody else"),
            ) from error
        except ValueError as error:
            raise self._unfit(path) from error
        if not isinstance(found, dict):
            raise self._unfit(path)
        return found

    def _write(self, path: Path, content: Mapping[str, str]) -> None:
        """Write a file that is there whole or as it was before, and is its owner's only from its first moment.

        Raises:
            OSError: it could not be written.
        """
        folder, new = path.parent, path.with_suffix(".new")
        self._state_dir.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        new.unlink(missing_ok=True)
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.write(json.dumps(content, indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        for made in (folder, new):
            self._give(made)
        new.replace(path)
        for directory in (folder, self._state_dir):
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def _give(self, path: Path) -> None:
        """Give what root made to the user the agent runs as, whose the state directory is."""
        if os.geteuid() == 0:
            owner = self._state_dir.stat()
            os.chown(path, owner.st_uid, owner.st_gid)

    @staticmethod
    def _unfit(path: Path) -> PlatformUnauthorized:
        return PlatformUnauthorized(
            _("the key file {path} is not what was written").format(path=path),
            _("enrol the box again, with a new code"),
        )
