"""A line on which some devices do not answer: the others keep their schedule, and who comes back is seen."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest
from boxes import STANDBY_W, lost, opened, watching
from fake_clock import FakeClock

from instrument_agent.core.readings import NS_PER_S, Channel, UnknownReason, Value
from instrument_agent.poll.bus import Bus, Station
from instrument_agent.poll.guard import LONGEST_BACKOFF_S, Guard
from instrument_agent.poll.probing import WHOLE_EVERY_S

TIMEOUT_S = 1.0


@dataclass
class Slave:
    """A device that takes ``answer_s`` for an answer, or however long it is given if it is dead."""

    clock: FakeClock
    answer_s: float = 0.08
    dead: bool = False
    read_s: list[float] = field(default_factory=list)
    given_s: list[float] = field(default_factory=list)

    @property
    def channels(self) -> Sequence[Channel]:
        return [Channel("power_w", "W", 0.0, 5000.0)]

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass

    def read(self, timeout_s: float) -> Mapping[str, Value]:
        self.read_s.append(self.clock.now_s)
        self.given_s.append(timeout_s)
        answers = not self.dead and self.answer_s <= timeout_s
        self.clock.advance(self.answer_s if answers else timeout_s)
        if not answers:
            raise lost()
        return {"power_w": STANDBY_W}


class Shared:
    """A bus with slaves that are polled once a second."""

    def __init__(self, directory: Path, clock: FakeClock, slaves: Sequence[Slave]) -> None:
        self.clock = clock
        self.slaves = slaves
        names = [f"slave-{number}" for number in range(len(slaves))]
        self._opened = opened(directory, clock)
        self.recorder = watching(self._opened.__enter__(), clock, *names)
        self.bus = Bus("line", clock, self.recorder, 10.0)
        for name, slave in zip(names, slaves, strict=True):
            self.bus.add(Station(name, Guard(name, slave, clock, TIMEOUT_S, 1.0), NS_PER_S))

    def run(self, seconds: float) -> None:
        end_s = self.clock.now_s + seconds
        while self.bus.due_ns / NS_PER_S < end_s:
            self.clock.advance(max(0.0, self.bus.due_ns / NS_PER_S - self.clock.now_s))
            self.bus.read_next()
        self.clock.advance(max(0.0, end_s - self.clock.now_s))

    def close(self) -> None:
        self.bus.leave()
        self._opened.__exit__(None, None, None)


@pytest.fixture
def half_dead(tmp_path: Path, clock: FakeClock) -> Iterator[Shared]:
    """Eight slaves on a line, every second one dead; the circuits are open."""
    shared = Shared(tmp_path, clock, [Slave(clock, dead=number % 2 == 1) for number in range(8)])
    shared.run(30)
    yield shared
    shared.close()


def polls(slave: Slave, since_s: float) -> list[float]:
    return [at_s for at_s in slave.read_s if at_s >= since_s]


def test_half_of_the_slaves_dead_costs_the_others_hardly_a_poll(half_dead: Shared, clock: FakeClock) -> None:
    since_s = clock.now_s
    half_dead.run(300)
    for slave in half_dead.slaves[::2]:
        asked_s = polls(slave, since_s)
        assert len(asked_s) >= 0.96 * 300
        late = [at_s for at_s in asked_s if at_s % 1 > 0.33]  # four answers of 0.08 s, and nothing else
        assert len(late) <= 0.04 * 300
        assert max(after - before for before, after in pairwise(asked_s)) <= 1 + 2 * TIMEOUT_S


def test_a_schedule_that_was_disturbed_does_not_drift(half_dead: Shared, clock: FakeClock) -> None:
    half_dead.run(150)
    for slave in half_dead.slaves[1::2]:
        slave.dead = False
    half_dead.run(60)
    since_s = clock.now_s
    half_dead.run(60)
    for slave in half_dead.slaves[::2]:
        assert len(polls(slave, since_s)) == 60
        assert all(at_s % 1 < 0.7 for at_s in polls(slave, since_s))


def test_dead_slaves_are_tried_one_at_a_time_and_all_of_them(half_dead: Shared, clock: FakeClock) -> None:
    since_s = clock.now_s
    half_dead.run(300)
    dead, alive = half_dead.slaves[1::2], half_dead.slaves[0]
    for slave in dead:
        tries_s = polls(slave, since_s)
        assert max(after - before for before, after in pairwise(tries_s)) <= 18
    tries_s = sorted(at_s for slave in dead for at_s in polls(slave, since_s))
    turns_s = polls(alive, since_s)
    for before, after in pairwise(turns_s):
        assert sum(before < at_s < after for at_s in tries_s) <= 1


def test_a_slave_that_comes_back_is_seen_within_fifteen_seconds_and_a_poll(half_dead: Shared, clock: FakeClock) -> None:
    for slave in half_dead.slaves[1::2]:
        half_dead.run(37)
        slave.dead, back_s = False, clock.now_s
        half_dead.run(LONGEST_BACKOFF_S + 2)
        health = half_dead.bus.health()[f"slave-{half_dead.slaves.index(slave)}"]
        assert health.failing is None
        assert polls(slave, back_s)[0] - back_s <= LONGEST_BACKOFF_S + 2


def test_a_slave_too_slow_for_the_pauses_is_seen_again_all_the_same(half_dead: Shared) -> None:
    slow = half_dead.slaves[3]
    slow.dead, slow.answer_s = False, 0.9
    half_dead.run(4 * WHOLE_EVERY_S + 20)
    assert half_dead.bus.health()["slave-3"].failing is None


def test_on_a_line_without_pauses_the_dead_are_tried_for_a_small_share_of_its_time(
    tmp_path: Path, clock: FakeClock
) -> None:
    busy = [Slave(clock, answer_s=0.4), Slave(clock, answer_s=0.4), Slave(clock, answer_s=0.4), Slave(clock, dead=True)]
    shared = Shared(tmp_path, clock, busy)
    shared.run(30)
    since_s = clock.now_s
    shared.run(1000)
    tried_s = polls(busy[3], since_s)
    assert 20 <= len(tried_s) <= 50
    for slave in busy[:3]:
        assert len(polls(slave, since_s)) >= 0.92 * 1000 / 2
    assert shared.recorder.live("slave-3").reason is UnknownReason.DRIVER_UNAVAILABLE
    shared.close()


def test_where_nobody_answers_everybody_gets_its_whole_timeout(tmp_path: Path, clock: FakeClock) -> None:
    dead = [Slave(clock, dead=True) for _ in range(4)]
    shared = Shared(tmp_path, clock, dead)
    shared.run(200)
    assert {time_s for slave in dead for time_s in slave.given_s} == {TIMEOUT_S}
    for slave in dead:
        slave.dead = False
    shared.run(LONGEST_BACKOFF_S + 2 + 4 * TIMEOUT_S)
    assert all(health.failing is None for health in shared.bus.health().values())
    shared.close()


def test_where_the_pauses_are_too_short_for_an_answer_who_comes_back_is_seen_as_soon(
    tmp_path: Path, clock: FakeClock
) -> None:
    """Four meters of three blocks each at 9600 baud take 0.58 s of every second."""
    shared = Shared(tmp_path, clock, [Slave(clock, answer_s=0.146, dead=number > 3) for number in range(8)])
    shared.run(150)
    since_s = clock.now_s
    for slave in shared.slaves[4:]:
        slave.dead = False
        shared.run(LONGEST_BACKOFF_S + 4)
        health = shared.bus.health()[f"slave-{shared.slaves.index(slave)}"]
        assert health.failing is None
        slave.dead = True
        shared.run(60)
    for slave in shared.slaves[:4]:
        assert len(polls(slave, since_s)) >= 0.93 * (clock.now_s - since_s)
    shared.close()


def test_whole_timeouts_go_round_among_the_dead(half_dead: Shared) -> None:
    dead = half_dead.slaves[1::2]
    for slave in dead:
        slave.given_s.clear()
    half_dead.run(1200)
    turns = [slave.given_s.count(TIMEOUT_S) for slave in dead]
    assert min(turns) >= 2
    assert max(turns) - min(turns) <= 1
