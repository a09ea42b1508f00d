"""What is kept of the readings themselves: ten-second buckets always, every reading around the edges of a run.

Where a run begins or ends is known only after its minimum time. So from the moment a value stands on the other side,
the readings before it are held and those after it added; they are written down if the edge turns out to be one.
"""

from collections import deque

from instrument_agent.buffer.store import Transaction
from instrument_agent.buffer.traces import BUCKET_MS, Bucket, Seen, save_buckets, save_edge
from instrument_agent.core.activity import Rules, judged_number
from instrument_agent.core.readings import NS_PER_MS, NS_PER_S, Observation, Reading, UnknownReason, Value
from instrument_agent.core.sessions import RunSession
from instrument_agent.core.step import Event, State

AROUND_NS = 120 * NS_PER_S
"""How long before and after an edge every reading is kept,"""
AROUND_MOST = 600
"""but no more than so many on each side: an instrument may be read twenty times a second."""
LIKELY_MOST = 4
"""Edges that may yet be dated: the newest, and some before it whose proof waits for the power switch."""
BUCKET_NS = BUCKET_MS * NS_PER_MS
ROW_BUCKETS = 60
"""Buckets wait for ten minutes of them: rows at every checkpoint would wear out the card of a box with many."""


class Tracer:
    """The recent readings of one instrument in memory, until they are written down."""

    def __init__(self, rules: Rules, state: State) -> None:
        self._rules = rules
        self._boot_id = state.boot_id
        self._run_ns: int | None = None
        self._ring: deque[Seen] = deque(maxlen=AROUND_MOST)
        self._likely: dict[int, list[Seen]] = {}
        self._edges: dict[int, list[Seen]] = {}
        self._buckets: list[Bucket] = []
        self._open: Bucket | None = None

    def see(self, reading: Reading, state: State, events: tuple[Event, ...]) -> None:
        """Take a reading, the state after it and what became certain by it."""
        run = state.open_run
        if events or (run is not None and run.start_ns != self._run_ns):
            self._confirm(state, events)
        candidate_ns = None if state.run is None else state.run.candidate_ns
        if candidate_ns is not None and candidate_ns not in self._likely:
            self._likely[candidate_ns] = list(self._ring)
            if len(self._likely) > LIKELY_MOST:
                del self._likely[next(iter(self._likely))]
        if not isinstance(reading, Observation):
            self._hold(reading.at_ns, reading.reason, counts=False)
        elif self._rules.channel in reading.values:
            value = reading.values[self._rules.channel]
            self._hold(reading.at_ns, value, counts=value is not None)
            number = judged_number(self._rules, value)
            if number is not None:
                self._add(reading.at_ns // BUCKET_NS, number)

    def save(self, change: Transaction, instrument_id: str, now_ns: int, *, all_of_it: bool) -> None:
        """Write down what is complete, or all there is; ``clear`` is to follow once it is on the disk."""
        buckets = [*self._buckets, self._open] if all_of_it and self._open is not None else self._buckets
        if buckets and self._due(all_of_it=all_of_it):
            save_buckets(change, instrument_id, self._boot_id, buckets)
        for at_ns in self._complete(now_ns, all_of_it=all_of_it):
            if self._edges[at_ns]:
                save_edge(change, instrument_id, self._boot_id, self._edges[at_ns])

    def clear(self, now_ns: int, *, all_of_it: bool) -> None:
        """Forget what ``save`` wrote, or could not write: facts must not wait for traces, nor memory grow by them."""
        if self._due(all_of_it=all_of_it):
            self._buckets = []
        self._open = None if all_of_it else self._open
        for at_ns in self._complete(now_ns, all_of_it=all_of_it):
            del self._edges[at_ns]

    def _due(self, *, all_of_it: bool) -> bool:
        waiting = self._buckets
        return all_of_it or bool(waiting and waiting[-1].number - waiting[0].number >= ROW_BUCKETS - 1)

    def _complete(self, now_ns: int, *, all_of_it: bool) -> list[int]:
        return [at_ns for at_ns in self._edges if all_of_it or now_ns > at_ns + AROUND_NS]

    def _confirm(self, state: State, events: tuple[Event, ...]) -> None:
        """Keep the readings around every edge that is certain now."""
        certain = [event.end_ns for event in events if isinstance(event, RunSession)]
        if state.open_run is not None and state.open_run.start_ns != self._run_ns:
            certain.append(state.open_run.start_ns)
        self._run_ns = None if state.open_run is None else state.open_run.start_ns
        for at_ns in certain:
            held = self._likely.pop(at_ns, None)
            if held is None:  # seen first, or last, beside a silence
                held = [seen for seen in self._ring if abs(seen[0] * NS_PER_MS - at_ns) <= AROUND_NS]
            self._edges[at_ns] = held

    def _hold(self, at_ns: int, value: Value | UnknownReason, *, counts: bool) -> None:
        """Keep what was read; of answers that tell nothing only the first of a kind in a row."""
        ring = self._ring
        if not counts and ring and ring[-1][1] is value:
            return
        seen: Seen = (at_ns // NS_PER_MS, value)
        while counts and ring and ring[0][0] < seen[0] - AROUND_NS // NS_PER_MS:
            ring.popleft()
        ring.append(seen)
        for held in (self._likely, self._edges):
            for edge_ns, readings in held.items():
                if at_ns <= edge_ns + AROUND_NS and len(readings) < 2 * AROUND_MOST:
                    readings.append(seen)

    def _add(self, number: int, value: float) -> None:
        now = self._open
        if now is None or now.number != number:
            if now is not None:
                self._buckets.append(now)
            self._open = Bucket(number, value, value, value, 1)
            return
        count = now.count + 1
        mean = now.mean + (value - now.mean) / count
        self._open = Bucket(number, min(now.low, value), mean, max(now.high, value), count)
