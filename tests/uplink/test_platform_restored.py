"""A platform that was restored from an older backup gets again what it lost, of whatever epoch, and is asked for it."""

from typing import Any

import pytest
from fake_clock import FakeClock
from scripted_platform import Act, Answer, Platform, Request, acknowledged
from sender import LIMIT, Sender, has_each_once, records_only

from instrument_agent.buffer.store import Start
from instrument_agent.uplink.delivery import COMPARE_EVERY_NS
from instrument_agent.uplink.retry import CAP_S

HOUR_S = COMPARE_EVERY_NS / 1e9


def forget_after(platform: Platform, epoch: str, seq: int) -> None:
    platform.stored[epoch] = {known: digest for known, digest in platform.stored[epoch].items() if known <= seq}


def new_epoch(sender: Sender) -> str:
    clock = sender.clock
    return sender.store.begin_epoch(Start(clock.boot_id, clock.boottime_ns(), "0.1.0", "0" * 64))


@pytest.mark.parametrize("left", [0, 1, 20])
def test_what_an_idle_box_had_delivered_is_sent_again_within_the_hour(
    platform: Platform, sender: Sender, clock: FakeClock, left: int
) -> None:
    sender.write(59)
    sender.start(platform.url)
    sender.until_settled()
    forget_after(platform, sender.store.epoch, left)
    clock.run(HOUR_S + 60)
    assert has_each_once(platform, sender.store)


def test_a_loss_in_an_earlier_epoch_is_seen_while_the_newest_is_whole(
    platform: Platform, sender: Sender, clock: FakeClock
) -> None:
    first = sender.store.epoch
    sender.write(19)
    new_epoch(sender)
    sender.write(19)
    sender.start(platform.url)
    sender.until_settled()
    forget_after(platform, first, 7)
    clock.run(HOUR_S + 60)
    assert has_each_once(platform, sender.store)


def test_an_epoch_that_is_not_listed_at_all_is_sent_whole(platform: Platform, sender: Sender, clock: FakeClock) -> None:
    sender.write(19)
    new_epoch(sender)
    sender.write(3)
    sender.start(platform.url)
    sender.until_settled()
    platform.stored.clear()
    clock.run(HOUR_S + 60)
    assert has_each_once(platform, sender.store)


def test_a_platform_that_was_away_is_asked_at_once_when_it_is_back(platform: Platform, sender: Sender) -> None:
    first = sender.store.epoch
    sender.write(19)
    new_epoch(sender)
    sender.start(platform.url)
    sender.until_settled()
    platform.script.append(Answer(503))
    forget_after(platform, first, 3)
    sender.write(1)
    assert sender.until_settled() < 5
    sender.clock.await_waiting()
    assert has_each_once(platform, sender.store)


def test_a_platform_that_has_everything_is_asked_once_an_hour_and_sent_nothing_again(
    platform: Platform, sender: Sender, clock: FakeClock
) -> None:
    sender.write(19)
    sender.start(platform.url)
    sender.until_settled()
    clock.run(3 * HOUR_S + 300)
    assert len(platform.sent("watermark")) == 4
    assert len(platform.sent("records")) == 1


def test_refused_records_are_not_taken_for_lost(platform: Platform, sender: Sender, clock: FakeClock) -> None:
    platform.refuses = {4, 20}
    sender.write(19)
    sender.start(platform.url)
    sender.until_settled()
    clock.run(2 * HOUR_S)
    assert len(platform.sent("records")) == 1
    assert list(sender.dead_letters()) == [4, 20]


@pytest.mark.parametrize(
    "listed",
    [
        None,
        "all",
        7,
        [7],
        [{}],
        [{"epoch": "x"}],
        [{"epoch": [], "acked_through": 1}],
        [{"epoch": "x", "acked_through": "1"}],
    ],
    ids=str,
)
def test_an_answer_that_does_not_list_epochs_moves_nothing(
    platform: Platform, sender: Sender, clock: FakeClock, listed: Any
) -> None:
    sender.write(19)
    sender.start(platform.url)
    sender.until_settled()
    platform.scripted = ("watermark",)
    platform.always = Answer(body={"epochs": listed})
    clock.run(HOUR_S + 60)
    assert len(platform.sent("records")) == 1


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_question_that_is_refused_is_asked_again_and_ends_nothing(
    platform: Platform, sender: Sender, status: int
) -> None:
    platform.scripted = ("watermark",)
    platform.script.extend([Answer(status)] * 3)
    sender.write(9)
    delivery = sender.start(platform.url)
    sender.until_settled()
    assert delivery.is_alive()
    assert has_each_once(platform, sender.store)


def stubborn(platform: Platform, poison: int) -> Act:
    """Refuse one record as a whole batch, and yet not count it as settled."""

    def act(request: Request) -> Answer:
        if poison in request.seqs:
            return Answer(400, b"bad")
        platform.store(request)
        return acknowledged(request.body["epoch"], platform.acked_through(request.body["epoch"]))

    return act


def test_a_platform_that_never_passes_over_a_record_is_not_asked_without_pause(
    platform: Platform, sender: Sender, clock: FakeClock
) -> None:
    platform.scripted = ("records",)
    platform.always = stubborn(platform, 5)
    sender.write(LIMIT - 1)
    delivery = sender.start(platform.url)
    clock.run(CAP_S)
    assert "after 4" in delivery.contact.error
    assert len(platform.sent("records")) < 60
    platform.always = None
    sender.until_settled()
    assert has_each_once(platform, sender.store)


def test_a_whole_refusal_that_passes_is_healed_at_once(platform: Platform, sender: Sender) -> None:
    records_only(platform, Answer(400), Answer(400), Answer(400))
    sender.write(1)
    sender.start(platform.url)
    sender.write(9)
    sender.until_settled()
    sender.clock.await_waiting()
    assert has_each_once(platform, sender.store)
