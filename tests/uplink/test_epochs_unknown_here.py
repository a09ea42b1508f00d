"""A platform knows epochs of this box that its database does not: an older card was put back, or one was cloned."""

import json
from typing import Any

import pytest
from fake_clock import FakeClock
from scripted_platform import Answer, Platform
from sender import Sender

from instrument_agent.buffer.outbox import MOST_UNKNOWN, strange_epochs
from instrument_agent.uplink.delivery import COMPARE_EVERY_NS

HOUR_S = COMPARE_EVERY_NS / 1e9
STRANGE = "99999999-9999-4999-8999-999999999999"


def faults(sender: Sender) -> list[dict[str, Any]]:
    rows = sender.store.rows("select body from records where type = 'fault' order by id")
    return [json.loads(body)["data"] for (body,) in rows]


def test_each_of_them_is_said_once(platform: Platform, sender: Sender, clock: FakeClock) -> None:
    platform.stored[STRANGE] = {1: "a", 2: "b"}
    platform.stored["nothing was stored of this one"] = {}
    sender.write(9)
    sender.start(platform.url)
    clock.run(3 * HOUR_S + 300)
    said = {"kind": "epoch_unknown_here", "epoch": STRANGE, "acked_through": 2, "shown_by": "platform:province"}
    assert faults(sender) == [said]
    assert strange_epochs(sender.store) == [said]
    platform.stored["another"] = {1: "a"}
    clock.run(HOUR_S + 300)
    assert [fault["epoch"] for fault in faults(sender)] == [STRANGE, "another"]


def test_a_platform_that_tells_of_everybodys_epochs_does_not_fill_the_log(
    platform: Platform, sender: Sender, clock: FakeClock
) -> None:
    platform.stored |= {f"of box {number}": {1: "a"} for number in range(MOST_UNKNOWN - 1)}
    sender.start(platform.url)
    clock.run(HOUR_S + 300)
    platform.stored |= {f"of box {number}": {1: "a"} for number in range(3 * MOST_UNKNOWN)}
    clock.run(2 * HOUR_S + 300)
    assert len(faults(sender)) == MOST_UNKNOWN


def test_the_fault_itself_is_delivered(platform: Platform, sender: Sender) -> None:
    platform.stored[STRANGE] = {1: "a"}
    sender.start(platform.url)
    sender.clock.run(120)
    assert len(platform.stored[sender.store.epoch]) == sender.outbox.queue().made


@pytest.mark.parametrize("mark", [-1, 2**53, 10**30])
@pytest.mark.parametrize("epoch", [STRANGE, "x" * 65])
def test_an_answer_that_fits_into_no_record_is_left_alone(
    platform: Platform, sender: Sender, clock: FakeClock, epoch: str, mark: int
) -> None:
    platform.scripted = ("watermark",)
    platform.always = Answer(body={"epochs": [{"epoch": epoch, "acked_through": mark}]})
    sender.write(3)
    delivery = sender.start(platform.url)
    clock.run(HOUR_S + 60)
    assert delivery.is_alive()
    assert faults(sender) == []
