"""A loop that dies is noticed, one that is stuck is seen, and one that waits is alive."""

import logging
import threading
import time
from collections.abc import Callable

import pytest
from fake_clock import FakeClock

from instrument_agent.worker import SLICE_S, Worker


class Loop(Worker):
    """Does what it is given."""

    def __init__(self, clock: FakeClock, work: Callable[["Loop"], None], stuck_after_s: float = 10.0) -> None:
        super().__init__("loop", clock, stuck_after_s)
        self.work = work
        self.died = threading.Event()
        self.left = threading.Event()
        self.on_death = self.died.set

    def loop(self) -> None:
        self.work(self)

    def leave(self) -> None:
        self.left.set()


@pytest.fixture
def start(clock: FakeClock, started: list[Worker]) -> Callable[..., Loop]:
    def start(work: Callable[[Loop], None], stuck_after_s: float = 10.0) -> Loop:
        loop = Loop(clock, work, stuck_after_s)
        loop.start()
        started.append(loop)
        return loop

    return start


Start = Callable[..., Loop]


def until_stopped(loop: Loop) -> None:
    while not loop.stopping.is_set():
        loop.idle(loop.stopping, 3600.0)


@pytest.mark.parametrize("error", [RuntimeError("bug"), SystemExit(2)], ids=repr)
def test_a_loop_that_raises_is_reported_dead(
    start: Start, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_loop: Loop) -> None:
        raise error

    loop = start(fail)
    assert loop.died.wait(10)
    assert loop.left.wait(10)
    assert [(record.levelno, bool(record.exc_info)) for record in caplog.records] == [(logging.CRITICAL, True)]


def test_a_loop_that_ends_without_being_told_to_is_reported_dead(start: Start) -> None:
    loop = start(lambda _loop: None)
    assert loop.died.wait(10)
    assert loop.left.wait(10)


def test_a_loop_that_was_told_to_end_is_not_dead(start: Start, clock: FakeClock) -> None:
    loop = start(until_stopped)
    clock.await_waiting()
    loop.stop()
    assert loop.left.wait(10)
    loop.join(10)
    assert not loop.died.is_set()


def test_a_loop_without_progress_is_stuck_until_it_goes_on(start: Start, clock: FakeClock) -> None:
    go_on = threading.Event()

    def hang(loop: Loop) -> None:
        assert go_on.wait(10)
        until_stopped(loop)

    loop = start(hang, stuck_after_s=0.05)
    assert not loop.stuck
    end_s = time.monotonic() + 10
    while not loop.stuck:
        assert time.monotonic() < end_s
    go_on.set()
    clock.await_waiting()
    assert not loop.stuck


def test_a_loop_that_does_not_run_is_not_stuck(clock: FakeClock) -> None:
    assert not Loop(clock, until_stopped, stuck_after_s=-1.0).stuck


def test_waiting_long_is_progress_in_every_slice(start: Start, clock: FakeClock) -> None:
    loop = start(until_stopped)
    clock.await_waiting()
    progress = [loop._progress_s]
    for _ in range(5):
        clock.advance(SLICE_S)
        clock.await_waiting()
        progress.append(loop._progress_s)
    assert sorted(set(progress)) == progress


def test_waiting_ends_early_when_its_event_comes_and_says_so(start: Start, clock: FakeClock) -> None:
    answers: list[bool] = []

    def wait_twice(loop: Loop) -> None:
        answers.append(loop.idle(loop.wake, 1000.0))
        loop.wake.clear()
        answers.append(loop.idle(loop.wake, 12.0))
        until_stopped(loop)

    loop = start(wait_twice)
    clock.await_waiting()
    loop.wake.set()
    clock.run_until(lambda: len(answers) == 2, within_s=13)
    assert answers == [True, False]
    assert clock.now_s == 1012.0


def test_waiting_for_a_moment_that_is_past_returns_at_once(clock: FakeClock) -> None:
    loop = Loop(clock, until_stopped)
    event = threading.Event()
    assert not loop.idle(event, -5.0)
    event.set()
    assert loop.idle(event, -5.0)


def test_stopping_wakes_a_loop_that_waits_for_work(start: Start, clock: FakeClock) -> None:
    def work(loop: Loop) -> None:
        while not loop.stopping.is_set():
            loop.idle(loop.wake, 3600.0)

    loop = start(work)
    clock.await_waiting()
    loop.stop()
    loop.join(10)
    assert not loop.is_alive()
