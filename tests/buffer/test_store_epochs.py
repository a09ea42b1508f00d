"""Epochs, sequence numbers and the chain."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from stored import BOOT, append, fault, on_disk, opened, refuse, start, verified_chain

from instrument_agent.buffer.books import LastEpoch, last_epoch, save_stop
from instrument_agent.buffer.store import Store
from instrument_agent.core.canonical import record_hash
from instrument_agent.core.errors import StoreUnavailable


def test_the_first_record_of_the_first_epoch_names_nothing_before_it(store: Store, tmp_path: Path):
    (records,) = verified_chain(tmp_path).values()
    assert [record["type"] for record in records] == ["epoch_started"]
    assert records[0]["data"] == {"agent_version": "0.1.0", "config_hash": "c0ffee"}


def test_every_start_is_a_new_epoch_that_names_the_end_of_the_one_before(tmp_path: Path):
    for number in (1, 2, 3):
        store = opened(tmp_path)
        append(store, number)
        store.close()
    epochs = list(verified_chain(tmp_path).items())
    assert len(epochs) == 3
    for (before, ended), (_epoch, begun) in pairwise(epochs):
        first = begun[0]["data"]
        assert first["previous_epoch"] == before
        assert (first["previous_seq"], first["previous_hash"]) == (2, record_hash(ended[-1]))


def test_a_chain_begins_anew_with_each_epoch(store: Store, tmp_path: Path):
    append(store, 1)
    store.begin_epoch(start(2))
    append(store, 2)
    assert [len(records) for records in verified_chain(tmp_path).values()] == [2, 2]


def test_a_card_restored_from_an_old_image_uses_no_number_again(tmp_path: Path):
    card, image = tmp_path / "card", tmp_path / "image"
    card.mkdir()
    store = opened(card)
    append(store, 1)
    store.close()
    shutil.copytree(card, image)
    ends = []
    for state_dir in (card, image):
        resumed = opened(state_dir)
        append(resumed, 2)
        resumed.close()
        ends.append({(epoch, record["seq"]) for epoch, items in verified_chain(state_dir).items() for record in items})
    assert len(ends[0] & ends[1]) == 2  # what was written before the image was taken
    assert len(ends[0] | ends[1]) == 2 + 2 + 2


def test_numbers_are_gapless_in_each_epoch_with_many_writers(store: Store, tmp_path: Path):
    together = threading.Barrier(8)

    def write(writer: int) -> None:
        together.wait()
        for number in range(20):
            append(store, writer * 100 + number, writer * 100 + 50 + number)

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(write, writer) for writer in range(8)]:
            done.result()
    records = verified_chain(tmp_path)[store.epoch]
    assert len(records) == 1 + 8 * 20 * 2
    numbers = [record["data"]["number"] for record in records[1:]]
    assert sorted(numbers) == sorted(
        writer * 100 + more + number for writer in range(8) for number in range(20) for more in (0, 50)
    )
    for first, second in zip(numbers[::2], numbers[1::2], strict=True):
        assert second == first + 50  # nobody wrote in the middle of another's transaction


def test_a_record_that_cannot_be_written_takes_no_number(store: Store, tmp_path: Path):
    def append_float() -> None:
        with store.write() as change:
            change.append(fault(1))
            change.append(fault(1.5))  # type: ignore[arg-type]

    with pytest.raises(ValueError, match="floats"):
        append_float()
    append(store, 2)
    records = verified_chain(tmp_path)[store.epoch]
    assert [record["data"].get("number") for record in records] == [None, 2]


def test_an_epoch_that_cannot_begin_leaves_the_one_before_it(store: Store, tmp_path: Path):
    append(store, 1)
    before = store.epoch
    refuse(store, "records")
    with pytest.raises(StoreUnavailable):
        store.begin_epoch(start(2))
    assert store.epoch == before
    refuse(store, None)
    append(store, 2)
    (records,) = verified_chain(tmp_path).values()
    assert [record["data"].get("number") for record in records] == [None, 1, 2]


def test_facts_wake_their_listeners_and_nothing_else_does(store: Store):
    woken = threading.Event()
    store.listen(woken)
    with store.write() as change:
        change.execute("insert into configured (instrument_id, data) values ('xrd-1', '{}')")
    assert not woken.is_set()
    append(store, 1)
    assert woken.is_set()


def test_a_fact_that_was_not_kept_wakes_nobody(store: Store):
    woken = threading.Event()
    store.listen(woken)

    def fail() -> None:
        with store.write() as change:
            change.append(fault(1))
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError):
        fail()
    assert not woken.is_set()


def test_an_epoch_knows_whether_the_agent_ended_it_itself(tmp_path: Path):
    store = Store(tmp_path, "box-1")
    assert last_epoch(store) is None
    store.begin_epoch(start())
    assert last_epoch(store) == LastEpoch(BOOT, None)
    with store.write() as change:
        save_stop(change, store.epoch, 77)
    assert last_epoch(store) == LastEpoch(BOOT, 77)
    store.begin_epoch(start(2, boot_id="another"))
    assert last_epoch(store) == LastEpoch("another", None)
    store.close()
    assert on_disk(tmp_path, "select count(*) from epochs") == [(2,)]
