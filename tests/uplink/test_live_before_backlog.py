"""Live state never waits behind what was not delivered yet; BACKLOG=100000 takes a real outage's backlog."""

import os
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_clock import BOOTED_UTC_NS, FakeClock
from scripted_platform import Platform, Request
from sender import Sender, has_each_once

from instrument_agent.buffer.outbox import queue_of
from instrument_agent.buffer.store import Start, Store
from instrument_agent.sandbox.scaled_clock import ScaledClock
from instrument_agent.uplink.anchoring import Anchoring
from instrument_agent.uplink.heartbeat import Heartbeat
from instrument_agent.uplink.http import HttpTransport
from instrument_agent.worker import Worker

BACKLOG = int(os.environ.get("BACKLOG", "2500"))
LIMIT = max(50, BACKLOG // 200)
PERIOD_S, SPEED = 60.0, 300.0
PATIENCE_S = 60.0
"""How long a busy machine may take for a batch."""
SLOW_S = 0.025
Beating = Callable[[Sender, str], Heartbeat]


@pytest.fixture
def beating(started: list[Worker]) -> Beating:
    def begin(sender: Sender, url: str) -> Heartbeat:
        def body() -> dict[str, Any]:
            waiting = queue_of(sender.store, "province").waiting
            return {"box_id": "box-1", "waiting": waiting, "at_ns": sender.clock.boottime_ns()}

        transport = HttpTransport(url, "box-1", None, None)
        heartbeat = Heartbeat("province", transport, sender.clock, sender._anchoring, PERIOD_S, body)
        heartbeat.start()
        started.append(heartbeat)
        return heartbeat

    return begin


class Slow(Platform):
    """Takes its time with every batch, so that a backlog lasts for a few heartbeats on any machine."""

    def act(self, request: Request) -> Any:
        if request.what == "records":
            self.stopping.wait(SLOW_S)
        return super().act(request)


class Busy(Platform):
    """Takes no records before it has heard a heartbeat."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.told = threading.Event(), threading.Event()

    def act(self, request: Request) -> Any:
        if request.what == "records":
            self.asked.set()
            assert self.told.wait(10), "the backlog was in the way"
        answer = super().act(request)
        if request.what == "heartbeat":
            self.told.set()
        return answer


def test_a_change_is_told_before_the_backlog_that_is_on_its_way(
    sender: Sender, clock: FakeClock, beating: Beating
) -> None:
    with Busy() as platform:
        sender.write(300)
        heartbeat = beating(sender, platform.url)
        clock.run(10)  # so that a change is told at once
        platform.told.clear()
        sender.start(platform.url)
        assert platform.asked.wait(10)
        heartbeat.wake.set()
        sender.until_settled()
        assert [request.what for request in platform.requests[:3]] == ["heartbeat", "watermark", "heartbeat"]
        assert platform.requests[2].body["waiting"] > 300


def test_heartbeats_keep_their_time_while_a_backlog_is_delivered(tmp_path: Path, beating: Beating) -> None:
    with Slow() as platform:
        _kept_time(tmp_path, platform, beating)


def _kept_time(tmp_path: Path, platform: Platform, beating: Beating) -> None:
    clock: Any = ScaledClock(SPEED, time.clock_gettime_ns(time.CLOCK_BOOTTIME), BOOTED_UTC_NS, str(uuid.uuid4()))
    store = Store(tmp_path, "box-1")
    store.begin_epoch(Start(clock.boot_id, clock.boottime_ns(), "0.1.0", "0" * 64))
    sender = Sender(store, clock, Anchoring(store, clock), LIMIT)
    sender.write(BACKLOG)
    heartbeat = beating(sender, platform.url)
    try:
        sender.start(platform.url)
        least, until_s = BACKLOG + 100, time.monotonic() + PATIENCE_S
        while waiting := queue_of(store, "province").waiting:
            if waiting < least:
                least, until_s = waiting, time.monotonic() + PATIENCE_S
            assert time.monotonic() < until_s, "nothing arrives any more"
            platform.stopping.wait(0.05)
        heartbeat.stop()
        assert has_each_once(platform, store)
    finally:
        sender.stop()
        store.close()
    behind = [request.body for request in platform.sent("heartbeat") if request.body["waiting"]]
    assert len(behind) >= 3
    passed_s = (behind[-1]["at_ns"] - behind[0]["at_ns"]) / 1e9
    # A period is 0.2 s of this machine's clock, and the platform works in this very process: one may be late.
    assert len(behind) >= 0.6 * passed_s / PERIOD_S
