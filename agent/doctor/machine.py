"""Looks at the machine: free space, mounts, wear, power, time zone. Where to look is given, so that tests can."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from instrument_agent.buffer import card
from instrument_agent.buffer.reader import FILE_NAME
from instrument_agent.doctor.storage import CardFacts, RoomFacts
from instrument_agent.i18n import why

ANSWER_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Places:
    """Where the kernel and the system tell of themselves."""

    sysfs: Path = Path("/sys")
    proc: Path = Path("/proc")
    etc: Path = Path("/etc")


def room(state_dir: Path, log_ns: int | None) -> RoomFacts:
    """Measure the free space of the state directory and what is in use there.

    Raises:
        OSError: there is no such directory.
    """
    found = os.statvfs(state_dir)
    sizes = [path.stat().st_size for path in state_dir.glob(f"{FILE_NAME}*") if path.is_file()]
    return RoomFacts(found.f_bavail * found.f_frsize, sum(sizes), log_ns)


def card_below(state_dir: Path, places: Places, *, try_it: bool) -> CardFacts:
    """Ask the kernel about the device of the state directory; ``try_it`` also tries to take some room there.

    Raises:
        OSError: there is no such directory.
    """
    number = state_dir.stat().st_dev
    major_minor = f"{os.major(number)}:{os.minor(number)}"
    options = _mount_options(places.proc / "self" / "mountinfo", major_minor)
    refused = card.refusal(state_dir) if try_it else None
    device = (places.sysfs / "dev" / "block" / major_minor).resolve()
    name = device.name if device.exists() else ""
    # A partition lies below its disk; the disk has the registers of the card.
    disk = device.parent if (device / "partition").exists() else device
    return CardFacts(
        device=name,
        mount_options=options,
        refused="" if refused is None else why(refused),
        errors=_number(places.sysfs / "fs" / "ext4" / name / "errors_count") if name else None,
        life_time=tuple(int(word, 16) for word in _text(disk / "device" / "life_time").split()),
        pre_eol=_number(disk / "device" / "pre_eol_info", 16),
    )


def throttled(places: Places) -> int | None:
    """Return the bits of get_throttled from the kernel, or else from vcgencmd; None without either."""
    from_kernel = _number(places.sysfs / "devices/platform/soc/soc:firmware/get_throttled", 16)
    if from_kernel is not None:
        return from_kernel
    said = said_by("vcgencmd", "get_throttled")  # throttled=0x50000
    try:
        return int(said.strip().removeprefix("throttled="), 16)
    except ValueError:
        return None


def system_zone(places: Places) -> str:
    """Return the name of the system's time zone; empty if it has none."""
    target = os.path.realpath(places.etc / "localtime")
    before, found, name = target.partition("/zoneinfo/")
    return name if before and found else _text(places.etc / "timezone").strip()


def said_by(*command: str) -> str:
    """Return what a program prints; empty if it is not there, fails, or takes too long."""
    plain = os.environ | {"LC_ALL": "C.UTF-8", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"}
    try:
        done = subprocess.run(command, capture_output=True, timeout=ANSWER_WITHIN_S, check=True, env=plain)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace")


def _mount_options(mountinfo: Path, major_minor: str) -> tuple[str, ...]:
    """Return the options of the mounts of a device and of its file system (proc_pid_mountinfo(5))."""
    found: set[str] = set()
    for line in _text(mountinfo).splitlines():
        fields, _dash, behind = line.partition(" - ")
        words, of_filesystem = fields.split(), behind.split()
        if len(words) > 5 and words[2] == major_minor and len(of_filesystem) > 2:  # noqa: PLR2004  # the manual's count
            # One place may be mounted read-only on purpose (a container); the file system itself never is.
            found |= set(of_filesystem[2].split(","))
    return tuple(sorted(found))


def _number(path: Path, base: int = 10) -> int | None:
    try:
        return int(_text(path).strip(), base)
    except ValueError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
