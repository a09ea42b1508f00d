"""What does not fit is stored and shown, never lost and never hidden."""

import uuid
from dataclasses import replace
from typing import Any

import pytest
from wire_box import BOOT, Box, damaged, sealed

from instrument_agent.receiver import Ledger
from instrument_agent.receiver.views import oddities

OTHER_BOOT = "6f1d8f3e-52f0-4f6e-8b9a-0c7f2d1e4a56"
SECOND = "9a1e2f60-0f4c-4c55-8d0d-5c8d7f6e1b22"
THIRD = "9a1e2f60-0f4c-4c55-8d0d-5c8d7f6e1b33"


def kinds(ledger: Ledger, box_id: str = "box-1") -> list[tuple[str, int]]:
    return [(item.kind, item.seq) for item in oddities(ledger, box_id)]


def relinked(item: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return sealed({**item["record"], **changes})


def beginning(box: Box, previous: dict[str, Any]) -> dict[str, Any]:
    [item] = box.chain(1, type="epoch_started")
    named = {"previous_epoch": previous["epoch"], "previous_seq": previous["seq"]}
    return relinked(item, data={**named, "previous_hash": sealed(previous)["hash"]})


def test_a_whole_chain_has_none(box: Box, ledger: Ledger) -> None:
    items = box.chain(4)
    for batch in (items[2:], items[:3]):  # also when it comes out of turn
        box.send(batch)
    later = replace(box, epoch=SECOND)
    later.send([beginning(later, items[3]["record"])])
    assert kinds(ledger) == []


@pytest.mark.parametrize("turn", [1, -1])
def test_a_record_that_does_not_link_is_stored_and_shown_in_whatever_order_it_comes(
    box: Box, ledger: Ledger, turn: int
) -> None:
    items = box.chain(4)
    items[2] = relinked(items[2], prev_hash="a" * 64)
    for item in items[::turn]:
        assert box.send([item]).json()["rejected"] == []
    assert kinds(ledger) == [("broken_link", 3), ("broken_link", 4)]
    assert len(ledger.records()) == 4


def test_a_chain_that_begins_in_the_middle_of_another_is_shown(box: Box, ledger: Ledger) -> None:
    box.send([relinked(box.chain(1)[0], prev_hash="a" * 64)])
    assert kinds(ledger) == [("broken_link", 1)]


def test_the_mark_of_a_record_that_was_lost_on_the_box_keeps_the_chain(box: Box, ledger: Ledger) -> None:
    items = box.chain(3)
    data = {"kind": "record_lost", "lost_hash": items[1]["hash"]}
    items[1] = relinked(items[1], type="fault", data=data)
    assert box.send(items).json()["rejected"] == []
    assert kinds(ledger) == []


def test_a_gap_is_shown_until_it_is_filled(box: Box, ledger: Ledger) -> None:
    items = box.chain(4)
    box.send(items[:1] + items[2:])
    assert kinds(ledger) == [("gap", 2)]
    box.send(items[1:2])
    assert kinds(ledger) == []


def test_conflicts_and_refusals_are_shown(box: Box, ledger: Ledger) -> None:
    box.send(box.chain(1))
    box.send(box.chain(1, at_ms=77))
    box.send([damaged(box.chain(2)[1])])
    assert kinds(ledger) == [("conflict", 1), ("rejected", 2)]


def test_two_epochs_that_follow_the_same_one_are_a_fork(box: Box, ledger: Ledger) -> None:
    items = box.chain(3)
    box.send(items)
    for epoch in (SECOND, THIRD):
        later = replace(box, epoch=epoch)
        later.send([beginning(later, items[2]["record"])])
    assert [(item.kind, item.epoch) for item in oddities(ledger, "box-1")] == [("fork", THIRD)]


def test_an_epoch_that_forgot_the_end_of_the_one_before_is_shown(box: Box, ledger: Ledger) -> None:
    items = box.chain(3)
    box.send(items)
    later = replace(box, epoch=SECOND)
    later.send([beginning(later, items[1]["record"])])
    assert [(item.kind, item.epoch) for item in oddities(ledger, "box-1")] == [("broken_epoch", SECOND)]


def test_an_epoch_that_names_another_record_than_was_sent_is_shown(box: Box, ledger: Ledger) -> None:
    items = box.chain(2)
    box.send(items)
    later = replace(box, epoch=SECOND)
    later.send([beginning(later, {**items[1]["record"], "at_ms": 99})])
    assert [(item.kind, item.epoch) for item in oddities(ledger, "box-1")] == [("broken_epoch", SECOND)]


def test_two_live_boxes_of_one_name_are_shown(box: Box, ledger: Ledger) -> None:
    for boot_id in (BOOT, BOOT, OTHER_BOOT, OTHER_BOOT):
        box.beat(boot_id=boot_id)
    assert kinds(ledger) == [], "that is a reboot"
    for boot_id in (BOOT, OTHER_BOOT, OTHER_BOOT):
        box.beat(boot_id=boot_id)
        assert kinds(ledger) == [], "that may have been a heartbeat that was on its way for long"
    box.beat(boot_id=BOOT)
    assert kinds(ledger) == [("two_boxes", 0)]
    assert ledger.heartbeats("box-1").two_boxes


def test_two_live_boxes_that_were_put_right_are_shown_until_the_next_boot(box: Box, ledger: Ledger) -> None:
    for boot_id in (BOOT, OTHER_BOOT) * 3:
        box.beat(boot_id=boot_id)
    assert kinds(ledger) == [("two_boxes", 0)]
    new = str(uuid.uuid4())
    box.beat(boot_id=new)
    assert kinds(ledger) == []
    for boot_id in (BOOT, new) * 2:
        box.beat(boot_id=boot_id)
    assert kinds(ledger) == [("two_boxes", 0)], "one of them was started anew, and both are alive"


def test_oddities_of_another_box_are_its_own(box: Box, ledger: Ledger) -> None:
    box.send(box.chain(3)[1:])
    assert (kinds(ledger), kinds(ledger, "box-2")) == ([("gap", 1)], [])
