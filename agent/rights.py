"""Which files the agent refuses to use, and what somebody does who may not open one of its own."""

import getpass
import os
import stat
from pathlib import Path

from instrument_agent.core.errors import AgentError
from instrument_agent.i18n import _


class UnsafeFile(AgentError):
    """Somebody else could decide what this file says, or opening it might never end."""


def refuse_unsafe(path: Path, found: os.stat_result) -> None:
    """Refuse what is no ordinary file, and a file that everybody may write.

    ``found`` is what fstat says of the open file, or lstat where a link is not to be followed.

    Raises:
        UnsafeFile: it is such a file.
    """
    if stat.S_ISLNK(found.st_mode):
        raise UnsafeFile(_("{path} is a link").format(path=path), _("put the file itself there"))
    if not stat.S_ISREG(found.st_mode):
        raise UnsafeFile(_("{path} is no ordinary file").format(path=path), _("put an ordinary file there"))
    if found.st_mode & stat.S_IWOTH:
        raise UnsafeFile(_("anybody on this machine may change {path}").format(path=path), f"sudo chmod o-w {path}")


def refuse_open_folder(folder: Path) -> None:
    """Refuse a folder in which everybody may replace files; one with the sticky bit, such as /tmp, is none.

    Raises:
        UnsafeFile: it is one.
        OSError: there is no such folder.
    """
    mode = folder.stat().st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise UnsafeFile(
            _("anybody on this machine may replace files in {path}").format(path=folder), f"sudo chmod o-w {folder}"
        )


def open_ordinary(path: Path) -> int:
    """Open an ordinary file for reading; a pipe is not waited for.

    Raises:
        UnsafeFile: it is none, or everybody may write it.
        OSError: it cannot be opened.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        found = os.fstat(fd)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError
        refuse_unsafe(path, found)
    except BaseException:
        os.close(fd)
        raise
    return fd


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


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name
        return "$USER"
