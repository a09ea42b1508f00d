"""Learns UTC from the platforms' replies and from NTP, and writes an anchor down when it is worth one."""

import logging
import threading
from typing import Any

from instrument_agent.buffer.books import anchors, save_anchor
from instrument_agent.buffer.boots import chronology
from instrument_agent.buffer.store import Store
from instrument_agent.clock import Clock
from instrument_agent.core.anchors import (
    GOOD_NS,
    PLATFORM,
    Anchor,
    Sights,
    Utc,
    contradict,
    credible,
    in_whole_ms,
    plausible,
)
from instrument_agent.core.chronology import Chronology
from instrument_agent.core.errors import StoreDamaged, StoreUnavailable
from instrument_agent.core.readings import NS_PER_MS, NS_PER_S
from instrument_agent.core.records import Fact, RecordType
from instrument_agent.uplink.answers import Reply

log = logging.getLogger(__name__)

REPLY_ERROR_NS = NS_PER_S
"""A platform's clock and the moment it looks at it are trusted to this much, besides half the round trip."""
ANCHOR_EVERY_NS = 6 * 3600 * NS_PER_S
STEPPED_EVERY_NS = 600 * NS_PER_S
"""A source that contradicts itself is written down again, but not at every heartbeat."""
RETRY_NS = 60 * NS_PER_S
"""How long a database that failed is left alone."""


class Anchoring:
    """The sights of UTC of this boot, shared by all destinations and by whoever looks at the wall clock."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._doubted: set[str] = set()
        self._retry_ns = 0
        self._unwritten: list[tuple[Anchor, list[Fact]]] = []
        self._anchors = anchors(store, clock.boot_id)
        self._sights = Sights(self._anchors) if self._anchors else None
        self._newest = {anchor.source: anchor for anchor in self._anchors}  # the last of each source
        self._apart = {pair for anchor in self._newest.values() for pair in self._disagreeing(anchor)}
        self._others: Chronology | None = None
        self.anchored = threading.Event()
        if self._anchors:
            self.anchored.set()

    def offer(self, reply: Reply, destination: str, received_ns: int) -> None:
        """Take the time of a reply that came in at ``received_ns`` (boot clock), unless a fresh anchor stands."""
        if reply.server_utc_ns is None:
            return
        half_trip_ns = round(reply.round_trip_s * NS_PER_S / 2)
        self._take(
            Anchor(
                self._clock.boot_id,
                max(0, received_ns - half_trip_ns),
                reply.server_utc_ns,
                half_trip_ns + REPLY_ERROR_NS,
                f"{PLATFORM}{destination}",
            )
        )

    def see(self, sight: Anchor | None) -> None:
        """Take what the wall clock was seen to say, if a time server vouches for it."""
        if sight is not None:
            self._take(sight)
        elif self._unwritten:
            with self._lock:
                self._write_down()

    def utc(self, boot_id: str, boottime_ns: int) -> Utc | None:
        """Return the UTC of a moment, from this boot's anchors, or from what the database says of another boot.

        Raises:
            StoreUnavailable: it cannot be read.
        """
        if boot_id == self._clock.boot_id:
            sights = self._sights
            return None if sights is None else sights.utc(boottime_ns)
        with self._lock:
            if self._others is None:
                try:
                    self._others = chronology(self._store)
                except StoreDamaged as error:
                    self._store.note_damage(str(error))
                    raise
            return self._others.utc(boot_id, boottime_ns)

    def known(self) -> list[Anchor]:
        """Return the sights of UTC of this boot."""
        with self._lock:
            return list(self._anchors)

    def _take(self, sight: Anchor) -> None:
        with self._lock:
            if not self._worth_it(sight) or self._refused(sight):
                self._write_down()
                return
            anchor = in_whole_ms(sight)
            apart = self._disagreeing(anchor)
            faults = []
            for pair, data in apart.items():
                if pair not in self._apart:
                    log.error("the clocks of %s and %s disagree by %d ms", *pair, data["apart_ms"])
                    faults.append(Fact(RecordType.FAULT, anchor.boot_id, anchor.boottime_ns, data))
            self._unwritten.append((anchor, faults))
            self._write_down()
            self._apart = {pair for pair in self._apart if anchor.source not in pair} | set(apart)
            self._anchors.append(anchor)
            self._newest[anchor.source] = anchor
            self._sights = Sights(self._anchors)
            self._others = None  # this boot bounds those before it
            self.anchored.set()

    def _write_down(self) -> None:
        """Put what was taken in the log; what cannot be written yet is true all the same, and is kept in memory."""
        now_ns = self._clock.boottime_ns()
        if not self._unwritten or now_ns < self._retry_ns:
            return
        try:
            with self._store.write() as change:
                for anchor, faults in self._unwritten:
                    save_anchor(change, anchor)
                    for fault in faults:
                        change.append(fault)
        except StoreUnavailable:  # told by the recorder, which has more to lose
            self._retry_ns = now_ns + RETRY_NS
        else:
            self._unwritten.clear()

    def _refused(self, sight: Anchor) -> bool:
        """Say whether a sight cannot be true; said once for each source."""
        if plausible(sight.utc_ns) and sight in credible([*self._anchors, sight]):
            self._doubted.discard(sight.source)
            return False
        if sight.source not in self._doubted:
            log.error("%s: its clock is wrong, %d ns since 1970", sight.source, sight.utc_ns)
        self._doubted.add(sight.source)
        return True

    def _worth_it(self, sight: Anchor) -> bool:
        """Say whether a sight is the first of its source, the first for long, or tells that its clock was set."""
        last = self._newest.get(sight.source)
        if last is None:
            return True
        age_ns = sight.boottime_ns - last.boottime_ns
        return age_ns >= ANCHOR_EVERY_NS or (age_ns >= STEPPED_EVERY_NS and contradict(last, sight))

    def _disagreeing(self, anchor: Anchor) -> dict[tuple[str, str], dict[str, Any]]:
        """Return what is to be recorded for each other source that is more than 60 s away, by the pair of them."""
        found = {}
        for source, other in self._newest.items():
            apart_ns = anchor.utc_ns - other.utc_ns - (anchor.boottime_ns - other.boottime_ns)
            if source != anchor.source and abs(apart_ns) > GOOD_NS and contradict(other, anchor):
                first, second = sorted((source, anchor.source))
                found[first, second] = {
                    "kind": "clock_disagreement",
                    "source": anchor.source,
                    "other": source,
                    "apart_ms": apart_ns // NS_PER_MS,
                }
        return found
