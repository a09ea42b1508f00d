"""An hour in a minute, the same for every process."""

import threading
import time
from fractions import Fraction
from math import floor

import pytest

from instrument_agent.clock import Clock
from instrument_agent.sandbox.scaled_clock import ScaledClock

DAY_NS = 86_400_000_000_000


def now_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def scaled(speed: float, origin_ns: int) -> ScaledClock:
    clock: Clock = ScaledClock(speed, origin_ns, 1_700_000_000_000_000_000, "2f6b1d0e-8a51-4c39-9a57-9d2d0d6f1c11")
    assert isinstance(clock, ScaledClock)
    return clock


@pytest.mark.parametrize("speed", [1, 1.0, 60.0, 0.5, 2.5, 0.1])
def test_it_passes_speed_times_as_fast_to_the_nanosecond(speed: float) -> None:
    origin = now_ns() - 10**24  # so long ago that a product of floats would be off by more than the test takes
    clock = scaled(speed, origin)
    before = now_ns()
    boottime = clock.boottime_ns()
    after = now_ns()
    exact = Fraction(speed)
    assert floor(exact * (before - origin)) <= boottime - origin <= floor(exact * (after - origin))


def test_two_processes_with_the_same_origin_agree() -> None:
    origin = now_ns()
    one, other = scaled(60.0, origin), scaled(60.0, origin)
    readings = [clock.boottime_ns() for _ in range(200) for clock in (one, other)]
    assert readings == sorted(readings)
    assert one.boot_id == other.boot_id


def test_utc_keeps_step_with_the_boot_clock() -> None:
    clock = scaled(60.0, now_ns() - DAY_NS)
    before = clock.boottime_ns() - clock.origin_boottime_ns
    utc = clock.utc_ns() - clock.origin_utc_ns
    after = clock.boottime_ns() - clock.origin_boottime_ns
    assert before <= utc <= after


def test_a_wait_takes_its_seconds_on_this_clock() -> None:
    clock = scaled(100.0, now_ns())
    start = clock.boottime_ns()
    assert clock.wait(threading.Event(), 5.0) is False
    assert (clock.boottime_ns() - start) / 1e9 >= 5.0
    assert (now_ns() - clock.origin_boottime_ns) / 1e9 < 2.5


def test_a_set_event_ends_the_wait_at_once() -> None:
    event = threading.Event()
    event.set()
    assert scaled(0.001, now_ns()).wait(event, 3600.0) is True


def test_a_wait_into_the_past_returns_at_once() -> None:
    assert scaled(1.0, now_ns()).wait(threading.Event(), -3600.0) is False


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan")])
def test_a_clock_that_stands_or_runs_backwards_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="speed"):
        scaled(speed, 0)
