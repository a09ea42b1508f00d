"""The wrapper around every driver: ranges, counts, one word when lost and one when back, and nothing gets out."""

import logging
import math
from decimal import Decimal

import pytest
from boxes import Lab, lost
from fake_clock import FakeClock

from instrument_agent.core.errors import ConfigError, DeviceUnavailable
from instrument_agent.core.readings import NS_PER_S, FailedRead, Observation, UnknownReason
from instrument_agent.poll.guard import LONGEST_BACKOFF_S, Guard


def guarded(lab: Lab, poll_s: float = 1.0) -> Guard:
    return Guard("xrd-1", lab, lab.clock, 0.5, poll_s)


def read_every(guard: Guard, clock: FakeClock, seconds: int, poll_s: float = 1.0) -> None:
    for _ in range(round(seconds / poll_s)):
        guard.read()
        clock.advance(poll_s)


@pytest.mark.parametrize("value", [0.0, -100.0, 5000.0, 7, "running"])
def test_what_the_device_can_read_passes_as_it_is(clock: FakeClock, value: float | str) -> None:
    reading = guarded(Lab([value], clock)).read()
    assert reading == Observation(clock.boottime_ns(), {"power_w": value})


@pytest.mark.parametrize(
    "value", [5000.1, -100.1, math.nan, math.inf, -math.inf, None, Decimal(20), [20.0], {"w": 1}], ids=str
)
def test_what_it_cannot_read_becomes_none(clock: FakeClock, value: object) -> None:
    reading = guarded(Lab([{"power_w": value}], clock)).read()
    assert reading == Observation(clock.boottime_ns(), {"power_w": None})


def test_a_channel_without_a_range_must_still_be_a_number(clock: FakeClock) -> None:
    reading = guarded(Lab([{"power_w": 1.0, "extra": 1e12, "broken": math.nan}], clock)).read()
    assert isinstance(reading, Observation)
    assert reading.values == {"power_w": 1.0, "extra": 1e12, "broken": None}


def test_a_channel_that_was_not_read_stays_absent(clock: FakeClock) -> None:
    assert guarded(Lab([{}], clock)).read() == Observation(clock.boottime_ns(), {})


def test_a_reading_is_stamped_with_the_middle_of_the_time_it_took(clock: FakeClock) -> None:
    def slow() -> float:
        clock.advance(0.4)
        return 20.0

    before_ns = clock.boottime_ns()
    assert guarded(Lab([slow], clock)).read().at_ns == before_ns + 200_000_000


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (DeviceUnavailable("no answer"), UnknownReason.DRIVER_UNAVAILABLE),
        (RuntimeError("bug"), UnknownReason.DRIVER_ERROR),
        (AssertionError(), UnknownReason.DRIVER_ERROR),
        (OSError(5, "Input/output error"), UnknownReason.DRIVER_ERROR),
        (MemoryError(), UnknownReason.DRIVER_ERROR),
        (SystemExit(3), UnknownReason.DRIVER_ERROR),
    ],
    ids=repr,
)
@pytest.mark.parametrize("where", ["open", "read"])
def test_whatever_a_driver_raises_is_a_failed_read(
    clock: FakeClock, error: BaseException, reason: UnknownReason, where: str
) -> None:
    lab = Lab([error if where == "read" else 20.0], clock, open_error=error if where == "open" else None)
    guard = guarded(lab)
    assert guard.read() == FailedRead(clock.boottime_ns(), reason)
    assert guard.health.failing is reason
    assert guard.health.failures == 1


@pytest.mark.parametrize("answer", [None, 20.0, ["power_w"]])
def test_an_answer_of_the_wrong_shape_is_a_bug_of_the_driver(clock: FakeClock, answer: object) -> None:
    lab = Lab([20.0], clock)
    lab.read = lambda _timeout_s: answer  # type: ignore[method-assign, assignment, return-value]
    reading = guarded(lab).read()
    assert reading == FailedRead(clock.boottime_ns(), UnknownReason.DRIVER_ERROR)


def test_ctrl_c_is_not_a_driver_error(clock: FakeClock) -> None:
    with pytest.raises(KeyboardInterrupt):
        guarded(Lab([KeyboardInterrupt()], clock)).read()


def test_a_driver_that_cannot_even_be_closed_stays_with_its_instrument(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    lab = Lab([lost(), 20.0], clock)

    def close() -> None:
        raise OSError("the port is gone")

    lab.close = close  # type: ignore[method-assign]
    guard = guarded(lab)
    assert isinstance(guard.read(), FailedRead)
    assert isinstance(guard.read(), Observation)
    assert "closing the driver failed" in caplog.text


def test_a_lost_device_is_said_once_and_once_when_it_is_back(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    lab = Lab([20.0, *[lost() for _ in range(20)], 20.0], clock)
    guard = guarded(lab)
    with caplog.at_level(logging.DEBUG):
        read_every(guard, clock, 400)
    assert [record.getMessage() for record in caplog.records] == [
        "xrd-1: lost, driver_unavailable: no answer",
        "xrd-1: back after 20 failed reads",
    ]


def test_a_bug_in_a_driver_is_logged_once_with_its_traceback(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    guard = guarded(Lab([ZeroDivisionError("bug")], clock))
    read_every(guard, clock, 100)
    assert caplog.text.count("Traceback") == 1
    assert len(caplog.records) == 1


def test_the_health_counts_and_says_what_is_wrong_while_it_is(clock: FakeClock) -> None:
    guard = guarded(Lab([20.0, 20.0, lost(), 20.0], clock))
    read_every(guard, clock, 2)
    assert (guard.health.reads, guard.health.failures, guard.health.failing) == (2, 0, None)
    guard.read()
    assert (guard.health.error, guard.health.hint) == ("no answer", "check the cable")
    guard.read()
    assert (guard.health.reads, guard.health.failures, guard.health.failing) == (3, 1, None)
    assert (guard.health.error, guard.health.hint) == ("", "")


def test_the_hint_of_any_error_of_ours_is_shown(clock: FakeClock) -> None:
    guard = guarded(Lab([ConfigError("no such trace", "record one")], clock))
    guard.read()
    assert guard.health.hint == "record one"


def test_one_lost_frame_is_tried_again_at_the_next_poll(clock: FakeClock) -> None:
    lab = Lab([20.0, lost(), 20.0], clock)
    read_every(guarded(lab), clock, 4)
    assert lab.read_s == [1000.0, 1001.0, 1002.0, 1003.0]


def test_a_device_that_stays_away_is_asked_less_and_less_often(clock: FakeClock) -> None:
    lab = Lab([lost()], clock)
    guard = guarded(lab)
    read_every(guard, clock, 90)
    gaps = [round(after - before, 3) for before, after in zip(lab.read_s, lab.read_s[1:], strict=False)]
    assert gaps == [1, 2, 4, 8, *[LONGEST_BACKOFF_S] * (len(gaps) - 4)]
    assert len(gaps) > 6


def test_a_slow_poll_is_not_slowed_down_further(clock: FakeClock) -> None:
    lab = Lab([lost()], clock)
    read_every(guarded(lab, poll_s=30.0), clock, 300, poll_s=30.0)
    assert len(lab.read_s) == 10


def test_while_it_is_left_alone_every_poll_is_a_failed_read_of_the_same_reason(clock: FakeClock) -> None:
    guard = guarded(Lab([lost()], clock))
    for second in range(60):
        assert guard.read() == FailedRead((1000 + second) * NS_PER_S, UnknownReason.DRIVER_UNAVAILABLE)
        clock.advance(1)
    assert guard.health.failures < 10


def test_a_device_that_comes_back_is_read_at_most_that_much_later(clock: FakeClock) -> None:
    lab = Lab([lost()], clock)
    guard = guarded(lab)
    read_every(guard, clock, 600)
    lab.acts = [20.0]
    back_s = clock.now_s
    while isinstance(guard.read(), FailedRead):
        clock.advance(1)
    assert clock.now_s - back_s <= LONGEST_BACKOFF_S


def test_the_port_is_closed_at_a_failure_and_opened_for_the_next_try(clock: FakeClock) -> None:
    lab = Lab([20.0, lost(), 20.0], clock)
    guard = guarded(lab)
    guard.read()
    assert (lab.opened, lab.closed) == (1, 0)
    guard.read()
    assert (lab.opened, lab.closed) == (1, 1)
    guard.read()
    guard.read()
    assert (lab.opened, lab.closed) == (2, 1)


def test_a_port_that_cannot_be_opened_is_opened_later(clock: FakeClock) -> None:
    lab = Lab([20.0], clock, open_error=lost())
    guard = guarded(lab)
    assert isinstance(guard.read(), FailedRead)
    assert lab.read_s == []
    lab.open_error = None
    assert isinstance(guard.read(), Observation)


def test_the_circuit_opens_at_the_second_failure_in_a_row(clock: FakeClock) -> None:
    guard = guarded(Lab([20.0, lost(), 20.0, lost()], clock))
    states = []
    for _ in range(5):
        guard.read()
        states.append(guard.lost)
    assert states == [False, False, False, False, True]


def test_the_circuit_of_a_device_that_was_never_read_opens_at_once(clock: FakeClock) -> None:
    guard = guarded(Lab([lost(), 20.0], clock))
    guard.read()
    assert guard.lost
    guard.read()
    assert not guard.lost
