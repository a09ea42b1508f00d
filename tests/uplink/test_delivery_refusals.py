"""A record the platform refuses is set aside, and holds up no other."""

from typing import Any

import pytest
from scripted_platform import Act, Answer, Platform, Request, acknowledged
from sender import Sender, has_each_once, records_only


def test_refused_records_are_kept_as_dead_letters_and_hold_up_nothing(platform: Platform, sender: Sender) -> None:
    platform.refuses = {3, 7, 60}
    sender.write(79)
    sender.start(platform.url)
    sender.until_settled()
    assert sender.dead_letters() == dict.fromkeys((3, 7, 60), "schema: odd")
    queue = sender.outbox.queue()
    assert (queue.made, queue.acknowledged, queue.dead_lettered) == (81, 78, 3)
    assert len(sender.store.rows("select id from records where id in (3, 7, 60)")) == 3


def test_a_refusal_of_what_is_not_settled_yet_refuses_nothing(platform: Platform, sender: Sender) -> None:
    def early(request: Request) -> Answer:
        platform.store(request)
        return acknowledged(request.body["epoch"], 5, [{"seq": 9, "reason": "later"}])

    records_only(platform, early)
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


def test_a_platform_that_refuses_whatever_it_is_asked_sets_no_record_aside(platform: Platform, sender: Sender) -> None:
    refused: list[str] = []

    def broken(request: Request) -> Answer:
        refused.append(request.what)
        return Answer(400, b"no such route") if len(refused) < 20 else platform.well_behaved(request)

    platform.scripted = ("records", "watermark")
    platform.script.append(platform.well_behaved)  # it was well when the box began
    platform.always = broken
    sender.write(9)
    sender.start(platform.url)
    sender.until_settled()
    assert sender.dead_letters() == {}
    assert has_each_once(platform, sender.store)
    assert refused.count("watermark") > 3


@pytest.mark.parametrize("told", [{}, {"epochs": "none"}, {"error": "log in"}], ids=str)
def test_what_refuses_records_and_is_no_platform_sets_none_aside(platform: Platform, sender: Sender, told: Any) -> None:
    answers: list[str] = []

    def portal(request: Request) -> Answer:
        answers.append(request.what)
        if len(answers) > 20:
            return platform.well_behaved(request)
        return Answer(400, b"no") if request.what == "records" else Answer(200, told)

    platform.scripted = ("records", "watermark")
    platform.always = portal
    sender.write(3)
    sender.start(platform.url)
    sender.until_settled()
    assert sender.dead_letters() == {}
    assert has_each_once(platform, sender.store)
