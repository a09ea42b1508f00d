"""Compares instruments with their witnesses once a minute, and puts on record when a contradiction begins and ends.

What was told is read back from the log, so that a restart tells nothing twice. What was not told yet counts anew from
the silence of the restart: that delays it, and no more.
"""

import logging

from instrument_agent.buffer.disagreements import open_disagreement_ns
from instrument_agent.buffer.store import Store
from instrument_agent.clock import Clock
from instrument_agent.config import Config
from instrument_agent.core.errors import StoreUnavailable
from instrument_agent.core.readings import NS_PER_S
from instrument_agent.core.records import Fact, RecordType
from instrument_agent.core.witness import Pair, Statement, contradicting_since, witness_fault
from instrument_agent.poll.recorder import Recorder

log = logging.getLogger(__name__)

EVERY_NS = 60 * NS_PER_S


class Witnesses:
    """The pairs of a box, and since when they contradict each other (boot-clock ns, None if they do not)."""

    def __init__(self, store: Store, clock: Clock, recorder: Recorder, config: Config) -> None:
        """Go on from what the log says.

        Raises:
            StoreUnavailable: it cannot be read.
        """
        self._store = store
        self._clock = clock
        self._recorder = recorder
        watched = {item.id for item in config.instruments}
        named = [(item.id, item.activity.witness) for item in config.instruments]
        # A witness that is out of use stands in the file still, but is not watched.
        pairs = [Pair(name, witness) for name, witness in named if witness in watched]
        self._since_ns = {pair: open_disagreement_ns(store, clock.boot_id, pair) for pair in pairs}
        self._due_ns = clock.boottime_ns() + EVERY_NS

    def now(self, instrument_id: str) -> dict[str, str | None]:
        """Return what `status` shows: the witness that contradicts an instrument, if one does."""
        against = {pair.instrument: pair.witness for pair, since_ns in self._since_ns.items() if since_ns is not None}
        return {"contradicted_by": against.get(instrument_id)}

    def compare_if_due(self) -> None:
        """Compare all pairs, if it is time to."""
        now_ns = self._clock.boottime_ns()
        if now_ns < self._due_ns or not self._store.begun:
            return
        self._due_ns = now_ns + EVERY_NS
        for pair in self._since_ns:
            self._compare(pair, now_ns)

    def _compare(self, pair: Pair, now_ns: int) -> None:
        one, other = self._statement(pair.instrument), self._statement(pair.witness)
        before = self._since_ns[pair]
        after = contradicting_since(before, one, other, now_ns)
        if after is not None and before is None:
            data = witness_fault(pair, after, (one.now.activity, other.now.activity))
        elif before is not None and after is None:
            data = witness_fault(pair, before, None)
        else:
            return
        try:
            with self._store.write() as change:
                change.append(Fact(RecordType.FAULT, self._clock.boot_id, now_ns, data, pair.instrument))
        except StoreUnavailable:  # told by the recorder; tried again in a minute
            return
        self._since_ns[pair] = after
        log.warning("%s: contradiction with its witness %s, %s", pair.instrument, pair.witness, data["phase"])

    def _statement(self, name: str) -> Statement:
        return Statement(self._recorder.watched()[name].rules, self._recorder.live(name))
