"""Takes every reading, lets the core decide, and writes down what became certain, in one transaction.

Between two changes nothing is written but one checkpoint each ``checkpoint_s`` for all instruments together:
commits wear out an SD card, rows do not.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from instrument_agent.buffer.books import save_events, save_state
from instrument_agent.buffer.store import Store, Transaction
from instrument_agent.clock import Clock
from instrument_agent.core.activity import Rules
from instrument_agent.core.errors import StoreUnavailable
from instrument_agent.core.ledger import Interval, totals_ns
from instrument_agent.core.observing import observe
from instrument_agent.core.readings import NS_PER_S, Activity, FailedRead, Observation, Reading, UnknownReason
from instrument_agent.core.step import Event, Live, State, live
from instrument_agent.poll.tracing import Tracer

log = logging.getLogger(__name__)

UNSAVED_LIMIT = 2000
"""So many changes are kept in memory while nothing can be written; time after that is unknown."""
RETRY_NS = 10 * NS_PER_S
"""How long a database that failed is left alone: one that is locked holds up every bus while it is tried."""


@dataclass(frozen=True, slots=True)
class Watched:
    """One instrument: its rules, all that is known of it, its last reading, and the closed time of this boot in ns."""

    rules: Rules
    state: State
    last: Observation | None = None
    spent_ns: Mapping[Activity, int] = field(default_factory=lambda: dict.fromkeys(Activity, 0))


class Recorder:
    """Holds the state of all instruments; safe to be called by every bus."""

    def __init__(self, store: Store, clock: Clock, checkpoint_s: float) -> None:
        self._store = store
        self._clock = clock
        self._checkpoint_ns = round(checkpoint_s * NS_PER_S)
        self._lock = threading.Lock()
        self._watched: dict[str, Watched] = {}
        self._unsaved: list[Callable[[Transaction], object]] = []
        self._saved: dict[str, State] = {}
        self._tracers: dict[str, Tracer] = {}
        self._saved_ns = self._traced_ns = clock.boottime_ns()
        self._retry_ns = 0
        self._listeners: list[Callable[[], None]] = []
        self.storage_error = ""

    def watch(self, instrument_id: str, watched: Watched, first: Callable[[Transaction], object] | None = None) -> None:
        """Begin or resume the books of an instrument; ``first`` writes down what comes before anything else of it."""
        with self._lock:
            self._watched[instrument_id] = watched
            self._tracers[instrument_id] = Tracer(watched.rules, watched.state)
            if first is not None:
                self._unsaved.append(first)

    def judge_by(self, instrument_id: str, rules: Rules, first: Callable[[Transaction], object]) -> None:
        """Judge an instrument by other rules from now on; ``first`` is written down before what follows from them."""
        with self._lock:
            self._watched[instrument_id] = replace(self._watched[instrument_id], rules=rules)
            self._unsaved.append(first)

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` whenever an instrument's activity changes."""
        self._listeners.append(listener)

    def take(self, instrument_id: str, reading: Reading) -> None:
        """Take one reading of an instrument."""
        with self._lock:
            before = self._watched[instrument_id]
            # A bus that was thought hung may come back with an older time than was noted for it meanwhile.
            reading = replace(reading, at_ns=max(reading.at_ns, before.state.latest_ns))
            if len(self._unsaved) >= UNSAVED_LIMIT:
                reading = FailedRead(reading.at_ns, UnknownReason.STORAGE_FAULT)
            state, events = observe(before.rules, before.state, reading)
            last = reading if isinstance(reading, Observation) else before.last
            after = Watched(before.rules, state, last, _added(before.spent_ns, events))
            self._watched[instrument_id] = after
            self._tracers[instrument_id].see(reading, state, events)
            if events:
                written = partial(save_events, instrument_id=instrument_id, state=state, events=events)
                self._unsaved.append(written)
            due = bool(self._unsaved) or reading.at_ns - self._saved_ns >= self._checkpoint_ns
            if due and reading.at_ns >= self._retry_ns:
                self._save(reading.at_ns)
        if _activity(before) is not _activity(after):
            for listener in self._listeners:
                listener()

    def checkpoint(self) -> None:
        """Write everything down now."""
        with self._lock:
            self._save(self._clock.boottime_ns(), all_traces=True)

    def watched(self) -> Mapping[str, Watched]:
        """Return a snapshot of all instruments."""
        with self._lock:
            return dict(self._watched)

    @property
    def unsaved(self) -> int:
        """How many changes are kept in memory because nothing can be written down."""
        return len(self._unsaved) if self.storage_error else 0

    def saved(self) -> Mapping[str, State]:
        """Return the state of all instruments as it was written down last; what is counted from it stays true."""
        with self._lock:
            return dict(self._saved)

    def live(self, instrument_id: str) -> Live:
        """Return what an instrument is doing now."""
        item = self._watched[instrument_id]
        return live(item.rules, item.state, self._clock.boottime_ns())

    def _save(self, now_ns: int, *, all_traces: bool = False) -> None:
        # Between checkpoints a change is written without the traces: each row would cost pages of its own.
        traced = all_traces or now_ns - self._traced_ns >= self._checkpoint_ns
        tracers = self._tracers if traced else {}
        try:
            with self._store.write() as change:
                for written in self._unsaved:
                    written(change)
                for instrument_id, item in self._watched.items():
                    save_state(change, instrument_id, item.state)
                for instrument_id, tracer in tracers.items():
                    tracer.save(change, instrument_id, now_ns, all_of_it=all_traces)
        except StoreUnavailable as error:
            if not self.storage_error:
                log.error("nothing can be written down: %s. %s", error, error.hint)
            self.storage_error = str(error)
            self._retry_ns = self._clock.boottime_ns() + RETRY_NS
            return
        finally:
            self._forget_traces(tracers, now_ns, all_of_it=all_traces)
        if self.storage_error:
            log.warning("the database can be written again; what was kept in memory is in it")
        self.storage_error = ""
        self._unsaved.clear()
        self._saved_ns = now_ns
        self._saved = {instrument_id: item.state for instrument_id, item in self._watched.items()}

    def _forget_traces(self, tracers: Mapping[str, Tracer], now_ns: int, *, all_of_it: bool) -> None:
        for tracer in tracers.values():
            tracer.clear(now_ns, all_of_it=all_of_it)
            self._traced_ns = now_ns


def _added(spent_ns: Mapping[Activity, int], events: tuple[Event, ...]) -> Mapping[Activity, int]:
    closed = [event for event in events if isinstance(event, Interval)]
    if not closed:
        return spent_ns
    more_ns = totals_ns(closed)
    return {activity: spent_ns[activity] + more_ns[activity] for activity in Activity}


def _activity(item: Watched) -> object:
    return live(item.rules, item.state, item.state.latest_ns).activity
