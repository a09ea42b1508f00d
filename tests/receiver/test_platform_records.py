"""Each record once, whatever is sent twice, late, damaged or out of turn."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from wire_box import Box, damaged, sealed

from instrument_agent.core.canonical import record_hash
from instrument_agent.receiver import Ledger

OTHER_EPOCH = "9a1e2f60-0f4c-4c55-8d0d-5c8d7f6e1b22"


def seqs(ledger: Ledger, box_id: str | None = None) -> list[int]:
    return [record["seq"] for record in ledger.records(box_id)]


def test_a_batch_is_stored_and_acknowledged_to_its_end(box: Box, ledger: Ledger) -> None:
    items = box.chain(3)
    reply = box.send(items)
    assert reply.status_code == 200
    assert reply.json() == {
        "epoch": box.epoch,
        "acked_through": 3,
        "rejected": [],
        "server_time": "2026-11-22T08:00:00.123Z",
    }
    assert ledger.records() == [item["record"] for item in items]


def test_the_same_batch_twice_changes_nothing(box: Box, ledger: Ledger) -> None:
    items = box.chain(3)
    first = box.send(items).json()
    before = ledger.items()
    later = [{**item, "utc": {"at": "2026-11-22T07:59:59Z"}} for item in items]
    assert box.send(later).json() == first
    assert ledger.items() == before


def test_a_record_twice_in_one_batch_is_stored_once(box: Box, ledger: Ledger) -> None:
    [item] = box.chain(1)
    assert box.send([item, item]).json()["rejected"] == []
    assert seqs(ledger) == [1]


def test_another_record_under_a_stored_key_is_a_conflict_and_the_stored_one_stays(box: Box, ledger: Ledger) -> None:
    stored = box.chain(2)
    box.send(stored)
    reply = box.send(box.chain(2, at_ms=77)[1:]).json()
    assert reply["rejected"] == [{"seq": 2, "reason": "conflict"}]
    assert reply["acked_through"] == 2
    assert ledger.items() == stored
    assert [(refusal.seq, refusal.reason) for refusal in ledger.rejected(box.box_id)] == [(2, "conflict")]


def test_two_records_under_one_key_in_one_batch_leave_the_first(box: Box, ledger: Ledger) -> None:
    [first], [second] = box.chain(1), box.chain(1, at_ms=77)
    assert box.send([first, second]).json()["rejected"] == [{"seq": 1, "reason": "conflict"}]
    assert ledger.items() == [first]


def test_acknowledgement_stays_below_a_gap_and_jumps_when_it_is_filled(box: Box) -> None:
    items = box.chain(6)
    assert box.send(items[:2]).json()["acked_through"] == 2
    assert box.send(items[3:5]).json()["acked_through"] == 2
    assert box.watermark() == {box.epoch: 2}
    assert box.send(items[2:3]).json()["acked_through"] == 5
    assert box.send(items[5:]).json()["acked_through"] == 6
    assert box.watermark() == {box.epoch: 6}


def test_acknowledgement_starts_at_nothing_without_the_first_record(box: Box, ledger: Ledger) -> None:
    assert box.send(box.chain(2)[1:]).json()["acked_through"] == 0
    assert seqs(ledger) == [2]


def test_a_damaged_record_is_rejected_and_the_others_are_stored(box: Box, ledger: Ledger) -> None:
    items = box.chain(3)
    reply = box.send([items[0], damaged(items[1]), items[2]]).json()
    assert reply["rejected"] == [{"seq": 2, "reason": "hash_mismatch"}]
    assert reply["acked_through"] == 3, "a rejected record must not hold up the others"
    assert seqs(ledger) == [1, 3]
    assert box.watermark() == {box.epoch: 3}


def test_a_rejected_record_is_stored_when_it_comes_again_whole(box: Box, ledger: Ledger) -> None:
    [item] = box.chain(1)
    box.send([damaged(item)])
    assert [refusal.reason for refusal in ledger.rejected(box.box_id)] == ["hash_mismatch"]
    assert box.send([item]).json()["rejected"] == []
    assert seqs(ledger) == [1]
    assert ledger.rejected(box.box_id) == []
    assert box.watermark() == {box.epoch: 1}


def test_a_damaged_copy_does_not_touch_the_stored_record(box: Box, ledger: Ledger) -> None:
    [item] = box.chain(1)
    box.send([item])
    assert box.send([damaged(item)]).json()["rejected"] == [{"seq": 1, "reason": "hash_mismatch"}]
    assert ledger.items() == [item]


def test_a_rejection_sent_again_is_answered_again_and_remembered_once(box: Box, ledger: Ledger) -> None:
    [item] = box.chain(1)
    first = box.send([damaged(item)]).json()
    assert box.send([damaged(item)]).json() == first
    assert len(ledger.rejected(box.box_id)) == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"box_id": "box-2"}, "wrong_box", id="of another box"),
        pytest.param({"epoch": OTHER_EPOCH}, "wrong_epoch", id="of another epoch"),
        pytest.param({"type": "Run Session"}, "schema: type: ", id="type not a name"),
        pytest.param({"boot_id": "6F1D8F3E-52F0-4F6E-8B9A-0C7F2D1E4A55"}, "schema: boot_id: ", id="upper-case uuid"),
        pytest.param({"prev_hash": "0" * 64 + "\n"}, "schema: prev_hash: ", id="line end after a hash"),
        pytest.param({"at_ms": -1}, "schema: at_ms: ", id="negative time"),
        pytest.param({"instrument_id": ""}, "schema: instrument_id: ", id="empty instrument"),
        pytest.param({"data": {"on": True}}, "schema: data/on: ", id="boolean"),
        pytest.param({"data": {"list": [{"x": None}]}}, "schema: data/list/0/x: ", id="null deep inside"),
        pytest.param({"note": None}, "schema: note: ", id="null in an unknown member"),
    ],
)
def test_a_record_that_breaks_the_contract_is_rejected_with_its_reason(
    box: Box, ledger: Ledger, changes: dict[str, Any], reason: str
) -> None:
    assert [refusal["seq"] for refusal in box.send(box.chain(1, **changes)).json()["rejected"]] == [1]
    [refusal] = ledger.rejected(box.box_id)
    assert refusal.reason.startswith(reason)
    assert ledger.records() == []
    assert box.watermark() == {box.epoch: 1}


@pytest.mark.parametrize("value", [1.5, 1.0, 2**53, -(2**53)])
def test_numbers_that_machines_write_differently_are_rejected(box: Box, ledger: Ledger, value: float) -> None:
    # Such a record has no canonical form, so the sender cannot have its hash either.
    [item] = box.chain(1)
    reply = box.send([{**item, "record": {**item["record"], "data": {"x": value}}}]).json()
    assert reply["rejected"][0]["reason"].startswith("schema: data/x: ")
    assert ledger.records() == []


@pytest.mark.parametrize("member", sorted({"box_id", "epoch", "type", "boot_id", "at_ms", "prev_hash", "data"}))
def test_a_record_without_a_required_member_is_rejected(box: Box, member: str) -> None:
    [item] = box.chain(1)
    record = {name: value for name, value in item["record"].items() if name != member}
    [refusal] = box.send([sealed(record)]).json()["rejected"]
    assert member in refusal["reason"]


def test_half_a_surrogate_pair_is_rejected_and_not_a_bug(box: Box, ledger: Ledger) -> None:
    items = box.chain(2)
    items[0]["record"]["data"] = {"\ud800": "\ud800"}
    reply = box.send(items)
    assert (reply.status_code, reply.json()["acked_through"]) == (200, 2)
    assert seqs(ledger) == [2]


def test_a_reason_can_be_kept_whatever_the_sender_wrote(box: Box, ledger: Ledger) -> None:
    [item] = box.chain(1)
    item["record"]["data"] = {"\ud800\u0000": ["x" * 10_000, None]}
    [refusal] = box.send([item]).json()["rejected"]
    assert refusal["reason"].isprintable()
    assert len(refusal["reason"]) <= 200
    assert [kept.reason for kept in ledger.rejected(box.box_id)] == [refusal["reason"]]


def test_a_record_nested_without_end_is_rejected_and_not_a_bug(box: Box, ledger: Ledger) -> None:
    items = box.chain(2)
    nested: Any = 1
    for _level in range(400):
        nested = [nested]
    items[0]["record"]["data"] = {"x": nested}
    reply = box.send(items)
    assert (reply.status_code, reply.json()["acked_through"]) == (200, 2)
    assert reply.json()["rejected"] == [{"seq": 1, "reason": "schema: nested too deeply"}]
    assert seqs(ledger) == [2]


def test_a_type_and_members_of_tomorrow_are_stored_as_they_are(box: Box, ledger: Ledger) -> None:
    items = box.chain(1, type="beam_dump", colour={"rgb": [1, 2, 3]})
    assert box.send(items).json()["rejected"] == []
    assert ledger.records() == [items[0]["record"]]


def test_a_stored_record_still_has_its_hash(box: Box, ledger: Ledger) -> None:
    items = box.chain(
        1, type="beam_dump", data={"text": '"\\\u0000\u2028 炉 😀', "zero": 0, "big": -(2**53) + 1, "empty": [{}, []]}
    )
    box.send(items)
    [record] = ledger.records()
    assert record_hash(record) == items[0]["hash"]


def test_utc_of_the_sender_is_kept_outside_the_record(box: Box, ledger: Ledger) -> None:
    [item] = box.chain(1)
    item["utc"] = {"at": "2026-11-22T07:59:59Z", "error_s": 0.25}
    box.send([item])
    assert ledger.items() == [item]
    assert "utc" not in ledger.records()[0]


def test_two_boxes_with_the_same_epoch_are_kept_apart(box: Box, ledger: Ledger) -> None:
    other = replace(box, box_id="box-2")
    box.send(box.chain(3))
    assert other.send(other.chain(1)).json() == {**box.send(box.chain(3)).json(), "acked_through": 1}
    assert seqs(ledger, "box-1") == [1, 2, 3]
    assert seqs(ledger, "box-2") == [1]
    assert (box.watermark(), other.watermark()) == ({box.epoch: 3}, {box.epoch: 1})


def test_epochs_are_listed_in_the_order_they_arrived(box: Box, ledger: Ledger) -> None:
    later = replace(box, epoch="00000000-0000-4000-8000-000000000000")
    box.send(box.chain(4)[2:])
    later.send(later.chain(1))
    box.send(box.chain(4)[:2])
    arrived = [(record["epoch"], record["seq"]) for record in ledger.records()]
    assert arrived == [(box.epoch, 1), (box.epoch, 2), (box.epoch, 3), (box.epoch, 4), (later.epoch, 1)]
    assert list(box.watermark().items()) == [(box.epoch, 4), (later.epoch, 1)]


def test_a_box_never_heard_of_has_no_watermark(box: Box) -> None:
    assert box.watermark() == {}


def test_batches_sent_at_once_by_eight_threads_store_each_record_once(box: Box, ledger: Ledger) -> None:
    items = box.chain(40)
    # Every thread sends everything, in overlapping batches and in its own order.
    batches = [items[start : start + 10] for start in range(0, 40, 5)]

    def send_all(first: int) -> list[tuple[int, Any]]:
        replies = [box.send(batch) for batch in batches[first:] + batches[:first]]
        return [(reply.status_code, reply.json().get("rejected")) for reply in replies]

    with ThreadPoolExecutor(8) as pool:
        answers = [answer for answered in pool.map(send_all, range(8)) for answer in answered]
    assert answers == [(200, [])] * 64
    assert ledger.items() == items
    assert box.watermark() == {box.epoch: 40}


def test_rivals_for_one_key_leave_exactly_one_record(box: Box, ledger: Ledger) -> None:
    rivals = [box.chain(1, at_ms=ms) for ms in range(8)]
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda items: box.send(items).json(), rivals))
    refused = [reply["rejected"] for reply in replies if reply["rejected"]]
    assert refused == [[{"seq": 1, "reason": "conflict"}]] * 7
    assert len(ledger.records()) == 1
