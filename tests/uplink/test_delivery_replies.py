"""What is no acknowledgement frees nothing, and what a platform lost it gets again."""

import logging
import uuid
from pathlib import Path
from typing import Any

import pytest
from scripted_platform import SERVER_TIME, Act, Answer, Platform, Raw, Request, acknowledged
from sender import Sender, has_each_once, records_only

from instrument_agent.uplink.retry import CAP_S, LONGEST_RETRY_AFTER_S


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


def test_a_list_of_epochs_too_long_to_be_read_holds_up_no_record(platform: Platform, sender: Sender) -> None:
    epochs = [{"epoch": str(uuid.uuid4()), "acked_through": 3} for _start in range(15_000)]
    platform.scripted = ("watermark",)
    platform.always = Answer(body={"epochs": epochs, "server_time": SERVER_TIME})
    sender.write(9)
    sender.start(platform.url)
    sender.until_settled()
    assert has_each_once(platform, sender.store)
    assert platform.sent("watermark")


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


@pytest.mark.parametrize(
    "rejected",
    [None, "all", 7, {"seq": 3}, [3], [{"seq": "3", "reason": "x"}], [{"reason": "x"}], [{"seq": 3}]],
    ids=str,
)
def test_an_acknowledgement_that_does_not_say_what_was_refused_is_none(
    platform: Platform, sender: Sender, rejected: Any
) -> None:
    platform.refuses = {3}
    records_only(platform, lambda request: acknowledged(request.body["epoch"], 10, rejected))
    sender.write(9)
    sender.start(platform.url)
    sender.clock.await_waiting()
    assert sender.watermark == 0
    sender.until_settled()
    assert list(sender.dead_letters()) == [3], "not taken for stored"


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


@pytest.mark.parametrize("status", [401, 403, 429, 503])
def test_a_platform_that_refuses_and_says_for_how_long_is_left_alone_so_long(
    platform: Platform, sender: Sender, status: int
) -> None:
    records_only(platform, Answer(status, headers={"Retry-After": "3000"}))
    sender.write(1)
    sender.start(platform.url)
    assert 3000.0 <= sender.until_settled() <= 3002.0


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
