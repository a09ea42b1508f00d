"""Records over real HTTP to platforms that behave, misbehave and lose what they had: none lost, none twice."""

import json
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fake_clock import BOOTED_UTC_NS, FakeClock
from scripted_platform import Act, Answer, Platform, Raw, Request, acknowledged
from starlette.types import ASGIApp, Receive, Scope, Send

from instrument_agent.buffer.outbox import Outbox
from instrument_agent.buffer.store import Start, Store
from instrument_agent.core.records import Fact, RecordType
from instrument_agent.receiver import Ledger, PlatformServer, create_app
from instrument_agent.uplink.anchoring import Anchoring
from instrument_agent.uplink.delivery import IDLE_S, Delivery
from instrument_agent.uplink.http import HttpTransport
from instrument_agent.uplink.retry import CAP_S, LONGEST_RETRY_AFTER_S

LIMIT = 50


class Sender:
    """A delivery on its thread, its log and its clock."""

    def __init__(self, store: Store, clock: FakeClock, anchoring: Anchoring, limit: int) -> None:
        self.store = store
        self.clock = clock
        self.outbox = Outbox(store, "province")
        self.credential: Path | None = None
        self._anchoring = anchoring
        self._limit = limit
        self._made = 1  # the epoch's first record is already there
        self.delivery: Delivery | None = None

    def write(self, count: int) -> None:
        with self.store.write() as change:
            for _ in range(count):
                self._made += 1
                data = {"event": "configured", "number": self._made}
                at_ns = self.clock.boottime_ns()
                change.append(Fact(RecordType.LIFECYCLE_EVENT, self.clock.boot_id, at_ns, data, "xrd-1"))

    def start(self, url: str) -> Delivery:
        transport = HttpTransport(url, "box-1", self.credential, None)
        self.delivery = Delivery("province", self.outbox, transport, self.clock, self._anchoring, self._limit)
        self.store.listen(self.delivery.wake)
        self.delivery.start()
        return self.delivery

    def until_settled(self, within_s: float = 50_000.0) -> float:
        """Let time pass until nothing waits; return how long it took."""
        return self.clock.run_until(lambda: self.outbox.queue().waiting == 0, within_s=within_s)

    def stop(self) -> None:
        if self.delivery is not None:
            self.delivery.stop()
            self.delivery.join(10)
            assert not self.delivery.is_alive()

    @property
    def watermark(self) -> int:
        return self.outbox.queue().made - self.outbox.queue().waiting

    def dead_letters(self) -> dict[int, str]:
        return dict(self.store.rows("select record_id, reason from dead_letters order by record_id"))


@pytest.fixture
def sender(store: Store, clock: FakeClock, anchoring: Anchoring) -> Iterator[Sender]:
    sender = Sender(store, clock, anchoring, LIMIT)
    yield sender
    sender.stop()


def records_only(platform: Platform, *acts: Act) -> None:
    platform.scripted = ("records",)
    platform.script.extend(acts)


def has_each_once(platform: Platform, store: Store) -> bool:
    """Say whether the platform has exactly the records of the log, with their hashes."""
    rows = store.rows("select epoch, seq, hash from records")
    stored = {(epoch, seq, digest) for epoch, kept in platform.stored.items() for seq, digest in kept.items()}
    return stored == set(rows)


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


def store_and_drop(platform: Platform) -> Act:
    def act(request: Request) -> Raw:
        platform.store(request)
        return Raw(())

    return act


def store_and_break_off(platform: Platform) -> Act:
    def act(request: Request) -> Raw:
        platform.store(request)
        return Raw((b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"epoch": "', b""))

    return act


@pytest.mark.parametrize("fault", [store_and_drop, store_and_break_off])
def test_a_reply_lost_on_the_way_frees_nothing(platform: Platform, sender: Sender, fault: Any) -> None:
    records_only(platform, fault(platform), fault(platform))
    sender.write(9)
    sender.start(platform.url)
    sender.clock.await_waiting()
    assert sender.watermark == 0
    sender.until_settled()
    assert has_each_once(platform, sender.store)
    assert max(platform.received.count(key) for key in platform.received) == 3


@pytest.mark.parametrize(
    "answer",
    [
        *[Answer(status) for status in (201, 204, 301, 307, 404, 408, 418, 429, 500, 502, 503, 504)],
        Answer(200, b"<html>log in</html>"),
        Answer(200, b""),
        Answer(200, {}),
        Answer(200, {"acked_through": 10}),
        Answer(200, b"x" * 1_000_001),
        Raw(()),
    ],
    ids=lambda answer: f"{type(answer).__name__} {getattr(answer, 'status', '')}",
)
def test_what_is_no_acknowledgement_keeps_everything_and_is_tried_again(
    platform: Platform, sender: Sender, answer: Act, caplog: pytest.LogCaptureFixture
) -> None:
    records_only(platform, *[answer] * 4)
    sender.write(9)
    delivery = sender.start(platform.url)
    sender.clock.await_waiting()
    assert sender.watermark == 0
    assert delivery.contact.error
    sender.until_settled()
    assert has_each_once(platform, sender.store)
    assert sender.dead_letters() == {}
    assert delivery.contact.error == ""
    told = [record for record in caplog.records if record.name.endswith("delivery")]
    assert len(told) == 2, "said once, and once when it is over"


@pytest.mark.parametrize(
    "acked", [12, 10**18, -1, 10.0, "10", True, None, [10]], ids=lambda acked: f"{type(acked).__name__} {acked}"
)
def test_an_acknowledgement_of_what_was_never_written_is_none(platform: Platform, sender: Sender, acked: Any) -> None:
    records_only(platform, lambda request: acknowledged(request.body["epoch"], acked))
    sender.write(9)
    delivery = sender.start(platform.url)
    sender.clock.await_waiting()
    assert sender.watermark == 0
    assert "contract" in delivery.contact.hint
    sender.until_settled()
    assert has_each_once(platform, sender.store)


def test_an_acknowledgement_of_another_epoch_is_none(platform: Platform, sender: Sender) -> None:
    records_only(platform, acknowledged("0b54c7fb-7c3c-4a83-9d2f-3a1a3f5a2b10", 10))
    sender.write(9)
    sender.start(platform.url)
    sender.clock.await_waiting()
    assert sender.watermark == 0
    sender.until_settled()
    assert has_each_once(platform, sender.store)


def test_an_acknowledgement_that_takes_nothing_is_said_once_and_tried_again(
    platform: Platform, sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    records_only(platform, *[lambda request: acknowledged(request.body["epoch"], 0)] * 5)
    sender.write(9)
    delivery = sender.start(platform.url)
    sender.clock.await_waiting()
    assert "took nothing" in delivery.contact.error
    assert sender.until_settled() > 0
    assert has_each_once(platform, sender.store)
    assert len([record for record in caplog.records if "took nothing" in record.getMessage()]) == 1


def test_a_partial_acknowledgement_frees_just_that_part(platform: Platform, sender: Sender) -> None:
    records_only(platform, lambda request: acknowledged(request.body["epoch"], 4))
    sender.write(9)
    sender.start(platform.url)
    sender.until_settled()
    assert [request.seqs[0] for request in platform.sent("records")[:2]] == [1, 5]


def test_a_platform_that_already_has_more_than_the_batch_is_believed_for_the_batch(
    platform: Platform, sender: Sender
) -> None:
    sender.write(119)
    records_only(platform, lambda request: acknowledged(request.body["epoch"], 100))
    sender.start(platform.url)
    sender.until_settled()
    assert [request.seqs[0] for request in platform.sent("records")[:2]] == [1, 51]


def test_refused_records_are_kept_as_dead_letters_and_hold_up_nothing(platform: Platform, sender: Sender) -> None:
    platform.refuses = {3, 7, 60}
    sender.write(79)
    sender.start(platform.url)
    sender.until_settled()
    assert sender.dead_letters() == dict.fromkeys((3, 7, 60), "schema: odd")
    queue = sender.outbox.queue()
    assert (queue.made, queue.acknowledged, queue.dead_lettered) == (81, 78, 3)
    assert len(sender.store.rows("select id from records where id in (3, 7, 60)")) == 3


@pytest.mark.parametrize(
    "rejected",
    ["all", 7, {"seq": 3}, [3], [{"seq": "3"}], [{"reason": "x"}], [{"seq": True}], [{"seq": 9, "reason": "later"}]],
    ids=str,
)
def test_a_list_of_refusals_that_makes_no_sense_refuses_nothing(
    platform: Platform, sender: Sender, rejected: Any
) -> None:
    def confused(request: Request) -> Answer:
        platform.store(request)
        return acknowledged(request.body["epoch"], 5, rejected)

    records_only(platform, confused)
    sender.write(9)
    sender.start(platform.url)
    sender.until_settled()
    assert sender.dead_letters() == {}


def poisoned(platform: Platform, status: int, *poison: int) -> Act:
    """Refuse a batch as a whole while one of these records is in it."""

    def act(request: Request) -> Answer:
        return Answer(status, b"bad") if set(poison) & set(request.seqs) else platform.well_behaved(request)

    return act


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("poison", [(1,), (23,), (50,), (10, 11), (1, 50), (60,)], ids=str)
def test_a_batch_that_is_refused_as_a_whole_is_taken_apart_down_to_the_poison(
    platform: Platform, sender: Sender, status: int, poison: tuple[int, ...]
) -> None:
    platform.scripted = ("records",)
    platform.always = poisoned(platform, status, *poison)
    platform.refuses = set(poison)  # it never stores them, but counts them as settled
    sender.write(69)
    sender.start(platform.url)
    assert sender.until_settled() == 0, "none of it waits for the poison"
    assert list(sender.dead_letters()) == list(poison)
    stored = platform.stored[sender.store.epoch]
    assert set(stored) == set(range(1, sender.outbox.queue().made + 1)) - set(poison)
    assert len(platform.sent("records")) < 40


def test_a_batch_that_is_too_large_is_halved_until_it_fits(platform: Platform, sender: Sender) -> None:
    def limited(request: Request) -> Answer:
        return Answer(413) if len(request.seqs) > 7 else platform.well_behaved(request)

    platform.scripted = ("records",)
    platform.always = limited
    sender.write(49)
    sender.start(platform.url)
    assert sender.until_settled() == 0
    assert has_each_once(platform, sender.store)
    assert sender.dead_letters() == {}


def test_a_record_that_is_too_large_all_by_itself_holds_up_nothing(platform: Platform, sender: Sender) -> None:
    platform.scripted = ("records",)
    platform.always = poisoned(platform, 413, 5)
    platform.refuses = {5}
    sender.write(9)
    sender.start(platform.url)
    sender.until_settled()
    assert list(sender.dead_letters()) == [5]


def test_a_half_that_was_taken_in_part_is_finished_before_the_other_half_is_settled(
    platform: Platform, sender: Sender
) -> None:
    def forgetful(request: Request) -> Answer:
        if max(request.seqs) > 5:
            return Answer(400, b"bad")
        answer = platform.well_behaved(request)
        if request.seqs == [1, 2, 3, 4, 5]:
            del platform.stored[request.body["epoch"]][5]
            return acknowledged(request.body["epoch"], 4)
        return answer

    platform.scripted = ("records",)
    platform.always = forgetful
    sender.write(9)
    sender.start(platform.url)
    sender.until_settled()
    assert set(platform.stored[sender.store.epoch]) == {1, 2, 3, 4, 5}
    assert list(sender.dead_letters()) == [6, 7, 8, 9, 10, 11]


def test_a_platform_that_lost_records_gets_them_again(
    platform: Platform, sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    sender.write(119)
    sender.start(platform.url)
    sender.until_settled()
    epoch = sender.store.epoch
    platform.stored[epoch] = {seq: digest for seq, digest in platform.stored[epoch].items() if seq <= 30}
    sender.write(1)
    sender.until_settled()
    assert has_each_once(platform, sender.store)
    assert "lost records after 30" in caplog.text
    assert sender.delivery is not None
    assert sender.delivery.contact.error == ""


def test_a_platform_that_lost_everything_gets_everything_again(platform: Platform, sender: Sender) -> None:
    sender.write(60)
    sender.start(platform.url)
    sender.until_settled()
    platform.stored.clear()
    sender.write(1)
    sender.until_settled()
    assert has_each_once(platform, sender.store)


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


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_credential_stops_sending_but_for_a_slow_probe(
    platform: Platform, sender: Sender, status: int
) -> None:
    platform.script.extend([Answer(status)] * 4)
    sender.write(9)
    delivery = sender.start(platform.url)
    sender.clock.await_waiting()
    assert "credential" in delivery.contact.hint
    elapsed_s = sender.until_settled()
    assert 4 * CAP_S / 2 <= elapsed_s <= 4 * CAP_S
    assert sender.dead_letters() == {}
    assert has_each_once(platform, sender.store)


@pytest.mark.parametrize(("asked", "least_s"), [("120", 120.0), ("99999999999", LONGEST_RETRY_AFTER_S), ("-7", 0.0)])
def test_a_platform_that_says_when_is_left_alone_until_then(
    platform: Platform, sender: Sender, asked: str, least_s: float
) -> None:
    records_only(platform, Answer(503, headers={"Retry-After": asked}))
    sender.write(1)
    sender.start(platform.url)
    assert least_s <= sender.until_settled() <= least_s + 2.0


def test_the_credential_is_in_no_log_and_no_status(
    platform: Platform, sender: Sender, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def echo(status: int) -> Act:
        return lambda request: Answer(status, request.headers["Authorization"].encode())

    sender.credential = tmp_path / "credential"
    sender.credential.write_text("s3cret-of-box-1")
    records_only(platform, echo(500), echo(401), echo(400))
    sender.write(1)
    with caplog.at_level(logging.DEBUG):
        delivery = sender.start(platform.url)
        sender.clock.await_waiting()
        assert "***" in delivery.contact.error
        shown = repr(delivery.contact)
        sender.until_settled()
    assert all(request.headers["Authorization"] == "Bearer s3cret-of-box-1" for request in platform.requests)
    assert "s3cret" not in shown + repr(delivery.contact) + caplog.text + repr(sender.dead_letters())


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
