"""A damaged database is set aside as it is; what verifies goes on in a new one."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from damage import NAME, UTC_NS, filled, image, restarted
from stored import BOOT, append, on_disk, opened, start

from instrument_agent.buffer.books import intervals, states
from instrument_agent.buffer.outbox import Outbox
from instrument_agent.buffer.proofs import Proof, keep_proof
from instrument_agent.buffer.quarantine import open_books, why_damaged
from instrument_agent.buffer.reader import FILE_NAME, HEAD_NAME
from instrument_agent.buffer.store import SUSPECT_NAME
from instrument_agent.buffer.traces import Bucket, load_buckets, load_edges, save_buckets, save_edge
from instrument_agent.buffer.verify import verify
from instrument_agent.core.errors import StoreDamaged, StoreUnavailable
from instrument_agent.core.ledger import joined


def edit(state_dir: Path, *statements: str) -> None:
    with closing(sqlite3.connect(state_dir / FILE_NAME)) as connection:
        for sql in statements:
            assert connection.execute(sql).rowcount != 0 or "schema" in sql
        connection.commit()


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    filled(tmp_path / "box").close()
    return tmp_path / "box"


DAMAGE = {
    "a record": "update records set body = replace(body, '\"end_ms\":', '\"end_mz\":') where id = 120",
    "a hash": f"update records set hash = '{'0' * 64}' where id = 121",
    "a missing record": "delete from records where id = 122",
    "a column": "update records set type = 'fault' where id = 120",
    "a checkpoint": "update checkpoints set body = body || ' '",
    "an interval": "update intervals set end_ns = end_ns + 1 where rowid = 31",
    "an anchor": "update anchors set utc_ns = utc_ns + 1",
    "a watermark": "update destinations set acked_id = acked_id + 7",
    "an epoch": "update epochs set boot_id = replace(boot_id, '1', '3') where number = 2",
    "a text": "update configured set data = cast(x'c328' as text)",
    "a migration": "update _sqlite_migrations set name = 'm001_lof' where name like 'm001%'",
}


def test_a_schema_that_is_no_text_any_more_is_damage_like_any_other(state_dir: Path):
    raw = bytearray((state_dir / FILE_NAME).read_bytes())
    raw[raw.index(b"CREATE TABLE") + 8] = 0xA0  # SQLite quotes it when it complains, and Python cannot read that
    (state_dir / FILE_NAME).write_bytes(raw)
    assert why_damaged(state_dir)
    assert restarted(state_dir).facts


@pytest.mark.parametrize("sql", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_noticed_kept_aside_untouched_and_said_aloud(state_dir: Path, sql: str):
    edit(state_dir, sql)
    before = (state_dir / FILE_NAME).read_bytes()
    assert why_damaged(state_dir)
    after = restarted(state_dir)
    (aside,) = [path for path in state_dir.iterdir() if path.name.startswith(f"{FILE_NAME}.damaged-")]
    assert aside.read_bytes() == before
    (fault,) = after.faults
    assert (fault["kind"], fault["file"]) == ("database_damaged", aside.name)
    assert after.marks == after.named, "every lost record leaves a mark in its place, and nothing else does"
    assert why_damaged(state_dir) == ""
    assert fault["records_kept"] + fault["records_lost"] == 189


def test_an_undamaged_database_is_left_where_it_is(state_dir: Path):
    assert why_damaged(state_dir) == ""
    assert restarted(state_dir).faults == []
    assert not list(state_dir.glob("*damaged*"))


def test_what_was_acknowledged_is_not_sent_again_after_a_salvage(state_dir: Path):
    edit(state_dir, DAMAGE["an interval"])
    after = restarted(state_dir)
    assert len(after.facts) == 189 - 50
    assert after.marks == set()


def test_the_books_have_no_hole_after_a_salvage(state_dir: Path):
    edit(state_dir, DAMAGE["an interval"], "delete from intervals where rowid = 61", DAMAGE["a checkpoint"])
    store = open_books(state_dir, "box-1", UTC_NS)
    state = states(store)[NAME]
    chain = joined([*intervals(store, NAME, BOOT), state.line.open])
    assert [item.reason for item in chain].count("storage_fault") == 2
    assert state.silence[0].reason == "storage_fault"
    store.begin_epoch(start(99))
    report = verify(store, None)
    assert report.differences == []
    assert report.unproven["sessions"] == 4  # a run and the power of each
    store.close()


@pytest.mark.parametrize("content", [b"x" * 5000, b"SQLite format 3\0" + bytes(8000)], ids=["garbage", "header only"])
def test_a_file_that_is_no_database_any_more_is_set_aside(state_dir: Path, content: bytes):
    (state_dir / FILE_NAME).write_bytes(content)
    after = restarted(state_dir)
    assert {fault["kind"] for fault in after.faults} == {"database_damaged", "tail_lost"}
    assert [path.read_bytes() for path in state_dir.glob("*.damaged-*-1")] == [content]


def test_records_are_read_from_the_bytes_where_sqlite_reads_nothing(state_dir: Path):
    written = {(e, s): (b, h) for e, s, b, h in on_disk(state_dir, "select epoch, seq, body, hash from records")}
    raw = bytearray((state_dir / FILE_NAME).read_bytes())
    raw[:16] = bytes(16)
    (state_dir / FILE_NAME).write_bytes(raw)
    assert restarted(state_dir).facts == written


def test_a_kill_between_the_renames_is_made_good(state_dir: Path, tmp_path: Path):
    edit(state_dir, DAMAGE["an interval"])
    whole = image(open_books(state_dir, "box-1", UTC_NS), tmp_path / "whole")
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "salvage").mkdir()
    for part in whole.glob(f"{FILE_NAME}*"):
        inside = part.name in (FILE_NAME, f"{FILE_NAME}-wal")
        part.rename(tmp_path / "cut" / ("salvage" if inside else ".") / part.name)
    store = open_books(tmp_path / "cut", "box-1", UTC_NS)
    assert store.rows("select count(*) from records") == [(189,)]
    store.close()


def test_a_record_that_changed_under_the_running_agent_is_never_sent(state_dir: Path):
    store = open_books(state_dir, "box-1", UTC_NS)
    outbox = Outbox(store, "province")
    outbox.rewind(store.rows("select epoch from records order by id limit 1")[0][0], 1)
    edit(state_dir, "update records set body = replace(body, 'running_ms', 'running_mt') where id = 10")
    with pytest.raises(StoreDamaged):
        outbox.next_batch(100)
    assert store.damage
    store.close()
    assert (state_dir / SUSPECT_NAME).exists()
    after = restarted(state_dir)
    assert after.faults[0]["kind"] == "database_damaged"
    assert not (state_dir / SUSPECT_NAME).exists()


def foreign(state_dir: Path) -> None:
    edit(state_dir, *(f"drop table {name}" for name in ("epochs", "records", "checkpoints", "_sqlite_migrations")))


def newer(state_dir: Path) -> None:
    edit(
        state_dir,
        "insert into _sqlite_migrations (migration_set, name, applied_at) values ('instrument_agent', 'm999_x', 'y')",
    )


@pytest.mark.parametrize(("change", "words"), [(foreign, "not one of this agent"), (newer, "newer version")])
def test_what_is_not_ours_to_mend_is_named_and_left_alone(state_dir: Path, change: Callable[[Path], None], words: str):
    change(state_dir)
    before = (state_dir / FILE_NAME).read_bytes()
    with pytest.raises(StoreUnavailable, match=words) as caught:
        open_books(state_dir, "box-1", UTC_NS)
    assert not isinstance(caught.value, StoreDamaged)
    assert caught.value.hint
    assert (state_dir / FILE_NAME).read_bytes() == before
    assert not list(state_dir.glob("*damaged*"))


def test_a_cut_off_end_is_named_by_the_head_file(tmp_path: Path):
    store = filled(tmp_path / "box")
    epoch = store.epoch
    cut = image(store, tmp_path / "cut")
    store.close()
    (cut / f"{FILE_NAME}-wal").unlink()
    kept = on_disk(cut, f"select coalesce(max(seq), 0) from records where epoch = '{epoch}'")[0][0]
    after = restarted(cut)
    (fault,) = after.faults
    assert fault == {"kind": "tail_lost", "epoch": epoch, "from_seq": kept + 1, "to_seq": 63, "shown_by": "head_file"}


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"epoch": "x", "seq": 900, "hash": "", "id": 1, "sum": "0"}'])
def test_a_missing_or_unreadable_head_file_is_no_failure(state_dir: Path, content: bytes | None):
    if content is None:
        (state_dir / HEAD_NAME).unlink()
    else:
        (state_dir / HEAD_NAME).write_bytes(content)
    assert restarted(state_dir).faults == []


def test_the_head_file_follows_records_and_not_checkpoints(tmp_path: Path):
    store = opened(tmp_path)
    append(store, 1)
    before = (tmp_path / HEAD_NAME).stat().st_mtime_ns
    assert json.loads((tmp_path / HEAD_NAME).read_text())["seq"] == 2
    with store.write() as change:
        change.execute("insert into configured (instrument_id, data) values ('x', '{}')")
    assert (tmp_path / HEAD_NAME).stat().st_mtime_ns == before
    store.close()


def test_an_end_that_only_the_platform_has_is_said_once(store):
    epoch = store.epoch
    append(store, 1)
    outbox = Outbox(store, "province")
    store.begin_epoch(start(5))
    for _again in range(2):
        outbox.note_high_water({epoch: 7, store.epoch: 99}, BOOT, 1)
    said = [json.loads(body)["data"] for (body,) in store.rows("select body from records where type = 'fault'")]
    assert said[1:] == [
        {"kind": "tail_lost", "epoch": epoch, "from_seq": 3, "to_seq": 7, "shown_by": "platform:province"}
    ]
    assert outbox.last_seq(epoch) == 7


def test_traces_and_proofs_are_kept_and_a_trace_that_was_changed_is_not(state_dir: Path):
    store = open_books(state_dir, "box-1", UTC_NS)
    with store.write() as change:
        save_buckets(change, NAME, BOOT, [Bucket(1, 5.0, 5.5, 6.0, 10)])
        save_buckets(change, NAME, BOOT, [Bucket(20, 7.0, 7.5, 8.0, 10)])
        save_edge(change, NAME, BOOT, [(10_000, 5.0), (11_000, 900.0)])
        keep_proof(change, "province", Proof(store.epoch, 3, "ab" * 32, "sign", "key", ""))
    store.close()
    with closing(sqlite3.connect(state_dir / FILE_NAME)) as connection:
        connection.execute("update buckets set body = zeroblob(20) where id = 1")
        connection.execute(f"update records set hash = '{'0' * 64}' where id = 121")
        connection.commit()
    saved = open_books(state_dir, "box-1", UTC_NS)
    assert list(load_buckets(saved, NAME, BOOT)) == [Bucket(20, 7.0, 7.5, 8.0, 10)]
    assert load_edges(saved, NAME, BOOT) == [[(10_000, 5.0), (11_000, 900.0)]]
    assert [row[0] for row in saved.rows("select head_hash from proofs")] == ["ab" * 32]
