"""The log behind one watermark per destination."""

import json
from pathlib import Path

from stored import BOOT, append, opened, start

from instrument_agent.buffer.outbox import Batch, Outbox, Queue, queue_of
from instrument_agent.buffer.reader import Reader
from instrument_agent.buffer.store import Store
from instrument_agent.core.canonical import canonical, record_hash


def seqs(batch: Batch | None) -> list[int]:
    return [] if batch is None else [entry.seq for entry in batch.entries]


def settle(outbox: Outbox, through_id: int, refused: dict[int, str] | None = None) -> None:
    outbox.settle(through_id, refused or {}, BOOT, 99)


def test_a_batch_is_the_oldest_that_is_not_settled(store: Store):
    outbox = Outbox(store, "province")
    append(store, 1, 2, 3)
    assert seqs(outbox.next_batch(3)) == [1, 2, 3]
    settle(outbox, 2)
    assert seqs(outbox.next_batch(10)) == [3, 4]
    settle(outbox, 4)
    assert outbox.next_batch(10) is None


def test_a_batch_holds_the_records_as_they_were_written(store: Store):
    append(store, 41)
    batch = Outbox(store, "province").next_batch(10)
    assert batch is not None
    assert batch.epoch == store.epoch
    stored = store.rows("select id, seq, body, hash from records order by id")
    assert [(entry.id, entry.seq, entry.body, entry.hash) for entry in batch.entries] == stored
    assert json.loads(batch.entries[1].body)["data"] == {"number": 41}


def test_a_batch_never_mixes_epochs(store: Store):
    outbox = Outbox(store, "province")
    append(store, 1)
    first = store.epoch
    second = store.begin_epoch(start(2))
    append(store, 2)
    batch = outbox.next_batch(100)
    assert batch is not None
    assert (batch.epoch, seqs(batch)) == (first, [1, 2])
    settle(outbox, batch.entries[-1].id)
    batch = outbox.next_batch(100)
    assert batch is not None
    assert (batch.epoch, seqs(batch)) == (second, [1, 2])


def test_what_stands_for_a_lost_record_ends_a_batch_for_the_next_one_names_another_hash(tmp_path: Path):
    store = opened(tmp_path)
    append(store, 1, 2, 3)
    lost = store.rows("select hash from records where seq = 2")[0][0]
    mark = json.loads(store.rows("select body from records where seq = 2")[0][0])
    mark |= {"type": "fault", "data": {"kind": "record_lost", "lost_hash": lost}}
    text = (canonical(mark).decode(), record_hash(mark))
    with store.write() as change:
        change.execute("update records set type = 'fault', body = ?, hash = ? where seq = 2", text)
    outbox, sent = Outbox(store, "province"), []
    while (batch := outbox.next_batch(100)) is not None:
        sent.append(seqs(batch))
        settle(outbox, batch.entries[-1].id)
    store.close()
    assert sent == [[1, 2], [3, 4]]


def test_the_watermark_is_kept_when_the_store_is_opened_again(tmp_path: Path):
    store = opened(tmp_path)
    append(store, 1, 2)
    settle(Outbox(store, "province"), 2)
    store.close()
    again = Store(tmp_path, "box-1")
    assert seqs(Outbox(again, "province").next_batch(10)) == [3]
    again.close()


def test_a_refused_record_is_kept_as_a_dead_letter_and_not_sent_again(store: Store):
    outbox = Outbox(store, "province")
    append(store, 1, 2)
    settle(outbox, 2, {2: "unknown type" * 100})
    assert seqs(outbox.next_batch(10)) == [3]
    assert store.rows("select destination, record_id, length(reason) from dead_letters") == [("province", 2, 500)]
    assert outbox.queue() == Queue(3, 1, 1, 1, BOOT, 99)


def test_one_destination_does_not_move_another(store: Store):
    province, university = Outbox(store, "province"), Outbox(store, "university")
    append(store, 1, 2)
    settle(province, 3, {2: "no"})
    assert seqs(university.next_batch(10)) == [1, 2, 3]
    assert university.queue() == Queue(3, 0, 3, 0, None, None)
    university.rewind(store.epoch, 0)
    assert province.queue() == Queue(3, 2, 0, 1, BOOT, 99)
    assert province.next_batch(10) is None


def test_a_rewind_sends_again_what_the_platform_lost(store: Store):
    outbox = Outbox(store, "province")
    append(store, 1, 2, 3)
    settle(outbox, 4)
    outbox.rewind(store.epoch, 2)
    assert seqs(outbox.next_batch(10)) == [3, 4]


def test_a_rewind_into_an_earlier_epoch_goes_through_all_that_follows(store: Store):
    outbox = Outbox(store, "province")
    append(store, 1, 2)
    first = store.epoch
    second = store.begin_epoch(start(2))
    settle(outbox, 4)
    outbox.rewind(first, 1)
    batch = outbox.next_batch(10)
    assert batch is not None
    assert (batch.epoch, seqs(batch)) == (first, [2, 3])
    settle(outbox, batch.entries[-1].id)
    batch = outbox.next_batch(10)
    assert batch is not None
    assert (batch.epoch, seqs(batch)) == (second, [1])


def test_a_rewind_never_moves_forward(store: Store):
    outbox = Outbox(store, "province")
    append(store, 1, 2, 3)
    settle(outbox, 1)
    for acked_through in (3, 4, 1000):
        outbox.rewind(store.epoch, acked_through)
        assert seqs(outbox.next_batch(10)) == [2, 3, 4]
    outbox.rewind("an epoch nobody knows", 0)
    assert seqs(outbox.next_batch(10)) == [2, 3, 4]


def test_a_record_that_was_refused_after_the_rewind_is_asked_about_again(store: Store):
    outbox = Outbox(store, "province")
    append(store, 1, 2, 3)
    settle(outbox, 4, {2: "no", 4: "no"})
    outbox.rewind(store.epoch, 2)
    assert outbox.queue() == Queue(4, 1, 2, 1, BOOT, 99)
    settle(outbox, 4)
    assert outbox.queue() == Queue(4, 3, 0, 1, BOOT, 99)


def test_the_last_seq_is_that_of_the_epoch(store: Store):
    outbox = Outbox(store, "province")
    first = store.epoch
    append(store, 1, 2)
    store.begin_epoch(start(2))
    assert (outbox.last_seq(first), outbox.last_seq(store.epoch), outbox.last_seq("none")) == (3, 1, 0)


def test_a_destination_that_was_never_seen_has_everything_waiting(store: Store, tmp_path: Path):
    append(store, 1)
    reader = Reader(tmp_path)
    assert queue_of(reader, "new") == Queue(2, 0, 2, 0, None, None)
    reader.close()


def test_a_destination_that_comes_back_goes_on_where_it_was(store: Store):
    append(store, 1)
    settle(Outbox(store, "province"), 2)
    assert Outbox(store, "province").next_batch(10) is None
