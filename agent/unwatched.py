"""Instruments whose books are open though they are not watched any more: the last day in which they were is counted."""

from collections.abc import Mapping

from instrument_agent.buffer.books import save_events, save_state
from instrument_agent.buffer.store import Store
from instrument_agent.core.observing import left, left_until
from instrument_agent.core.step import State
from instrument_agent.daybook import Daybook


class Unwatched:
    """What is retired or no longer in the config file, with the books as they were written last (``states``)."""

    def __init__(self, store: Store, daybook: Daybook, states: Mapping[str, State]) -> None:
        self._store = store
        self._daybook = daybook
        self._states = dict(states)
        self._told: set[str] = set()

    @property
    def states(self) -> Mapping[str, State]:
        """The books of those of which a day may not be counted yet."""
        return self._states

    def close_due(self, boot_id: str, now_ns: int) -> None:
        """Close the days that can be closed by now, up to the last in which each instrument was watched.

        Raises:
            StoreUnavailable: the database cannot be used.
        """
        for instrument_id, state in list(self._states.items()):
            now = left_until(state, boot_id, now_ns)
            if not self._daybook.owes(instrument_id, now):
                del self._states[instrument_id]
            # At once, too, so that no day takes the time after this boot, or before it, for time without power.
            elif instrument_id not in self._told or self._daybook.is_due(instrument_id, now):
                self._told.add(instrument_id)
                self._states[instrument_id] = self._write(instrument_id, now)
                self._close(instrument_id)

    def _write(self, instrument_id: str, now: State) -> State:
        state, since = left(now), now.line.open
        with self._store.write() as change:
            save_events(change, instrument_id, now, (since,) if since.start_ns < since.end_ns else ())
            save_state(change, instrument_id, state)
        return state

    def _close(self, instrument_id: str) -> None:
        state = self._states[instrument_id]
        while self._daybook.owes(instrument_id, state) and self._daybook.is_due(instrument_id, state):
            self._daybook.close_next(instrument_id, state)
