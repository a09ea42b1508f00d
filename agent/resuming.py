"""Takes up the books of each instrument where they were left."""

from instrument_agent.buffer.books import save_configured, save_events, states, time_spent_ns
from instrument_agent.buffer.stopnote import how_it_ended
from instrument_agent.buffer.store import Store, Transaction
from instrument_agent.clock import Clock
from instrument_agent.config import InstrumentConfig
from instrument_agent.core.drift import standing as still_moved
from instrument_agent.core.observing import ended as ended_boot
from instrument_agent.core.observing import next_boot
from instrument_agent.core.readings import NS_PER_S, FailedRead, UnknownReason
from instrument_agent.core.sessions import Earlier
from instrument_agent.core.step import State, begin
from instrument_agent.poll.recorder import Recorder, Watched
from instrument_agent.standing_rules import announcement, standing_rules


class Resuming:
    """What the agent before this one left."""

    def __init__(self, store: Store, clock: Clock, checkpoint_s: float) -> None:
        """Look at it, before this agent writes anything itself."""
        self._store = store
        self._clock = clock
        self._checkpoint_ns = round(checkpoint_s * NS_PER_S)
        self._last = how_it_ended(store.path.parent, store)
        self._states = states(store)

    def take_up(self, instrument: InstrumentConfig, recorder: Recorder) -> None:
        """Go on with the books of an instrument, and say why nothing was seen in between."""
        now_ns, boot_id = self._clock.boottime_ns(), self._clock.boot_id
        standing = standing_rules(instrument, self._store)
        state, ended = self._states.get(instrument.id), None
        spent_ns = time_spent_ns(self._store, instrument.id, boot_id)
        if state is not None and state.boot_id != boot_id:
            # Between two checkpoints nothing was written: for so long it may have gone on.
            uncertain_ns = max(self._checkpoint_ns, self._unsaved_to_ns(state) - state.last_seen_ns)
            ended = ended_boot(standing.rules, state, uncertain_ns)
            state = next_boot(state, boot_id, _open_at_end(state))
        elif state is None:
            state = begin(boot_id, now_ns)
        data = announcement(instrument, standing)
        moved = still_moved(standing.rules, state.drift, now_ns)

        def write_first(change: Transaction) -> None:
            # In one transaction with the new state: a boot whose books are closed must never be closed again.
            if ended is not None:
                save_events(change, instrument.id, *ended)
            announced = save_configured(change, instrument.id, boot_id, now_ns, data)
            if announced and moved is not None:
                save_events(change, instrument.id, state, (moved,))

        recorder.watch(instrument.id, Watched(standing.rules, state, spent_ns=spent_ns), write_first)
        if instrument.id in self._states:
            unsaved_to_ns = self._unsaved_to_ns(state)
            if unsaved_to_ns >= state.latest_ns:
                for reason in (UnknownReason.STORAGE_FAULT, UnknownReason.AGENT_STOPPED):
                    recorder.take(instrument.id, FailedRead(unsaved_to_ns, reason))
            recorder.take(instrument.id, FailedRead(now_ns, self._why_unseen(self._states[instrument.id])))

    def _unsaved_to_ns(self, state: State) -> int:
        """Return up to where, in the boot of a state, the last agent could write nothing down; -1 if it could."""
        last = self._last
        if last is None or last.stopped_ns is None or not last.unsaved or last.boot_id != state.boot_id:
            return -1
        return last.stopped_ns

    def _why_unseen(self, state: State) -> UnknownReason:
        if self._last is not None and self._last.stopped_ns is not None:
            return UnknownReason.AGENT_STOPPED
        same_boot = state.boot_id == self._clock.boot_id
        return UnknownReason.AGENT_CRASHED if same_boot else UnknownReason.POWER_LOSS


def _open_at_end(state: State) -> Earlier | None:
    """Return the run that was open when a boot ended."""
    return Earlier(state.boot_id, state.open_run.start_ns) if state.open_run is not None else None
