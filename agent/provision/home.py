"""Where a box keeps its config, what came with it, and the last good one; every change is there whole or not at all.

    config.toml             in force; replaced by one rename
    config.toml.last-good   what was in force before, and proven
    provisioned/3/          all that came with the third card: its file, and the files that names (secrets: 0600)
    provisioned/trial.json  the config in force is on trial; gone when its outcome is written down
    provisioned/done.json   what the last card came to

A card's files get a folder of their own, and the config names them there. So whichever config is in force, the files it
was made for are those it finds.
"""

import fcntl
import hashlib
import json
import os
import pwd
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from instrument_agent.buffer.headfile import sync_directory
from instrument_agent.core.errors import AgentError
from instrument_agent.i18n import _
from instrument_agent.provision.card import CODE_NAME, FILE_NAME, Found

ACCOUNT = "instrument-agent"
STORE_NAME = "provisioned"
USED_CODE_NAME = f"{CODE_NAME}.used"


@dataclass(frozen=True, slots=True)
class Trial:
    """A config that was put in force and is not proven yet; ``config_sha256`` is that of ``config.toml``.

    ``excused`` are the instruments that could not be read before either, which is no reason to go back.
    """

    number: int
    config_sha256: str
    has_last_good: bool
    excused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """What a card came to, under which ``config.toml``, and what was missing, said in each language."""

    number: int
    outcome: str
    config_sha256: str
    missing: Mapping[str, list[str]] = field(default_factory=dict)


class Home:
    """The folder of a box's config file."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self.last_good = config.with_name(f"{config.name}.last-good")
        self.store = config.parent / STORE_NAME
        self._coming = config.with_name(f"{config.name}.coming")
        self._trial = self.store / "trial.json"
        self._done = self.store / "done.json"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let one card after the other be taken up; it is for the caller to come again later.

        Raises:
            AgentError: another is being taken up.
            OSError: there is no such folder.
        """
        fd = os.open(self.config.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise AgentError(
                _("another card is being taken up just now"), _("wait some minutes, then bring this one again")
            ) from error
        finally:
            os.close(fd)

    def folder(self, number: int) -> Path:
        """Return where the files of a card are kept."""
        return self.store / str(number)

    def code(self, number: int) -> Path:
        """Return where its one-time code is kept until it is used."""
        return self.folder(number) / CODE_NAME

    def trial(self) -> Trial | None:
        """Return the trial that is going on; None if there is none, or it was ended before its mark was removed."""
        trial, done = self._marked(), self.done()
        if trial is None or (done is not None and done.number == trial.number):
            return None
        return trial if self.sha256() == trial.config_sha256 else None

    def done(self) -> Done | None:
        """Return what the last card came to."""
        found = _noted(self._done)
        if found is None:
            return None
        return Done(int(found["number"]), str(found["outcome"]), str(found["config_sha256"]), found["missing"])

    def newest(self) -> int:
        """Return the number of the newest card whose files are all here; 0 if there was none."""
        known = [item.number for item in (self.done(), self._marked()) if item is not None]
        return max(known, default=0)

    def next(self) -> int:
        """Return a number that no card had whose files are still here."""
        used = [int(path.name) for path in self.store.glob("*") if path.name.isdigit()]
        return max([self.newest(), *used]) + 1

    def sha256(self) -> str:
        """Return the SHA-256 of the config in force, in hex; empty if there is none."""
        try:
            return hashlib.sha256(self.config.read_bytes()).hexdigest()
        except OSError:
            return ""

    def kept(self, number: int) -> Found | None:
        """Return what came with a card; None if it is not all here."""
        folder = self.folder(number)
        try:
            files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in _files(folder)}
            return Found(files.pop(FILE_NAME), files)
        except (OSError, KeyError):
            return None

    def keep(self, number: int, found: Found, secrets: set[str]) -> None:
        """Put what came with a card into the folder of its number.

        Raises:
            OSError: it cannot be written.
        """
        folder = self.folder(number)
        _make_folder(self.store)
        _make_folder(folder)
        for name, content in {FILE_NAME: found.config, **found.beside}.items():
            path = folder / name
            for parent in reversed(path.relative_to(folder).parents[:-1]):
                _make_folder(folder / parent)
            _write(path, content, secret=name in secrets or name == CODE_NAME)
            sync_directory(path.parent)
        sync_directory(folder)
        sync_directory(self.store)

    def stage(self, content: bytes) -> Path:
        """Write the config that is to come beside the one in force, and return where."""
        _write(self._coming, content)
        return self._coming

    def keep_last_good(self) -> None:
        """Keep a copy of the config in force."""
        new = self.last_good.with_name(f"{self.last_good.name}.new")
        _write(new, self.config.read_bytes())
        new.replace(self.last_good)
        sync_directory(self.config.parent)

    def begin_trial(self, trial: Trial) -> None:
        """Write down that the config that comes into force next is on trial."""
        self._note(self._trial, asdict(trial))

    def switch(self, staged: Path) -> None:
        """Put a config in force: the one moment at which anything changes for the agent."""
        staged.replace(self.config)
        sync_directory(self.config.parent)

    def roll_back(self) -> None:
        """Put the last good config in force again."""
        self.switch(self.stage(self.last_good.read_bytes()))

    def end_trial(self, done: Done) -> None:
        """Write down what a card came to; the code in its folder, if it was not used, stays for another attempt."""
        self._note(self._done, asdict(done))
        self.forget_trial()

    def forget_trial(self) -> None:
        """Remove the mark of a trial."""
        self._trial.unlink(missing_ok=True)
        if self.store.is_dir():
            sync_directory(self.store)

    def code_is_used(self, number: int) -> None:
        """Put a one-time code away that is good for nothing any more; a card that still has it brings nothing new."""
        self.code(number).replace(self.folder(number) / USED_CODE_NAME)
        sync_directory(self.folder(number))

    def clear(self) -> None:
        """Delete what no config and no later card needs."""
        self._coming.unlink(missing_ok=True)
        texts = [path.read_bytes() for path in (self.config, self.last_good) if path.exists()]
        for folder in (path for path in self.store.glob("*") if path.name.isdigit()):
            named = any(f"{STORE_NAME}/{folder.name}/".encode() in text for text in texts)
            if not named and int(folder.name) != self.newest():
                shutil.rmtree(folder, ignore_errors=True)

    def _marked(self) -> Trial | None:
        found = _noted(self._trial)
        if found is None:
            return None
        excused = tuple(map(str, found.get("excused", ())))  # earlier versions wrote none
        return Trial(int(found["number"]), str(found["config_sha256"]), bool(found["has_last_good"]), excused)

    def _note(self, path: Path, content: Mapping[str, object]) -> None:
        new = path.with_name(f"{path.name}.new")
        _write(new, json.dumps(content, ensure_ascii=False).encode())
        new.replace(path)
        sync_directory(self.store)


def unwritable(config: Path, error: OSError) -> AgentError:
    """Return what is said when the home of a config cannot be written."""
    return AgentError(
        _("{path} cannot be written: {error}").format(path=config.parent, error=error),
        _("is the card full or damaged? instrument-agent doctor tells; this command needs sudo"),
    )


def _noted(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())


def _make_folder(folder: Path) -> None:
    folder.mkdir(mode=0o750, exist_ok=True)
    with suppress(KeyError, PermissionError):
        os.chown(folder, 0, pwd.getpwnam(ACCOUNT).pw_gid)


def _write(path: Path, content: bytes, *, secret: bool = False) -> None:
    """Write a file that is on the disk when this returns; the agent's user may read it, a secret nobody else."""
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        with suppress(KeyError, PermissionError):  # no such user on a machine where this is only tried out
            account = pwd.getpwnam(ACCOUNT)
            os.fchown(fd, account.pw_uid if secret else 0, account.pw_gid)
        os.fchmod(fd, 0o600 if secret else 0o640)
        file.write(content)
        file.flush()
        os.fsync(fd)
