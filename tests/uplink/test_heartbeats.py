"""Live state: once a period, at once on a change, never in a flood, and a failure stops nothing."""

import logging
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from fake_clock import FakeClock
from scripted_platform import SERVER_TIME, Answer, Platform, Raw

from instrument_agent.buffer.store import Store
from instrument_agent.core.errors import StoreUnavailable
from instrument_agent.uplink.anchoring import Anchoring
from instrument_agent.uplink.heartbeat import AT_ONCE_EVERY_S, LONGEST_S, SHORTEST_S, Heartbeat, phase
from instrument_agent.uplink.http import HttpTransport
from instrument_agent.uplink.retry import CAP_S, LONGEST_RETRY_AFTER_S
from instrument_agent.worker import Worker

PERIOD_S = 60.0
Start = Callable[..., Heartbeat]


@pytest.fixture
def beats() -> list[float]:
    """The times at which a heartbeat was made."""
    return []


@pytest.fixture
def start(
    platform: Platform, clock: FakeClock, anchoring: Anchoring, beats: list[float], started: list[Worker]
) -> Start:
    def body() -> dict[str, Any]:
        beats.append(clock.now_s)
        return {"box_id": "box-1", "number": len(beats)}

    def start(make: Callable[[], dict[str, Any]] = body, first_contact_after_s: float = 0.0) -> Heartbeat:
        transport = HttpTransport(platform.url, "box-1", None, None)
        heartbeat = Heartbeat("province", transport, clock, anchoring, PERIOD_S, make)
        heartbeat.first_contact_after_s = first_contact_after_s
        heartbeat.start()
        started.append(heartbeat)
        return heartbeat

    return start


def test_it_beats_once_a_period(start: Start, clock: FakeClock, beats: list[float], platform: Platform) -> None:
    heartbeat = start()
    clock.run(600)
    assert beats == [1000.0 + PERIOD_S * number for number in range(11)]
    assert heartbeat.sent == 11
    assert [request.body["number"] for request in platform.sent("heartbeat")] == list(range(1, 12))


def test_a_change_is_told_at_once(start: Start, clock: FakeClock, beats: list[float]) -> None:
    heartbeat = start()
    clock.run(20)
    heartbeat.wake.set()
    clock.await_waiting()
    assert beats == [1000.0, 1020.0]
    clock.run(PERIOD_S)
    assert beats == [1000.0, 1020.0, 1080.0]


def test_changes_in_quick_succession_are_told_together(start: Start, clock: FakeClock, beats: list[float]) -> None:
    heartbeat = start()
    for _ in range(100):
        clock.run(0.2)
        heartbeat.wake.set()
        clock.await_waiting()
    clock.run(AT_ONCE_EVERY_S)
    gaps = [after - before for before, after in pairwise(beats)]
    assert min(gaps) >= AT_ONCE_EVERY_S
    assert len(beats) >= 5, "and the last change is told too"


def test_a_change_while_a_heartbeat_is_under_way_is_told_by_the_next(
    start: Start, clock: FakeClock, beats: list[float], platform: Platform
) -> None:
    made: list[Heartbeat] = []

    def change(_request: Any) -> Answer:
        made[0].wake.set()
        return Answer(body={})

    platform.script.append(change)
    made.append(start(first_contact_after_s=1.0))
    clock.run(10)
    assert beats == [1001.0, 1001.0 + AT_ONCE_EVERY_S]


@pytest.mark.parametrize(
    ("asked", "period_s"),
    [
        (30, 30 * phase("box-1")),
        (1, SHORTEST_S * phase("box-1")),
        (-5, SHORTEST_S * phase("box-1")),
        (10**9, LONGEST_S * phase("box-1")),
        ("30", PERIOD_S),
        (None, PERIOD_S),
        (True, PERIOD_S),
        (30.5, PERIOD_S),
        ([30], PERIOD_S),
    ],
    ids=str,
)
def test_the_platform_sets_the_period_within_limits(
    start: Start, clock: FakeClock, beats: list[float], platform: Platform, asked: object, period_s: float
) -> None:
    platform.script.append(Answer(body={"next_heartbeat_s": asked, "server_time": SERVER_TIME}))
    start()
    clock.run_until(lambda: len(beats) == 3)
    assert beats[1] - beats[0] == pytest.approx(period_s, abs=1e-6)
    assert beats[2] - beats[1] == pytest.approx(period_s, abs=1e-6)


@pytest.mark.parametrize("answer", [Answer(404), Answer(400), Answer(413), Answer(503), Answer(200, b"hi"), Raw(())])
def test_a_failure_is_said_once_and_the_next_beat_comes_in_its_time(
    start: Start,
    clock: FakeClock,
    beats: list[float],
    platform: Platform,
    caplog: pytest.LogCaptureFixture,
    answer: Answer | Raw,
) -> None:
    platform.script.extend([answer] * 5)
    heartbeat = start()
    clock.run(4 * PERIOD_S)
    assert heartbeat.error
    assert heartbeat.sent == 0
    clock.run(4 * PERIOD_S)
    assert len(beats) == 9
    assert heartbeat.error == ""
    assert heartbeat.sent == 4
    told = [record for record in caplog.records if record.name.endswith("heartbeat")]
    assert [record.levelno for record in told] == [logging.WARNING] * 2


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_credential_is_shown_seldom_until_there_is_another(
    start: Start, clock: FakeClock, beats: list[float], platform: Platform, status: int
) -> None:
    platform.always = Answer(status)
    heartbeat = start()
    clock.run(2 * CAP_S - 1)
    assert 2 <= len(beats) <= 4
    assert all(CAP_S / 2 <= after - before <= CAP_S for before, after in pairwise(beats))
    told = len(beats)
    heartbeat.wake.set()
    clock.await_waiting()
    assert len(beats) == told, "a change does not break in either"
    platform.always = None
    heartbeat.again.set()
    heartbeat.wake.set()
    clock.run_until(lambda: heartbeat.sent == 1, within_s=1)


def wait(status: int, asked: str) -> Answer:
    return Answer(status, headers={"Retry-After": asked})


@pytest.mark.parametrize(
    ("answer", "least_s", "most_s"),
    [
        (wait(429, "600"), 600.0, 600.0),
        (wait(503, "99999999999"), LONGEST_RETRY_AFTER_S, LONGEST_RETRY_AFTER_S),
        (wait(429, "-600"), AT_ONCE_EVERY_S, AT_ONCE_EVERY_S),
        (wait(429, "soon"), AT_ONCE_EVERY_S, AT_ONCE_EVERY_S),
        (wait(503, "3"), AT_ONCE_EVERY_S, AT_ONCE_EVERY_S),
        (wait(401, "3000"), 3000.0, 3000.0),
        (wait(403, "1"), CAP_S / 2, CAP_S),
    ],
)
def test_a_platform_that_says_when_hears_nothing_before(
    start: Start, clock: FakeClock, platform: Platform, answer: Answer, least_s: float, most_s: float
) -> None:
    platform.script.append(answer)
    heartbeat = start()
    clock.await_waiting()
    heartbeat.wake.set()
    assert least_s <= clock.run_until(lambda: len(platform.requests) == 2) <= most_s


def test_a_database_that_fails_does_not_end_it(start: Start, clock: FakeClock, platform: Platform) -> None:
    broken = [True]

    def body() -> dict[str, Any]:
        if broken[0]:
            raise StoreUnavailable("the disk is full")
        return {"box_id": "box-1"}

    heartbeat = start(body)
    clock.run(PERIOD_S)
    assert heartbeat.error == "the disk is full"
    broken[0] = False
    clock.run(PERIOD_S)
    assert len(platform.sent("heartbeat")) == 1
    assert heartbeat.error == ""


def test_its_reply_tells_the_time(start: Start, clock: FakeClock, store: Store) -> None:
    start()
    clock.await_waiting()
    assert store.rows("select source from anchors") == [("platform:province",)]


def test_heartbeats_are_not_stored(start: Start, clock: FakeClock, store: Store) -> None:
    start()
    clock.run(6000)
    assert {kind for (kind,) in store.rows("select type from records")} == {"epoch_started", "time_anchor"}


def test_the_first_one_waits_for_its_turn(start: Start, clock: FakeClock, beats: list[float]) -> None:
    heartbeat = start(first_contact_after_s=200.0)
    heartbeat.wake.set()
    clock.run(250)
    assert beats == [1200.0]


def test_the_boxes_of_a_province_are_spread_evenly_and_each_keeps_its_place() -> None:
    phases = [phase(f"box-{number}") for number in range(5000)]
    assert phases == [phase(f"box-{number}") for number in range(5000)]
    assert min(phases) >= 0.9
    assert max(phases) <= 1.1
    tenths = [sum(0.9 + 0.02 * part <= value < 0.92 + 0.02 * part for value in phases) for part in range(10)]
    assert all(400 < count < 600 for count in tenths)
