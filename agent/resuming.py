"""Takes up the books of each instrument where they were left."""

import logging
from dataclasses import dataclass, replace

from instrument_agent.buffer.books import (
    configured_data,
    save_configured,
    save_events,
    save_state,
    states,
    time_spent_ns,
)
from instrument_agent.buffer.stopnote import how_it_ended
from instrument_agent.buffer.store import Store, Transaction
from instrument_agent.clock import Clock
from instrument_agent.config import Config, InstrumentConfig
from instrument_agent.core.drift import standing as still_moved
from instrument_agent.core.errors import StoreUnavailable
from instrument_agent.core.observing import cut, is_left, left, next_boot, observe
from instrument_agent.core.observing import ended as ended_boot
from instrument_agent.core.readings import NS_PER_MS, NS_PER_S, Activity, FailedRead, UnknownReason
from instrument_agent.core.records import Fact, LifecycleWord, RecordType
from instrument_agent.core.sessions import Earlier
from instrument_agent.core.step import Event, State, begin
from instrument_agent.handover import Order, in_use, is_retired, owner_changed, transferred
from instrument_agent.lifetime import counters
from instrument_agent.poll.recorder import Recorder, Watched
from instrument_agent.standing_rules import Standing, announced_rules, announcement, standing_rules

log = logging.getLogger(__name__)

BOOTED_NS = 600 * NS_PER_S
"""So long a box may need from power to the agent; a box that is on for longer without one is not without power."""


@dataclass(frozen=True, slots=True)
class _Left:
    """Where the books of an instrument stand: ``ended`` closes the boot before, ``unseen`` is why nothing was seen."""

    standing: Standing
    state: State
    ended: tuple[State, tuple[Event, ...]] | None
    unseen: list[FailedRead]
    now_ns: int


class Resuming:
    """What the agent before this one left."""

    def __init__(self, store: Store, clock: Clock, checkpoint_s: float, order: Order | None = None) -> None:
        """Look at it, before this agent writes anything itself; ``order`` is carried out on the way."""
        self._store = store
        self._clock = clock
        self._checkpoint_ns = round(checkpoint_s * NS_PER_S)
        self._last = how_it_ended(store.path.parent, store)
        self._states = states(store)
        self._order = order

    def retire_from(self, config: Config) -> Config:
        """Close the books of what is out of use; return the config of what is left to be watched."""
        for instrument in config.instruments:
            order = self._ordered(instrument.id, LifecycleWord.RETIRED)
            try:
                if order is not None or (is_retired(self._store, instrument.id) and self._is_open(instrument.id)):
                    self._retire(instrument, order, config.box.timezone)
            except StoreUnavailable as error:  # then it goes on being watched
                log.error("%s is not retired: %s. %s", instrument.id, error, error.hint)
        for instrument_id in self._states.keys() - {item.id for item in config.instruments}:
            try:
                self._leave(instrument_id)
            except StoreUnavailable as error:  # then the next agent does it
                log.error("the books of %s stay open: %s. %s", instrument_id, error, error.hint)
        return in_use(config, self._store)

    def unwatched(self, config: Config) -> dict[str, State]:
        """Return the books of what is not watched any more, as ``retire_from`` closed them.

        What could not be closed is left to the next agent: nothing may be written after a run that is still open.
        """
        watched = {item.id for item in config.instruments}
        return {name: state for name, state in self._states.items() if name not in watched and is_left(state)}

    def take_up(self, instrument: InstrumentConfig, recorder: Recorder) -> None:
        """Go on with the books of an instrument, and say why nothing was seen in between.

        If it is another owner's by now, or is ordered to be, the books are closed here and new ones begun.
        """
        books = self._left(instrument.id, standing_rules(instrument, self._store))
        order = self._ordered(instrument.id, LifecycleWord.TRANSFERRED)
        state, boot_id = books.state, self._clock.boot_id
        spent_ns = time_spent_ns(self._store, instrument.id, boot_id)
        data, identity = announcement(instrument, books.standing), instrument.identity()
        before = configured_data(self._store, instrument.id).get("identity", {})
        closed, unseen, at_ns = None, books.unseen, books.now_ns
        if order is not None or owner_changed(before, identity):
            closed = _closed(books)
            state, spent_ns, at_ns = closed[0], dict.fromkeys(Activity, 0), closed[0].latest_ns
            unseen = unseen[-1:]
            log.warning("%s changes hands; its books begin anew", instrument.id)
        moved = still_moved(books.standing.rules, state.drift, at_ns)

        def write_first(change: Transaction) -> None:
            # In one transaction with the new state: a boot whose books are closed must never be closed again.
            if books.ended is not None:
                save_events(change, instrument.id, *books.ended)
            if closed is not None:
                save_events(change, instrument.id, *closed)
                told = transferred(before, identity, order)
                change.append(Fact(RecordType.LIFECYCLE_EVENT, boot_id, at_ns, told, instrument.id))
            announced = save_configured(change, instrument.id, boot_id, at_ns, data)
            if announced and moved is not None:
                save_events(change, instrument.id, state, (moved,))

        recorder.watch(instrument.id, Watched(books.standing.rules, state, spent_ns=spent_ns), write_first)
        for failed in unseen:
            recorder.take(instrument.id, failed)

    def _retire(self, instrument: InstrumentConfig, order: Order | None, zone: str) -> None:
        state = self._close(instrument.id, standing_rules(instrument, self._store))
        # What it did in all can be told only now. If this agent ends here, the instrument goes on being watched.
        if order is not None:
            told = {**order.data, "counters": counters(self._store, instrument.id, zone)}
            fact = Fact(RecordType.LIFECYCLE_EVENT, self._clock.boot_id, state.latest_ns, told, instrument.id)
            with self._store.write() as change:
                change.append(fact)
        log.warning("%s is retired; it is not watched any more", instrument.id)

    def _leave(self, instrument_id: str) -> None:
        """Close the books of an instrument that is no longer in the config file; put back, it goes on with new ones."""
        if not is_left(self._states[instrument_id]):
            self._close(instrument_id, announced_rules(instrument_id, self._store))
            log.warning("%s is not in the config file any more; it is not watched", instrument_id)

    def _close(self, instrument_id: str, standing: Standing) -> State:
        """Close the books of an instrument that is not watched any more; return them."""
        books = self._left(instrument_id, standing)
        state, events = _closed(books)
        state = left(state)
        with self._store.write() as change:
            if books.ended is not None:
                save_events(change, instrument_id, *books.ended)
            save_events(change, instrument_id, state, events)
            save_state(change, instrument_id, state)
        self._states[instrument_id] = state
        return state

    def _left(self, instrument_id: str, standing: Standing) -> _Left:
        """Return where the books of an instrument stand in this boot."""
        now_ns, boot_id = self._clock.boottime_ns(), self._clock.boot_id
        state, ended = self._states.get(instrument_id), None
        if state is not None and state.boot_id != boot_id:
            # Between two checkpoints nothing was written: for so long it may have gone on.
            uncertain_ns = max(self._checkpoint_ns, self._unsaved_to_ns(state) - state.last_seen_ns)
            ended = ended_boot(standing.rules, state, uncertain_ns)
            state = next_boot(state, boot_id, _open_at_end(state))
        elif state is None:
            state = begin(boot_id, now_ns)
        known = instrument_id in self._states
        whys = self._why_unseen(self._states[instrument_id], state, now_ns) if known else []
        # The last of them holds up to now.
        unseen = [FailedRead(at_ns, why) for at_ns, why in (*whys, *((now_ns, why) for _at_ns, why in whys[-1:]))]
        return _Left(standing, state, ended, unseen, now_ns)

    def _ordered(self, instrument_id: str, event: LifecycleWord) -> Order | None:
        order = self._order
        return order if order is not None and (order.instrument_id, order.event) == (instrument_id, event) else None

    def _is_open(self, instrument_id: str) -> bool:
        state = self._states.get(instrument_id)
        return state is not None and (state.power is not None or state.line.open.start_ns < state.line.open.end_ns)

    def _unsaved_to_ns(self, state: State) -> int:
        """Return up to where, in the boot of a state, the last agent could write nothing down; -1 if it could."""
        last = self._last
        if last is None or last.stopped_ns is None or not last.unsaved or last.boot_id != state.boot_id:
            return -1
        return last.stopped_ns

    def _why_unseen(self, before: State, state: State, now_ns: int) -> list[tuple[int, UnknownReason]]:
        """Return why nothing was seen since ``before`` was written down, each with the time from which on it holds.

        ``state`` is what becomes of it in this boot.
        """
        if is_left(before):
            return [(state.latest_ns, UnknownReason.NOT_WATCHED)]
        unsaved_to_ns = self._unsaved_to_ns(state)
        if unsaved_to_ns >= state.latest_ns:
            return [(state.latest_ns, UnknownReason.STORAGE_FAULT), (unsaved_to_ns, UnknownReason.AGENT_STOPPED)]
        if self._last is not None and self._last.stopped_ns is not None:
            return [(state.latest_ns, UnknownReason.AGENT_STOPPED)]
        if before.boot_id == self._clock.boot_id:
            return [(state.latest_ns, UnknownReason.AGENT_CRASHED)]
        dark = [(state.latest_ns, UnknownReason.POWER_LOSS), (BOOTED_NS, UnknownReason.AGENT_STOPPED)]
        return dark[: 2 if now_ns > BOOTED_NS else 1]


def _open_at_end(state: State) -> Earlier | None:
    """Return the run that was open when a boot ended."""
    return Earlier(state.boot_id, state.open_run.start_ns) if state.open_run is not None else None


def _closed(books: _Left) -> tuple[State, tuple[Event, ...]]:
    """Close books now, on a whole millisecond, so that the record of it names the very instant."""
    state, events = books.state, list[Event]()
    for failed in books.unseen:
        reading = replace(failed, at_ns=max(failed.at_ns, state.latest_ns))
        state, more = observe(books.standing.rules, state, reading)
        events += more
    at_ns = -(-max(books.now_ns, state.latest_ns) // NS_PER_MS) * NS_PER_MS
    state, more = cut(books.standing.rules, state, at_ns)
    return state, (*events, *more)
