"""Holds the tables of epochs and time anchors against the records that tell the same, in both directions.

Both tables are kept for life, as are those records, and a damaged file is rebuilt from them: nothing excuses a
difference but a loss that the log itself tells of.
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from instrument_agent.buffer.books import epochs
from instrument_agent.buffer.boots import boots
from instrument_agent.buffer.reader import Readable
from instrument_agent.core.anchors import Anchor, Sights, contradict
from instrument_agent.core.errors import StoreDamaged, StoreUnavailable
from instrument_agent.core.readings import NS_PER_MS
from instrument_agent.core.records import time_anchor
from instrument_agent.i18n import _

if TYPE_CHECKING:
    from instrument_agent.buffer.verify import Report

Said = tuple[str, int, int, int, str]
"""What an anchor says: boot, boot time, UTC and error in milliseconds, source."""


class Listed:
    """Remembers the first record of each epoch and every time anchor, and compares the tables with them at the end."""

    def __init__(self) -> None:
        self._begun: dict[str, tuple[str, int]] = {}
        self._boxes: dict[str, str] = {}
        self._told: set[Said] = set()

    def take(self, record: dict[str, Any], report: "Report") -> None:
        """Take a record that verifies."""
        epoch, box_id = record["epoch"], record["box_id"]
        if record["data"].get("kind") == "record_lost":
            return  # a mark, put there later
        if self._boxes.setdefault(epoch, box_id) != box_id:
            sentence = _("record {seq} of epoch {epoch}: it is of another box than those before it")
            report.differs(sentence.format(seq=record["seq"], epoch=epoch))
        if record["type"] == "epoch_started":
            self._begun[epoch] = record["boot_id"], record["at_ms"]
        elif record["type"] == "time_anchor":
            self._told.add(_said(record["boot_id"], record["data"]))

    def settle(self, source: Readable, known: list[Anchor], report: "Report") -> None:
        """Say in the report what does not agree; ``known`` are the anchors that fit their checksums."""
        self._compare_epochs(source, report)
        self._compare_anchors(known, report)
        _compare_boots(source, known, report)
        count = source.rows("select count(*) from anchors")[0][0]
        if count == len(known):  # of one that does not fit its checksum it is said already
            self._miss_anchors(known, report)

    def _compare_epochs(self, source: Readable, report: "Report") -> None:
        try:
            listed = {epoch.epoch: (epoch.boot_id, epoch.started_ns // NS_PER_MS) for epoch in epochs(source)}
        except StoreDamaged:
            return  # the proof of the days says so
        # A record that is not what was written is a difference already, and so is not missing as well.
        whole = not report.lossy and not report.broken
        strange = [epoch for epoch, first in self._begun.items() if listed.get(epoch) != first]
        strange += [epoch for epoch in listed if whole and epoch not in self._begun]
        for epoch in strange:
            report.differs(_("epoch {epoch}: the table of epochs and its first record differ").format(epoch=epoch))
        if [epoch for epoch in listed if epoch in self._begun] != [epoch for epoch in self._begun if epoch in listed]:
            report.differs(_("the table of epochs has another order than the log"))

    def _compare_anchors(self, known: list[Anchor], report: "Report") -> None:
        """Check that every anchor that gives a time is in the chain, and count those of a boot that do not agree."""
        for anchor in known:
            if _said(anchor.boot_id, time_anchor(anchor)) in self._told:
                report.proven["anchors"] += 1
            elif report.lossy:
                report.unproven["anchors"] += 1
            else:
                report.differs(_("a time anchor of boot {boot} is in no record").format(boot=anchor.boot_id))
        report.unproven["contradicting_anchors"] += sum(
            before.boot_id == after.boot_id and contradict(before, after) for before, after in pairwise(known)
        )

    def _miss_anchors(self, known: list[Anchor], report: "Report") -> None:
        for boot_id, at_ms, source in sorted(_places(self._told) - _places(_said_by(known)), key=str):
            sentence = _("the time anchor of {source} at {at_ms} ms of boot {boot} is in a record only")
            report.differs(sentence.format(source=source, at_ms=at_ms, boot=boot_id))


def _compare_boots(source: Readable, known: list[Anchor], report: "Report") -> None:
    """Count the boots that seem to begin before one before them ended: a clock was told a false time."""
    try:
        listed = boots(source)
    except StoreUnavailable:
        return  # what is wrong is said already
    of_boot: dict[str, list[Anchor]] = {}
    for anchor in known:
        of_boot.setdefault(anchor.boot_id, []).append(anchor)
    reached_ns = 0
    for boot in (boot for boot in listed if boot.boot_id in of_boot):
        clock = Sights(of_boot[boot.boot_id]).utc
        begin, end = clock(boot.first_ns), clock(boot.last_ns)
        report.unproven["contradicting_boots"] += begin.utc_ns + begin.error_ns < reached_ns
        reached_ns = max(reached_ns, end.utc_ns - end.error_ns)


def _said(boot_id: str, data: dict[str, Any]) -> Said:
    return boot_id, data["boottime_ms"], data["utc_ms"], data["error_ms"], data["source"]


def _said_by(known: list[Anchor]) -> set[Said]:
    return {_said(anchor.boot_id, time_anchor(anchor)) for anchor in known}


def _places(said: Iterable[Said]) -> set[tuple[str, int, str]]:
    return {(boot_id, at_ms, source) for boot_id, at_ms, _utc_ms, _error_ms, source in said}
