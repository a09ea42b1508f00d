"""What a platform refused, or lost, is sent once more when somebody asks, after what is new; nothing else moves."""

import pytest
from scripted_platform import Answer, Platform, Raw, Request
from sender import LIMIT, Sender, has_each_once

from instrument_agent.buffer.resending import ask_again, dead_letters
from instrument_agent.buffer.store import Start


def again(sender: Sender, which: str, *place: object) -> int:
    count = ask_again(sender.store, "province", which, place)
    assert sender.delivery is not None
    sender.delivery.wake.set()
    sender.clock.await_waiting()
    return count


def refused(platform: Platform, sender: Sender, *seqs: int) -> None:
    """Bring a log to a platform that refuses some of it."""
    platform.refuses = set(seqs)
    sender.write(20)
    sender.start(platform.url)
    sender.until_settled()
    assert [letter.seq for letter in dead_letters(sender.store)] == list(seqs)
    platform.requests.clear()


def test_dead_letters_are_taken_once_the_platform_is_mended(platform: Platform, sender: Sender) -> None:
    refused(platform, sender, 3, 4, 9)
    platform.refuses = set()
    assert again(sender, "letters") == 3
    assert [request.seqs for request in platform.sent("records")] == [[3, 4], [9]], (
        "one signature covers what is tied together"
    )
    assert has_each_once(platform, sender.store)
    queue = sender.outbox.queue()
    assert (queue.acknowledged, queue.dead_lettered, queue.waiting) == (queue.made, 0, 0)


def test_one_that_is_refused_again_stays_with_its_new_reason_and_is_not_asked_about_for_ever(
    platform: Platform, sender: Sender
) -> None:
    refused(platform, sender, 3, 4)
    platform.refuses = {3}
    assert again(sender, "letters") == 2
    assert [(letter.seq, letter.reason, letter.again) for letter in dead_letters(sender.store)] == [
        (3, "schema: odd", False)
    ]
    assert len(platform.sent("records")) == 1


@pytest.mark.parametrize("status", [400, 422, 413])
def test_among_those_sent_again_a_poison_is_found_and_the_others_are_taken(
    platform: Platform, sender: Sender, status: int
) -> None:
    refused(platform, sender, 2, 3, 4, 5, 6, 7)
    platform.refuses = {5}
    platform.scripted = ("records",)
    platform.always = lambda request: Answer(status, b"bad") if 5 in request.seqs else platform.well_behaved(request)
    again(sender, "letters")
    assert [letter.seq for letter in dead_letters(sender.store)] == [5]
    assert str(status) in dead_letters(sender.store)[0].reason
    assert set(platform.stored[sender.store.epoch]) == set(range(1, sender.outbox.queue().made + 1)) - {5}


def test_a_reply_that_is_lost_is_waited_for_and_nothing_forgotten(platform: Platform, sender: Sender) -> None:
    refused(platform, sender, 3)
    platform.refuses = set()
    platform.scripted = ("records",)

    def lose(request: Request) -> Raw:
        platform.store(request)
        return Raw(())

    platform.script.append(lose)
    again(sender, "letters")
    assert [letter.again for letter in dead_letters(sender.store)] == [True]
    sender.clock.run_until(lambda: not dead_letters(sender.store))
    assert [request.seqs for request in platform.sent("records")] == [[3], [3]]


def test_a_stretch_is_sent_again_and_the_watermark_stays(platform: Platform, sender: Sender) -> None:
    refused(platform, sender)
    epoch, mark = sender.store.epoch, sender.watermark
    assert again(sender, "range", epoch, 5, 8) == 4
    assert [request.seqs for request in platform.sent("records")] == [[5, 6, 7, 8]]
    assert sender.watermark == mark
    assert again(sender, "range", epoch, 500, 800) == 0
    assert again(sender, "range", "no such epoch", 5, 8) == 0


def test_what_is_new_goes_first(platform: Platform, sender: Sender) -> None:
    refused(platform, sender)
    ask_again(sender.store, "province", "range", (sender.store.epoch, 2, 4))
    sender.write(3)
    sender.clock.await_waiting()
    made = sender.outbox.queue().made
    assert [request.seqs for request in platform.sent("records")] == [[made - 2, made - 1, made], [2, 3, 4]]


def test_epochs_are_not_mixed_and_parts_are_no_larger_than_a_batch(platform: Platform, sender: Sender) -> None:
    sender.write(LIMIT + 20)
    first = sender.store.epoch
    sender.store.begin_epoch(Start(sender.clock.boot_id, sender.clock.boottime_ns(), "0.1.0", "0" * 64))
    sender.write(5)
    sender.start(platform.url)
    sender.until_settled()
    platform.requests.clear()
    ask_again(sender.store, "province", "range", (first, 1, LIMIT + 10))
    assert again(sender, "range", sender.store.epoch, 1, 5) == 5
    sent = [(request.body["epoch"], len(request.seqs)) for request in platform.sent("records")]
    assert sent == [(first, LIMIT), (first, 10), (sender.store.epoch, 5)]


def test_what_waits_anyway_is_not_asked_for_twice(platform: Platform, sender: Sender) -> None:
    sender.write(5)
    assert ask_again(sender.store, "province", "range", (sender.store.epoch, 1, 5)) == 0
    sender.start(platform.url)
    sender.until_settled()
    assert len(platform.sent("records")) == 1


def test_an_asking_outlives_the_agent(platform: Platform, sender: Sender) -> None:
    refused(platform, sender, 3)
    platform.refuses = set()
    sender.stop()
    assert ask_again(sender.store, "province", "letter", (3,)) == 1
    assert ask_again(sender.store, "elsewhere", "letter", (3,)) == 0
    sender.start(platform.url)
    sender.clock.await_waiting()
    assert dead_letters(sender.store) == []
