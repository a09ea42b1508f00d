"""Which files the agent refuses to use, and what somebody does who may not open one of its own."""

import getpass
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from instrument_agent.core.errors import AgentError
from instrument_agent.i18n import _

SERVICE_USER = "instrument-agent"
UDEV_RULE = "70-instrument-agent.rules"
"""It comes with the package, and lets the group of the service in beside whoever owns a port."""
GROUP_MAY_USE = stat.S_IRGRP | stat.S_IWGRP


class UnsafeFile(AgentError):
    """Somebody else could decide what is in this file, or opening it might never end."""

    def __init__(self, path: Path, problem: str, hint: str) -> None:
        super().__init__(f"{path}: {problem}", hint)
        self.problem = problem


def refuse_unsafe(path: Path, found: os.stat_result) -> None:
    """Refuse what is no ordinary file, and a file that everybody may write.

    ``found`` is what stat says of it, or lstat where a link is not to be followed.

    Raises:
        UnsafeFile: it is such a file.
    """
    if stat.S_ISLNK(found.st_mode):
        raise UnsafeFile(path, _("this is a link"), _("put the file itself there"))
    if not stat.S_ISREG(found.st_mode):
        raise UnsafeFile(path, _("this is no ordinary file"), _("put an ordinary file there"))
    if found.st_mode & stat.S_IWOTH:
        raise UnsafeFile(path, _("anybody on this machine may change it"), f"sudo chmod o-w {path}")


def refuse_open_folder(folder: Path) -> None:
    """Refuse a folder in which everybody may replace files; one with the sticky bit, such as /tmp, is none.

    Raises:
        UnsafeFile: it is one.
        OSError: there is no such folder.
    """
    if _is_open(folder):
        raise UnsafeFile(folder, _("anybody on this machine may replace files in it"), f"sudo chmod o-w {folder}")


def _is_open(folder: Path) -> bool:
    mode = folder.stat().st_mode
    return bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX


def refuse_unsafe_in(folder: Path, names: Iterable[str]) -> None:
    """Refuse a folder of our own in which everybody may replace files, and links, pipes and the like among its files.

    Raises:
        UnsafeFile: it is one, or there are some.
        OSError: it cannot be looked at.
    """
    refuse_open_folder(folder)
    for path in (folder / name for name in names):
        with suppress(FileNotFoundError):
            refuse_unsafe(path, path.lstat())


def open_ordinary(path: Path) -> int:
    """Open an ordinary file for reading; a device is not touched, and a pipe is not waited for.

    A link is followed if whoever made it could have put the file there as well.

    Raises:
        UnsafeFile: it is none, everybody may write or replace it, or a link of somebody else leads there.
        OSError: it cannot be opened.
    """
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError
    named = path.lstat()
    if stat.S_ISLNK(named.st_mode) and named.st_uid not in (0, os.geteuid(), path.parent.stat().st_uid):
        raise UnsafeFile(path, _("this is a link that somebody else made"), _("put the file itself there"))
    refuse_unsafe(path, found)
    # Who may replace a folder on the way may replace what is in it.
    for folder in dict.fromkeys((*path.absolute().parents, *path.resolve().parents)):
        if _is_open(folder):
            raise UnsafeFile(path, _("anybody on this machine may replace it"), f"sudo chmod o-w {folder}")
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        refuse_unsafe(path, os.fstat(fd))  # it may have been replaced meanwhile
    except BaseException:
        os.close(fd)
        raise
    return fd


def read_ordinary(path: Path) -> str:
    """Return the text (UTF-8) of an ordinary file; raises as ``open_ordinary`` does, and UnicodeDecodeError."""
    with os.fdopen(open_ordinary(path), encoding="utf-8") as file:
        return file.read()


def group_of(path: Path) -> str:
    """Return the group of a file, or of the nearest folder above it that may be looked at; empty if it has no name."""
    for place in (path, *path.parents):
        try:
            return place.group()
        except OSError:
            continue
        except KeyError:  # a number that no group of this machine has
            break
    return ""


def join_hint(path: Path) -> str:
    """Return what a person does who may not open ``path``: sudo, or join the group it is shared with."""
    group = group_of(path)
    if group in ("", "root"):
        return _("use sudo")
    return _("use sudo, or join the group {group} and log in again: sudo usermod -aG {group} {user}").format(
        group=group, user=_user()
    )


def device_hint(path: Path) -> str:
    """Return what to do where this user may not open a device: the udev rule or the group that is missing, by name."""
    if _user() == SERVICE_USER:
        return _("its udev rule, {rule}, has not seen it: sudo udevadm trigger {path}").format(
            rule=UDEV_RULE, path=path
        )
    with suppress(OSError):
        if path.stat().st_mode & GROUP_MAY_USE != GROUP_MAY_USE:
            return _("use sudo: no group may use it, unless a udev rule such as {rule} says so").format(rule=UDEV_RULE)
    return join_hint(path)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name
        return "$USER"
