"""Learns UTC from the platforms' replies, and writes an anchor down when it is worth one."""

import logging
import threading

from instrument_agent.buffer.books import anchors, save_anchor
from instrument_agent.buffer.store import Store
from instrument_agent.clock import Clock
from instrument_agent.core.anchors import Anchor, Utc, utc_of
from instrument_agent.core.readings import NS_PER_S
from instrument_agent.uplink.http import Reply

log = logging.getLogger(__name__)

REPLY_ERROR_NS = NS_PER_S
"""A platform's clock and the moment it looks at it are trusted to this much, besides half the round trip."""
ANCHOR_EVERY_NS = 6 * 3600 * NS_PER_S
EARLIEST_UTC_NS = 1_767_225_600 * NS_PER_S
"""2026-01-01: before this software was written."""
LATEST_UTC_NS = EARLIEST_UTC_NS + 15 * 366 * 86_400 * NS_PER_S
"""Longer than a box lives: a platform that says so is mistaken."""


class Anchoring:
    """The sights of UTC of this boot, shared by all destinations."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._doubted: set[str] = set()
        self._anchors = anchors(store, clock.boot_id)
        self.anchored = threading.Event()
        if self._anchors:
            self.anchored.set()

    def offer(self, reply: Reply, destination: str, received_ns: int) -> None:
        """Take the time of a reply that came in at ``received_ns`` (boot clock), unless a fresh anchor stands."""
        if reply.server_utc_ns is None:
            return
        if not EARLIEST_UTC_NS <= reply.server_utc_ns <= LATEST_UTC_NS:
            if destination not in self._doubted:
                log.error("%s: its clock is wrong, %d ns since 1970", destination, reply.server_utc_ns)
            self._doubted.add(destination)
            return
        half_trip_ns = round(reply.round_trip_s * NS_PER_S / 2)
        with self._lock:
            if self._anchors and received_ns - self._anchors[-1].boottime_ns < ANCHOR_EVERY_NS:
                return
            anchor = Anchor(
                self._clock.boot_id,
                received_ns - half_trip_ns,
                reply.server_utc_ns,
                half_trip_ns + REPLY_ERROR_NS,
                f"platform:{destination}",
            )
            with self._store.write() as change:
                save_anchor(change, anchor)
            self._anchors.append(anchor)
            self.anchored.set()

    def utc(self, boottime_ns: int) -> Utc | None:
        """Return the UTC of a moment of this boot, if there is an anchor."""
        return utc_of(self._anchors, self._clock.boot_id, boottime_ns)
