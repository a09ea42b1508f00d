"""Compares instruments with their witnesses once a minute, and puts it on record when a contradiction begins or ends.

What is remembered is in the log, so that a restart tells nothing twice. How long two have contradicted each other before
it is told counts from their last silence: a restart delays that, and no more.
"""

import logging

from instrument_agent.buffer.disagreements import open_disagreement_ns, save_disagreement
from instrument_agent.buffer.store import Store
from instrument_agent.clock import Clock
from instrument_agent.config import Config
from instrument_agent.core.errors import StoreUnavailable
from instrument_agent.core.readings import NS_PER_S
from instrument_agent.core.witness import Testimony, contradicting_since
from instrument_agent.poll.recorder import Recorder

log = logging.getLogger(__name__)

EVERY_NS = 60 * NS_PER_S


class Witnesses:
    """The pairs of a box, and since when those that contradict each other do."""

    def __init__(self, store: Store, clock: Clock, recorder: Recorder, config: Config) -> None:
        """Take up what the log says.

        Raises:
            StoreUnavailable: it cannot be read.
        """
        self._store = store
        self._clock = clock
        self._recorder = recorder
        watched = {item.id for item in config.instruments}
        named = [(item.id, item.activity.witness) for item in config.instruments]
        # A witness that is out of use is in the config file still, but not watched.
        self._pairs = [(name, witness) for name, witness in named if witness in watched]
        self._since_ns = {pair: open_disagreement_ns(store, clock.boot_id, pair) for pair in self._pairs}
        self._due_ns = clock.boottime_ns() + EVERY_NS

    def against(self, instrument_id: str) -> str | None:
        """Return the witness that contradicts an instrument now, if one does."""
        return next((witness for (name, witness), ns in self._since_ns.items() if name == instrument_id and ns is not None), None)

    def compare_if_due(self) -> None:
        """Compare all pairs, if it is time to."""
        now_ns = self._clock.boottime_ns()
        if now_ns < self._due_ns or not self._store.begun:
            return
        self._due_ns = now_ns + EVERY_NS
        watched = self._recorder.watched()
        for pair in self._pairs:
            one, other = (Testimony(watched[name].rules, self._recorder.live(name)) for name in pair)
            self._note(pair, one, other, now_ns)

    def _note(self, pair: tuple[str, str], one: Testimony, other: Testimony, now_ns: int) -> None:
        before = self._since_ns[pair]
        after = contradicting_since(before, one, other, now_ns)
        if before == after:
            return
        said = None if after is None else (one.now.activity.value, other.now.activity.value)
        try:
            save_disagreement(self._store, (self._clock.boot_id, now_ns), pair, before if after is None else after, said)
        except StoreUnavailable:  # told by the recorder; tried again in a minute
            return
        self._since_ns[pair] = after
        log.warning("%s and its witness %s %s", *pair, "agree again" if said is None else "contradict each other")
