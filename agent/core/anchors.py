"""Where boot clocks touch UTC.

An anchor says: at this boot-clock time it was this time UTC, within this error. UTC of any other moment of the
same boot follows from the nearest anchor; quartz drifts, so the error grows with distance.
"""

from collections.abc import Iterable
from dataclasses import dataclass

DRIFT_PPM = 100
"""Worst drift assumed of a Pi's quartz between two sights of UTC."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """One sight of UTC: ``utc_ns`` (since 1970) at ``boottime_ns`` of boot ``boot_id``, true to ``error_ns``."""

    boot_id: str
    boottime_ns: int
    utc_ns: int
    error_ns: int
    source: str


@dataclass(frozen=True, slots=True)
class Utc:
    """A moment in UTC (nanoseconds since 1970) and how far it may be off."""

    utc_ns: int
    error_ns: int


def utc_of(anchors: Iterable[Anchor], boot_id: str, boottime_ns: int) -> Utc | None:
    """Return the UTC of a moment of a boot, from the anchor that leaves the smallest error; None without one."""
    candidates = (
        Utc(anchor.utc_ns + boottime_ns - anchor.boottime_ns, anchor.error_ns + _drift(anchor, boottime_ns))
        for anchor in anchors
        if anchor.boot_id == boot_id
    )
    return min(candidates, key=lambda utc: utc.error_ns, default=None)


def _drift(anchor: Anchor, boottime_ns: int) -> int:
    return abs(boottime_ns - anchor.boottime_ns) * DRIFT_PPM // 1_000_000
