"""Records over real HTTP: each delivered once, in order, and nothing lost when a reply is."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fake_clock import BOOTED_UTC_NS, FakeClock
from scripted_platform import Answer, Platform
from sender import LIMIT, Sender, has_each_once
from starlette.types import ASGIApp, Receive, Scope, Send

from instrument_agent.buffer.store import Start
from instrument_agent.receiver import Ledger, PlatformServer, create_app
from instrument_agent.uplink.delivery import IDLE_S, Delivery
from instrument_agent.uplink.http import HttpTransport


def test_the_log_is_delivered_in_batches_and_each_record_once(platform: Platform, sender: Sender) -> None:
    sender.write(119)
    sender.start(platform.url)
    sender.until_settled()
    assert has_each_once(platform, sender.store)
    assert [len(request.seqs) for request in platform.sent("records")] == [50, 50, 21]
    assert [seq for _epoch, seq in platform.received] == list(range(1, 122))


def test_what_is_sent_is_what_was_sealed_and_utc_stands_beside_it(
    platform: Platform, sender: Sender, clock: FakeClock
) -> None:
    sender.write(1)
    sender.start(platform.url)
    sender.until_settled()
    [first, *_rest] = platform.sent("records")
    assert first.body["boot_id"] == clock.boot_id
    assert first.body["boottime_ms"] == 1_000_000
    assert first.body["head_hash"] == first.body["records"][-1]["hash"]
    for item in first.body["records"]:
        assert set(item) == {"hash", "record", "utc"}
        assert abs(item["utc"]["at_ms"] * 1_000_000 - BOOTED_UTC_NS) <= item["utc"]["error_ms"] * 1_000_000


def test_new_records_are_delivered_when_they_are_written(platform: Platform, sender: Sender, clock: FakeClock) -> None:
    sender.start(platform.url)
    sender.until_settled()
    sender.write(1)
    clock.await_waiting()
    assert sender.outbox.queue().waiting == 0
    assert clock.now_s == 1000.0


def test_the_real_platform_gets_everything_and_the_box_knows(sender: Sender, tmp_path: Path) -> None:
    sender.write(119)
    with (
        Ledger(f"sqlite:///{tmp_path / 'platform.db'}") as ledger,
        PlatformServer(create_app(ledger, lambda: BOOTED_UTC_NS)) as server,
    ):
        sender.start(server.url)
        sender.until_settled()
        bodies = [json.loads(body) for (body,) in sender.store.rows("select body from records order by id")]
        assert ledger.records("box-1") == bodies
        queue = sender.outbox.queue()
        assert (queue.acknowledged, queue.waiting, queue.dead_lettered) == (121, 0, 0)
        sender.stop()


class LosesReplies:
    """Lets the platform do its work and keeps every second reply for itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._count += 1

        async def lose(_message: Any) -> None:
            pass

        await self._app(scope, receive, lose if self._count % 2 else send)


def test_what_was_stored_without_a_reply_is_sent_again_and_counted_once(sender: Sender, tmp_path: Path) -> None:
    sender.write(119)
    with (
        Ledger(f"sqlite:///{tmp_path / 'platform.db'}") as ledger,
        PlatformServer(LosesReplies(create_app(ledger, lambda: BOOTED_UTC_NS))) as server,
    ):
        sender.start(server.url)
        sender.until_settled()
        seqs = [record["seq"] for record in ledger.records("box-1")]
        assert sorted(seqs) == list(range(1, len(seqs) + 1))
        assert len(seqs) == sender.outbox.queue().made
        sender.stop()


def test_each_epoch_is_delivered_on_its_own_and_the_older_first(
    platform: Platform, sender: Sender, clock: FakeClock
) -> None:
    sender.write(4)
    first = sender.store.epoch
    second = sender.store.begin_epoch(Start(clock.boot_id, clock.boottime_ns(), "0.1.0", "0" * 64))
    sender.write(4)
    sender.start(platform.url)
    sender.until_settled()
    assert [request.body["epoch"] for request in platform.sent("records")] == [first, second]
    assert has_each_once(platform, sender.store)


def test_the_first_contact_waits_for_its_turn(platform: Platform, sender: Sender) -> None:
    transport = HttpTransport(platform.url, "box-1", None, None)
    sender.delivery = Delivery("province", sender.outbox, transport, sender.clock, sender._anchoring, LIMIT)
    sender.delivery.first_contact_after_s = 123.0
    sender.delivery.start()
    assert sender.until_settled() == 123.0


def test_without_an_anchor_the_time_is_asked_for_first(platform: Platform, sender: Sender) -> None:
    sender.start(platform.url)
    sender.until_settled()
    assert [request.what for request in platform.requests][:2] == ["watermark", "records"]
    assert len(platform.sent("watermark")) == 1


def test_stopping_in_a_pause_ends_at_once_and_loses_nothing(platform: Platform, sender: Sender) -> None:
    platform.always = Answer(503, headers={"Retry-After": "3600"})
    sender.write(9)
    sender.start(platform.url)
    sender.clock.await_waiting()
    sender.stop()
    assert sender.outbox.queue().waiting == 10


def test_a_database_that_cannot_be_written_stops_nothing_for_good(
    platform: Platform, sender: Sender, clock: FakeClock
) -> None:
    sender.write(9)
    with closing(sqlite3.connect(sender.store.path, isolation_level=None)) as other:
        other.execute("begin immediate")
        delivery = sender.start(platform.url)
        clock.run(IDLE_S)
        assert "locked" in delivery.contact.error
        assert sender.watermark == 0
        other.execute("rollback")
    sender.until_settled()
    assert has_each_once(platform, sender.store)


def test_time_spent_on_the_database_does_not_pass_for_time_on_the_way(
    platform: Platform, sender: Sender, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    last_seq = sender.outbox.last_seq

    def slow(epoch: str) -> int:
        clock.advance(100.0)
        return last_seq(epoch)

    monkeypatch.setattr(sender.outbox, "last_seq", slow)
    platform.script.append(Answer(body={"epochs": []}))  # the watermark does not tell the time
    sender.start(platform.url)
    sender.until_settled()
    [(boottime_ns,)] = sender.store.rows("select boottime_ns from anchors")
    assert boottime_ns == pytest.approx(1000 * 10**9, abs=10**9)
