"""What somebody does who may not open a file of the agent."""

import getpass
from pathlib import Path

from instrument_agent.i18n import _


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
