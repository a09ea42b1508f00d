"""One box of a fleet from boot to end, on a clock that jumps, and the count of what its platform gets of it.

The box is the agent's own: `Heartbeat.loop` and `Delivery.loop` with their retry policy and their waits, run from boot
to end on a clock of its own that jumps from one awaited moment to the next. Simulated are the clock, the network (an
answer in 50 ms, or a refused connection while the platform is away) and the log (a count of records).
"""

import logging
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil
from threading import Event
from typing import Any, NoReturn

from instrument_agent import worker
from instrument_agent.buffer.outbox import Batch, Entry
from instrument_agent.core.errors import PlatformUnavailable
from instrument_agent.core.readings import NS_PER_S
from instrument_agent.upkeep import days_every_ns
from instrument_agent.uplink.answers import Reply
from instrument_agent.uplink.delivery import Delivery
from instrument_agent.uplink.heartbeat import Heartbeat, phase
from instrument_agent.uplink.retry import first_contact_s

HEARTBEAT_S, SPREAD_S, BATCH = 60.0, 300.0, 500
"""The defaults of the config."""
ANSWER_S = 0.05
CHANGES_A_DAY = 100
"""Begin and end of 50 runs; each is told at once by heartbeat and makes a record."""
DAY_S = 86_400
STEADY_S = 60
"""The steady load is that of the last minute before the event."""


@dataclass(frozen=True)
class Scenario:
    """What happens, in seconds since all boxes booted: the platform is away from ``down_s`` to ``up_s``."""

    name: str
    event_s: int
    end_s: int
    down_s: int = 0
    up_s: int = 0
    together: tuple[float, float] | None = None
    """Between these seconds each box has one change that all others have too."""
    closes_day: bool = False
    """The event is a midnight, after which each box closes a day at its next look at the calendar."""


@dataclass
class Count:
    """Requests in each second: those the platform got, and those that found nobody."""

    arrived: list[int]
    heartbeats: list[int]
    in_vain: list[int]

    @classmethod
    def of(cls, seconds: int) -> "Count":
        """Return an empty count."""
        return cls(*([0] * seconds for _ in range(3)))

    def add(self, other: "Count") -> None:
        """Take in what other boxes did."""
        for mine, its in zip(vars(self).values(), vars(other).values(), strict=True):
            mine[:] = [a + b for a, b in zip(mine, its, strict=True)]

    def worst(self, from_s: int, over_s: int = 1) -> float:
        """Return the most requests a second from ``from_s`` on, averaged over so many seconds."""
        return max(sum(self.arrived[at : at + over_s]) / over_s for at in range(from_s, len(self.arrived) - over_s + 1))

    def steady(self, until_s: int) -> float:
        """Return the heartbeats a second in the last minute before ``until_s``."""
        return sum(self.heartbeats[until_s - STEADY_S : until_s]) / STEADY_S


class Over(BaseException):
    """The end of a life."""


class BoxClock:
    """A clock that nobody waits for."""

    boot_id = "00000000-0000-4000-8000-000000000000"

    def __init__(self, end_s: float, changes_s: Sequence[float]) -> None:
        self.now_ns = 0
        self._end_ns = round(end_s * NS_PER_S)
        self._changes_ns = iter([*(round(at * NS_PER_S) for at in changes_s), 2 * self._end_ns])
        self._next_ns = next(self._changes_ns)
        self.changed: Callable[[], None] = lambda: None

    def boottime_ns(self) -> int:
        """Return the time of this box."""
        return self.now_ns

    def utc_ns(self) -> NoReturn:
        """Never asked."""
        raise NotImplementedError

    def wait(self, event: Event, seconds: float) -> bool:
        """Jump to the end of the wait, or to the change that ends it."""
        until_ns = self.now_ns + round(seconds * NS_PER_S)
        while not event.is_set():
            if self._next_ns > until_ns:
                self.now_ns = until_ns
                break
            self.now_ns = self._next_ns
            self._next_ns = next(self._changes_ns)
            self.changed()
        if self.now_ns >= self._end_ns:
            raise Over
        return event.is_set()


class Network:
    """The way of one box to the platform."""

    def __init__(self, scenario: Scenario, clock: BoxClock, count: Count) -> None:
        self._scenario, self._clock, self._count = scenario, clock, count

    def heartbeat(self, body: Mapping[str, Any]) -> Reply:
        """Count a heartbeat."""
        del body
        return self._exchange({}, self._count.heartbeats)

    def records(self, envelope: Mapping[str, Any]) -> Reply:
        """Count a batch and acknowledge all of it."""
        last = envelope["records"][-1]["record"]["seq"]
        return self._exchange({"epoch": envelope["epoch"], "acked_through": last, "rejected": []})

    def watermark(self) -> Reply:
        """Count a question."""
        return self._exchange({"epochs": []})

    def _exchange(self, body: dict[str, Any], also: list[int] | None = None) -> Reply:
        second = self._clock.now_ns // NS_PER_S
        self._clock.now_ns += round(ANSWER_S * NS_PER_S)
        if second >= self._scenario.end_s:
            raise Over
        if self._scenario.down_s <= second < self._scenario.up_s:
            self._count.in_vain[second] += 1
            raise PlatformUnavailable("connection refused")
        for counted in (self._count.arrived, also):
            if counted is not None:
                counted[second] += 1
        return Reply(body, ANSWER_S, self._clock.now_ns)


@dataclass
class Log:
    """The log of one box as its delivery sees it; at a start a record of the last epoch and three new ones wait."""

    waiting: list[tuple[str, int]] = field(default_factory=lambda: [("old", 9), ("new", 1), ("new", 2), ("new", 3)])
    seq: int = 3
    store: Any = None

    def rows(self, _sql: str, _values: tuple[object, ...] = ()) -> list[Any]:
        """Return nothing: no record is to be sent again."""
        return []

    def grow(self) -> None:
        """Write a record."""
        self.seq += 1
        self.waiting.append(("new", self.seq))

    def next_batch(self, limit: int) -> Batch | None:
        """Return what waits, of one epoch."""
        if not self.waiting:
            return None
        epoch = self.waiting[0][0]
        seqs = [seq for its, seq in self.waiting if its == epoch][:limit]
        body = '{{"seq":{0},"boot_id":"","at_ms":0}}'
        return Batch(epoch, tuple(Entry(seq, seq, body.format(seq), "") for seq in seqs))

    def settle(self, last_id: int, *_more: object) -> None:
        """Forget what has arrived."""
        epoch = self.waiting[0][0]
        self.waiting = [(its, seq) for its, seq in self.waiting if its != epoch or seq > last_id]

    def last_seq(self, _epoch: str) -> int:
        """Return how far the log goes."""
        return 1_000_000

    def lost_there(self, _there: Mapping[str, int]) -> None:
        """Say that nothing was lost."""

    def note_high_water(self, *_what: object) -> None:
        """Take no notice."""

    note_strange = note_high_water


class Anchors:
    """What a box knows of UTC: the first reply tells it, and that makes a record."""

    def __init__(self, log: Log) -> None:
        self.anchored = Event()
        self._log = log

    def offer(self, _reply: Reply, _destination: str, _received_ns: int) -> None:
        """Take the first."""
        if not self.anchored.is_set():
            self.anchored.set()
            self._log.grow()

    def utc(self, _boot_id: str, _boottime_ns: int) -> None:
        """Not beside the records here."""


def closing_s(scenario: Scenario, box_id: str) -> float:
    """Return when a box closes its day: it looks at the calendar from its start on, again and again."""
    every_s = days_every_ns(box_id) / NS_PER_S
    return ceil(scenario.event_s / every_s) * every_s


def changes_of(scenario: Scenario) -> list[float]:
    """Return when the instrument of a box changes."""
    found, at_s = [], 0.0
    while (at_s := at_s + random.expovariate(CHANGES_A_DAY / DAY_S)) < scenario.end_s:
        found.append(at_s)
    return sorted(found if scenario.together is None else [*found, random.uniform(*scenario.together)])


def live(scenario: Scenario, number: int, count: Count) -> None:
    """Live the life of one box: its two loops see the same instrument and keep the same quiet at first."""
    box_id, changes_s = f"box-{number}", changes_of(scenario)
    quiet_s = first_contact_s(SPREAD_S, 0)
    clock = BoxClock(scenario.end_s, changes_s)
    way: Any = Network(scenario, clock, count)
    anchors: Any = Anchors(Log())
    heartbeat = Heartbeat("p", way, clock, anchors, HEARTBEAT_S * phase(box_id), lambda: {"box_id": box_id})
    clock.changed = heartbeat.wake.set
    clock = BoxClock(scenario.end_s, changes_s)
    log: Any = Log()
    log.store = log
    way, anchors = Network(scenario, clock, count), Anchors(log)
    if scenario.closes_day:  # a record, and no change that a heartbeat tells
        clock = BoxClock(scenario.end_s, sorted([*changes_s, closing_s(scenario, box_id)]))
        way = Network(scenario, clock, count)
    delivery = Delivery("p", log, way, clock, anchors, BATCH)
    clock.changed = lambda: (log.grow(), delivery.wake.set())
    for loop in (heartbeat, delivery):
        loop.first_contact_after_s = quiet_s
        try:
            loop.loop()
        except Over:
            continue


@contextmanager
def unwatched() -> Iterator[None]:
    """Let loops wait in one piece, as no watchdog wants a sign of life every five seconds, and without a word."""
    logging.disable(logging.CRITICAL)
    slice_s, worker.SLICE_S = worker.SLICE_S, float(DAY_S)
    try:
        yield
    finally:
        worker.SLICE_S = slice_s
        logging.disable(logging.NOTSET)
