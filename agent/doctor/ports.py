"""Are the ports there, may the agent open them, and will they keep their names?"""

import grp
import os
import pwd
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from instrument_agent.config import Config
from instrument_agent.doctor.verdict import Grade, Verdict
from instrument_agent.drivers.ports import lasting_name
from instrument_agent.i18n import _
from instrument_agent.rights import UDEV_RULE

ACCOUNT = "instrument-agent"
_READ_WRITE = 0o6
_ACL = "system.posix_acl_access"
_ENTRY = struct.Struct("<HHI")  # tag, permissions, id; linux/posix_acl_xattr.h
_ACL_USER, _ACL_OWNERS_GROUP, _ACL_GROUP, _ACL_MASK = 0x02, 0x04, 0x08, 0x10


@dataclass(frozen=True, slots=True)
class Account:
    """Who opens the ports: the agent's own user, or the one who asks where that does not exist."""

    name: str
    uid: int
    gids: frozenset[int]


@dataclass(frozen=True, slots=True)
class PortFacts:
    """One device file as the agent's user finds it; ``lasting`` is a name that survives replugging, if there is one."""

    path: str
    there: bool
    device: bool = False
    group: str = ""
    allowed: bool = False
    account: str = ACCOUNT
    lasting: str = ""


def judge_port(facts: PortFacts) -> Verdict:
    """Judge one port."""
    if not facts.there:
        return Verdict(
            "port",
            Grade.FAIL,
            _("it is not there"),
            _advice_if_missing(facts.path),
            facts.path,
        )
    if not facts.device:
        return Verdict("port", Grade.FAIL, _("this is no device"), _("correct it in the config file"), facts.path)
    if not facts.allowed:
        said = _("{user} may not open it (its group is {group})").format(user=facts.account, group=facts.group)
        advice = _("plug the adapter out and in, so that the udev rule {rules} sees it; getfacl then names {user}")
        return Verdict("port", Grade.FAIL, said, advice.format(rules=UDEV_RULE, user=facts.account), facts.path)
    if facts.lasting and facts.lasting != facts.path:
        said = _("{user} may open it, but after replugging it may be another").format(user=facts.account)
        advice = _("write {name} in the config file").format(name=facts.lasting)
        return Verdict("port", Grade.WARN, said, advice, facts.path)
    return Verdict("port", Grade.OK, _("{user} may open it").format(user=facts.account), "", facts.path)


def _advice_if_missing(path: str) -> str:
    if path.startswith("/dev/spidev"):
        return _("enable SPI: sudo raspi-config nonint do_spi 0 (docs/wiring.md)")
    if path.startswith("/dev/gpiochip"):
        return _("pins need a Raspberry Pi")
    return _("plug the adapter in, or name it as it is called in ls /dev/serial/by-path/")


def ports_of(config: Config) -> list[str]:
    """Return the device files that the drivers of a config open: serial ports, SPI of clamps, and the chip of pins."""
    found: dict[str, None] = {}
    for item in config.instruments:
        if item.driver.options.get("port"):
            found[str(item.driver.options["port"])] = None
        elif "spi_device" in item.driver.options:
            found[f"/dev/spidev0.{item.driver.options['spi_device']}"] = None
        elif "pin" in item.driver.options:
            found["/dev/gpiochip0"] = None
    return list(found)


def agents_account(name: str = ACCOUNT) -> Account:
    """Return the user the service runs as; whoever asks, where there is no such user."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return Account(_name_of(os.geteuid()), os.geteuid(), frozenset({os.getegid(), *os.getgroups()}))
    return Account(name, entry.pw_uid, frozenset(os.getgrouplist(name, entry.pw_gid)))


def look_at(port: str, account: Account) -> PortFacts:
    """Look at a device file without opening it, which could disturb what hangs on it."""
    path = Path(port)
    try:
        found = path.stat()
    except OSError:
        return PortFacts(port, there=False, account=account.name)
    return PortFacts(
        path=port,
        there=True,
        device=stat.S_ISCHR(found.st_mode),
        group=_group_name(found.st_gid),
        allowed=may_open(found, _acl(path), account),
        account=account.name,
        lasting=lasting_name(port),
    )


def may_open(found: os.stat_result, acl: bytes, account: Account) -> bool:
    """Say whether an account may read and write a file, by its mode and its access control list (acl(5))."""
    if account.uid in (0, found.st_uid):
        return account.uid == 0 or found.st_mode >> 6 & _READ_WRITE == _READ_WRITE
    entries = list(_entries(acl))
    mask = next((allowed for tag, allowed, _id in entries if tag == _ACL_MASK), 0o7)
    for tag, allowed, id_ in entries:
        named = (tag == _ACL_USER and id_ == account.uid) or (tag == _ACL_GROUP and id_ in account.gids)
        named = named or (tag == _ACL_OWNERS_GROUP and found.st_gid in account.gids)
        if named and allowed & mask & _READ_WRITE == _READ_WRITE:
            return True
    if found.st_gid in account.gids and not acl:
        return found.st_mode >> 3 & _READ_WRITE == _READ_WRITE
    return found.st_mode & _READ_WRITE == _READ_WRITE


def _entries(acl: bytes) -> Iterator[tuple[int, int, int]]:
    body = acl[4:]  # a version comes first
    yield from _ENTRY.iter_unpack(body[: len(body) // _ENTRY.size * _ENTRY.size])


def _acl(path: Path) -> bytes:
    try:
        return os.getxattr(path, _ACL)
    except OSError:  # there is none, or the file system knows none
        return b""


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
