"""Does the card take what is written, for how long yet, and how worn is it?"""

from dataclasses import dataclass

from instrument_agent.buffer.ballast import BALLAST_BYTES
from instrument_agent.core.anchors import DAY_NS
from instrument_agent.doctor.verdict import Grade, Verdict
from instrument_agent.i18n import _

MEGABYTE = 1_000_000
SOON_DAYS, VERY_SOON_DAYS = 90, 14
NEARLY_WORN, WORN = 0x09, 0x0B
"""DEVICE_LIFE_TIME_EST in steps of 10 %: 0x01 is 0-10 % used, 0x0B more than all (JESD84-B51, EXT_CSD [268])."""
RESERVE_USED, RESERVE_GONE = 2, 3
"""PRE_EOL_INFO: 1 normal, 2 over 80 % of the reserved blocks are used, 3 urgent (JESD84-B51, EXT_CSD [267])."""


@dataclass(frozen=True, slots=True)
class RoomFacts:
    """Free bytes, the size of the database, and how long its log reaches back; None where that is not known."""

    free_bytes: int
    database_bytes: int
    log_ns: int | None


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What the kernel says of the card below the state directory; None or empty where it says nothing.

    ``refused`` is why it takes nothing, ``mount_options`` those of the mount table, ``errors`` the errors ext4 has
    counted, ``life_time`` and ``pre_eol`` the wear registers of an eMMC.
    """

    device: str = ""
    mount_options: tuple[str, ...] = ()
    refused: str = ""
    errors: int | None = None
    life_time: tuple[int, ...] = ()
    pre_eol: int | None = None


def days_left(facts: RoomFacts) -> float | None:
    """Return for how many days there is room if the database grows as it did; None before it has a day."""
    if facts.log_ns is None or facts.log_ns < DAY_NS or not facts.database_bytes:
        return None
    return facts.free_bytes * facts.log_ns / DAY_NS / facts.database_bytes


def judge_room(facts: RoomFacts) -> Verdict:
    """Judge the free space: what is not delivered yet needs it for as long as the platform is away."""
    free = _("{megabytes} MB free").format(megabytes=facts.free_bytes // MEGABYTE)
    advice = _("make room on the card: sudo journalctl --vacuum-size=50M, sudo apt clean")
    if facts.free_bytes < 3 * BALLAST_BYTES:
        return Verdict("room", Grade.FAIL, free, advice)
    days = days_left(facts)
    if days is None:
        said = _("{free}; how fast the database grows shows after a day").format(free=free)
        return Verdict("room", Grade.OK, said)
    said = _("{free}, enough for {days} days at the rate so far").format(free=free, days=min(round(days), 36_500))
    if days >= SOON_DAYS:
        return Verdict("room", Grade.OK, said)
    return Verdict("room", Grade.FAIL if days < VERY_SOON_DAYS else Grade.WARN, said, advice)


def judge_filesystem(facts: CardFacts) -> Verdict:
    """Judge whether the card takes what is written, and whether its file system has seen errors."""
    replace = _("read the system log (sudo dmesg), save the database, and put in a new card")
    about = facts.device
    if facts.refused:
        said = _("it takes nothing: {error}").format(error=facts.refused)
        return Verdict("filesystem", Grade.FAIL, said, replace, about)
    if "ro" in facts.mount_options:
        return Verdict("filesystem", Grade.FAIL, _("it is mounted read-only"), replace, about)
    if facts.errors:
        said = _("ext4 has counted {count} errors").format(count=facts.errors)
        return Verdict("filesystem", Grade.FAIL, said, replace, about)
    if facts.errors is None:
        return Verdict("filesystem", Grade.OK, _("it can be written"), "", about)
    return Verdict("filesystem", Grade.OK, _("it can be written, and ext4 has counted no error"), "", about)


def judge_wear(facts: CardFacts) -> Verdict:
    """Judge the wear the card reports."""
    most = max(facts.life_time, default=0)
    if not most and not facts.pre_eol:
        return Verdict("wear", Grade.NOT_APPLICABLE, _("this card does not tell; eMMC does"))
    said = _("all of its life is used") if most >= WORN else _("up to {used} of its life is used")
    said = said.format(used=f"{most * 10} %") if most else _("its reserve of blocks is watched")
    advice = _("save the database and replace the card")
    if most >= WORN or facts.pre_eol == RESERVE_GONE:
        return Verdict("wear", Grade.FAIL, said, advice, facts.device)
    if most >= NEARLY_WORN or facts.pre_eol == RESERVE_USED:
        return Verdict("wear", Grade.WARN, said, advice, facts.device)
    return Verdict("wear", Grade.OK, said, "", facts.device)
