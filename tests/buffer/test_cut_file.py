"""What is said of a file whose end is gone: what can be shown to be lost, and that it may not be all."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from damage import filled, image, restarted
from stored import fault
from walked_log import walked

from instrument_agent.buffer import salvage
from instrument_agent.buffer.faults import told
from instrument_agent.buffer.opening import look
from instrument_agent.buffer.reader import FILE_NAME, HEAD_NAME
from instrument_agent.core.errors import StoreUnavailable
from instrument_agent.core.rowsum import row_sum

MADE = 5 * 63


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    state_dir = tmp_path_factory.mktemp("whole") / "box"
    filled(state_dir, epochs=5).close()
    return state_dir


@pytest.fixture
def state_dir(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # There are 315 records; to look for 100,000 behind the cut takes seconds.
    monkeypatch.setattr(salvage, "TRIED_ONE_BY_ONE", 1000)
    return Path(shutil.copytree(whole, tmp_path / "box", ignore=shutil.ignore_patterns("ballast")))


def cut(state_dir: Path, share: float) -> None:
    path = state_dir / FILE_NAME
    os.truncate(path, int(share * path.stat().st_size))


@pytest.mark.parametrize("share", [0.9, 0.2])
def test_every_record_that_is_gone_is_counted_and_rows_are_not_called_complete(state_dir: Path, share: float):
    cut(state_dir, share)
    damaged, tail = restarted(state_dir).faults
    at_the_end = tail["to_seq"] - tail["from_seq"] + 1
    lost = damaged["records_lost"] + damaged.get("more_records_lost", 0) + at_the_end
    assert damaged["records_kept"] + lost == MADE
    assert "intervals" in damaged["unread"]
    assert "at least" in told(damaged)
    assert "not read to their end" in told(damaged)
    if share == 0.9:
        assert damaged["rows_kept"] > 100, "what lies before the cut is kept"
        assert damaged["rows_lost"] >= 1, "the hole before the checkpoint shows that an interval is gone"
    assert walked(state_dir).differences == [], "the new database is proven but for what is lost"


def test_epochs_of_which_nothing_is_left_are_named(state_dir: Path):
    with closing(sqlite3.connect(state_dir / FILE_NAME)) as connection:
        epochs = [epoch for (epoch,) in connection.execute("select epoch from epochs order by number")]
    cut(state_dir, 0.5)
    after = restarted(state_dir)
    lost = after.faults[0]["epochs_lost"]
    assert lost
    assert lost == epochs[-len(lost) :]
    assert all(epoch in told(after.faults[0]) for epoch in lost)
    assert set(lost).isdisjoint(epoch for epoch, _seq in after.facts)


def test_without_a_head_file_nobody_knows_how_many_records_are_gone(state_dir: Path):
    cut(state_dir, 0.5)
    (state_dir / HEAD_NAME).unlink()
    (damaged,) = restarted(state_dir).faults
    assert damaged["more_records_lost"] == "unknown"
    assert "how many records are missing is not known" in told(damaged)


def test_an_epoch_that_is_gone_is_marked_by_the_name_its_successor_gives_it_and_told_once(state_dir: Path):
    with closing(sqlite3.connect(state_dir / FILE_NAME)) as connection:
        gone = connection.execute("select epoch from epochs where number = 3").fetchone()[0]
        connection.execute("delete from records where epoch = ?", (gone,))
        connection.commit()
        connection.execute("vacuum")
    after = restarted(state_dir)
    assert after.faults[0]["lost"] == [{"epoch": gone, "from_seq": 1, "to_seq": 63}]
    assert after.faults[0]["records_lost"] == 63
    assert after.marks == after.named
    assert "more_records_lost" not in after.faults[0]
    assert walked(state_dir).differences == []
    with closing(sqlite3.connect(state_dir / FILE_NAME)) as connection:
        connection.execute("update intervals set end_ns = end_ns + 1 where rowid = 20")
        connection.commit()
    again = restarted(state_dir).faults[0]
    assert (again["records_lost"], again["rows_lost"]) == (0, 1)
    assert "more_records_lost" not in again


def test_what_is_recorded_after_the_loss_is_sent_although_more_had_been_acknowledged(state_dir: Path):
    with closing(sqlite3.connect(state_dir / FILE_NAME)) as connection:
        connection.execute("update destinations set acked_id = ?, row_sum = ?", (MADE, row_sum("province", MADE)))
        connection.commit()
    cut(state_dir, 0.6)
    after = restarted(state_dir)
    assert after.faults[0]["kind"] == "database_damaged"
    assert (after.facts, after.marks) == ({}, set()), "and nothing is sent again"


@pytest.mark.parametrize("gone", [lambda path: os.truncate(path, 0), os.unlink], ids=["empty", "no file"])
def test_where_only_the_wal_is_left_nobody_deletes_it_and_what_is_in_it_is_kept(
    tmp_path: Path, gone: Callable[[Path], None]
):
    store = filled(tmp_path / "running", epochs=1)
    state_dir = image(store, tmp_path / "box")
    store.close()
    path, wal = state_dir / FILE_NAME, state_dir / f"{FILE_NAME}-wal"
    gone(path)
    before = wal.read_bytes()
    with pytest.raises(StoreUnavailable):
        look(state_dir)
    assert wal.read_bytes() == before
    (damaged,) = restarted(state_dir).faults
    assert (damaged["records_kept"], damaged["records_lost"]) == (63, 0)
    assert [item.read_bytes() for item in state_dir.glob("*.damaged-*-wal")] == [before]
    assert walked(state_dir).differences == []


def test_a_wal_in_which_the_first_page_is_not_is_set_aside_and_what_is_lost_is_told(tmp_path: Path):
    store = filled(tmp_path / "running", epochs=1)
    store.rows("pragma wal_checkpoint(truncate)")
    with store.write() as change:
        change.append(fault(1))
    state_dir = image(store, tmp_path / "box")
    store.close()
    os.truncate(state_dir / FILE_NAME, 0)
    before = (state_dir / f"{FILE_NAME}-wal").read_bytes()
    damaged, tail = restarted(state_dir).faults
    assert damaged["records_lost"] + damaged.get("more_records_lost", 0) + tail["to_seq"] == 64
    assert [item.read_bytes() for item in state_dir.glob("*.damaged-*-wal")] == [before]
