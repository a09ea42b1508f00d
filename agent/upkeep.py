"""What the database needs besides being written to: epochs, closed days, room on the card."""

import logging
from collections.abc import Mapping

from instrument_agent import __version__
from instrument_agent.buffer.retention import PRUNE_EVERY_NS, prune
from instrument_agent.buffer.stopnote import lay_down_note
from instrument_agent.buffer.store import Start, Store
from instrument_agent.buffer.traces import make_room, prune_traces
from instrument_agent.clock import Clock
from instrument_agent.config import Config
from instrument_agent.core.errors import StoreDamaged, StoreUnavailable
from instrument_agent.core.readings import NS_PER_S
from instrument_agent.core.step import State
from instrument_agent.daybook import Daybook
from instrument_agent.poll.recorder import RETRY_NS, Recorder
from instrument_agent.unwatched import Unwatched
from instrument_agent.uplink.anchoring import Anchoring
from instrument_agent.uplink.retry import share

log = logging.getLogger(__name__)

DAYS_EVERY_NS = (300 * NS_PER_S, 900 * NS_PER_S)
"""The shortest and the longest time between two looks at the calendar: each box has its own, so that a province does
not deliver its day within a minute of midnight (docs/decisions/0015)."""
TEND_EVERY_NS = 600 * NS_PER_S
"""How often a ballast that was given up is tried to be laid down again."""
PRUNE_FIRST_NS = (900 * NS_PER_S, 4500 * NS_PER_S)
"""A box that is switched off every night is pruned too, but not while it has just started; each box at its own time,
because with it a new epoch may begin."""
EPOCH_NS = 30 * 86_400 * NS_PER_S
"""An epoch is as much as can be pruned at a time, so none gets longer than this."""


def days_every_ns(box_id: str) -> int:
    """Return how often a box looks whether a day can be closed."""
    return _own(box_id, DAYS_EVERY_NS)


class Upkeep:
    """Looks after the database of a running agent, from one thread."""

    def __init__(self, store: Store, clock: Clock, config: Config) -> None:
        self._store = store
        self._clock = clock
        self._config = config
        self._daybook = Daybook(store, config.box.timezone, tuple(config.box.idle_levels_days))
        self._unwatched = Unwatched(store, self._daybook, {})
        self._started_ns = clock.boottime_ns()
        self._epoch_began_ns = self._started_ns
        self._begin_at_ns = self._days_at_ns = self._tend_at_ns = 0
        self._days_every_ns = days_every_ns(config.box.id)
        self._prune_at_ns = self._started_ns + _own(config.box.id, PRUNE_FIRST_NS)

    def begin(self) -> bool:
        """Begin the epoch of this start; if the disk takes nothing, False: watching goes on in memory all the same."""
        for _try in range(2):  # on a full disk the first try gives up the ballast
            try:
                self._begin_epoch(self._started_ns)
            except StoreUnavailable:  # told by the recorder, which cannot write anything either
                self._begin_at_ns = self._clock.boottime_ns() + RETRY_NS
            else:
                return True
        return False

    def count_also(self, states: Mapping[str, State]) -> None:
        """Count the last day of instruments, too, that are not watched any more."""
        self._unwatched = Unwatched(self._store, self._daybook, states)

    def do_what_is_due(self, recorder: Recorder, anchoring: Anchoring) -> None:
        """Begin what could not be begun, close days, lay down the ballast and prune, each in its time."""
        now_ns = self._clock.boottime_ns()
        if not self._store.begun and now_ns >= self._begin_at_ns and self.begin():
            recorder.checkpoint()
        if now_ns >= self._tend_at_ns:
            self._tend_at_ns = now_ns + TEND_EVERY_NS
            self._tend()
        # What is not written down yet would be missing in the sums of a day that is never opened again.
        if now_ns >= self._days_at_ns and not recorder.storage_error:
            self._days_at_ns = now_ns + self._days_every_ns
            self._close_days(recorder)
        if now_ns >= self._prune_at_ns and self._store.begun:
            self._prune_at_ns = now_ns + PRUNE_EVERY_NS
            if not recorder.storage_error:
                self._close_days(recorder)  # what the sight of UTC that makes it old makes countable, too
            self._prune(recorder, anchoring)

    def _begin_epoch(self, at_ns: int) -> None:
        self._store.begin_epoch(Start(self._clock.boot_id, at_ns, __version__, self._config.hash))
        self._epoch_began_ns = at_ns
        lay_down_note(self._config.box.state_dir)

    def _tend(self) -> None:
        """Look after the ballast; while the disk is full, the oldest traces make way for facts."""
        if self._store.tend():
            return
        try:
            gone = make_room(self._store)
        except StoreUnavailable:  # told by the recorder
            return
        if gone:
            log.warning("the disk is full; %d rows of the oldest traces made way", gone)

    def _close_days(self, recorder: Recorder) -> None:
        try:
            self._daybook.close_due(recorder.saved())
            self._unwatched.close_due(self._clock.boot_id, self._clock.boottime_ns())
        except StoreDamaged as error:
            self._store.note_damage(str(error))
        except StoreUnavailable as error:
            log.warning("days are not closed: %s", error)

    def _prune(self, recorder: Recorder, anchoring: Anchoring) -> None:
        now_ns = self._clock.boottime_ns()
        try:
            if now_ns - self._epoch_began_ns >= EPOCH_NS:
                self._begin_epoch(now_ns)
            utc = anchoring.utc(self._clock.boot_id, now_ns)
            # A box that was away for long waits for a second sight of UTC before it counts the day in which it left.
            uncounted_ns = self._daybook.uncounted_from_utc_ns({**self._unwatched.states, **recorder.saved()})
            prune(self._store, utc, [item.name for item in self._config.destinations], uncounted_ns)
            prune_traces(self._store)
        except StoreUnavailable as error:
            log.warning("nothing was pruned: %s", error)


def _own(box_id: str, ends_ns: tuple[int, int]) -> int:
    """Return a time between two that is this box's own."""
    return ends_ns[0] + round(share(box_id) * (ends_ns[1] - ends_ns[0]))
