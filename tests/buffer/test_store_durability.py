"""What the database promises about the disk."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from stored import append, fault, on_disk, opened, verified_chain

from instrument_agent.buffer.reader import FILE_NAME
from instrument_agent.buffer.store import Store
from instrument_agent.core.errors import StoreDamaged, StoreUnavailable


def test_the_file_is_in_wal_mode(store: Store, tmp_path: Path):
    assert on_disk(tmp_path, "pragma journal_mode") == [("wal",)]


def test_every_commit_is_flushed_in_full(store: Store):
    assert store.rows("pragma synchronous") == [(2,)]


def test_what_was_committed_is_seen_by_another_connection(store: Store, tmp_path: Path):
    append(store, 1)
    assert on_disk(tmp_path, "select count(*) from records") == [(2,)]


@pytest.mark.parametrize("error", [RuntimeError("a bug"), KeyboardInterrupt()])
def test_a_transaction_that_raises_leaves_nothing_and_no_gap(store: Store, tmp_path: Path, error: BaseException):
    append(store, 1)

    def fail() -> None:
        with store.write() as change:
            change.execute("insert into configured (instrument_id, data) values ('xrd-1', '{}')")
            change.append(fault(9))
            raise error

    with pytest.raises(type(error)):
        fail()
    append(store, 2)
    (records,) = verified_chain(tmp_path).values()
    assert [record["data"].get("number") for record in records] == [None, 1, 2]
    assert on_disk(tmp_path, "select count(*) from configured") == [(0,)]


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("insert into epochs (epoch, boot_id, started_ns) values ('x', null, 1)", sqlite3.IntegrityError),
        ("insert into epochs (epochs) values ('x')", sqlite3.OperationalError),
        ("insert into epochs (epoch) values (?)", sqlite3.ProgrammingError),
    ],
)
def test_a_wrong_statement_is_a_bug_and_leaves_nothing_and_no_gap(
    store: Store, tmp_path: Path, statement: str, error: type[Exception]
):
    def mistaken() -> None:
        with store.write() as change:
            change.append(fault(9))
            change.execute(statement)

    with pytest.raises(error):
        mistaken()
    append(store, 1)
    assert len(verified_chain(tmp_path)[store.epoch]) == 2


def full(store: Store) -> None:
    (pages,) = store.rows("pragma page_count")[0]
    store.rows(f"pragma max_page_count={pages}")


def locked(store: Store) -> None:
    store.rows("pragma busy_timeout=20")
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("begin immediate")


def read_only(store: Store) -> None:
    store.rows("pragma query_only=1")


@pytest.mark.parametrize("fail", [full, locked, read_only])
def test_a_disk_that_takes_nothing_is_unavailable_and_no_damage(store: Store, fail: Callable[[Store], None]):
    fail(store)
    with pytest.raises(StoreUnavailable) as caught:
        append(store, *range(1000))
    assert not isinstance(caught.value, StoreDamaged)
    assert caught.value.hint
    assert store.damage == ""


def test_pages_that_do_not_fit_together_are_damage(store: Store):
    append(store, *range(2000))
    store.rows("pragma wal_checkpoint(truncate)")
    raw = bytearray(store.path.read_bytes())
    for page in range(4096, len(raw), 4096):
        raw[page : page + 16] = b"\xff" * 16
    store.path.write_bytes(raw)
    store.rows("pragma cache_size=0")
    with pytest.raises(StoreDamaged):
        store.rows("select sum(length(body)) from records")
    assert store.damage


def test_a_store_that_is_closed_says_so(tmp_path: Path):
    store = opened(tmp_path)
    store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        store.rows("select 1")
    with pytest.raises(StoreUnavailable, match="closed"):
        append(store, 1)


def test_a_writer_that_is_killed_loses_only_what_it_had_not_committed(tmp_path: Path):
    script = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from stored import append, fault, opened
store = opened(Path({str(tmp_path)!r}))
append(store, 1)
append(store, 2)
with store.write() as change:
    change.append(fault(3))
    print("in the middle", flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "in the middle\n"
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
    (records,) = verified_chain(tmp_path).values()
    assert [record["data"].get("number") for record in records] == [None, 1, 2]
    opened(tmp_path).close()
    assert len(verified_chain(tmp_path)) == 2


def test_a_file_that_is_no_database_is_refused_and_not_touched(tmp_path: Path):
    garbage = b"these are a student's notes, not a database\n" * 200
    (tmp_path / FILE_NAME).write_bytes(garbage)
    with pytest.raises(StoreUnavailable) as caught:
        Store(tmp_path, "box-1")
    assert caught.value.hint
    assert (tmp_path / FILE_NAME).read_bytes() == garbage
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_a_database_of_somebody_else_is_refused_and_not_touched(tmp_path: Path):
    foreign = sqlite3.connect(tmp_path / FILE_NAME)
    foreign.execute("create table bookings (name text)")
    foreign.commit()
    foreign.close()
    before = (tmp_path / FILE_NAME).read_bytes()
    with pytest.raises(StoreUnavailable, match="not one of this agent") as caught:
        Store(tmp_path, "box-1")
    assert caught.value.hint
    assert (tmp_path / FILE_NAME).read_bytes() == before


def test_a_directory_that_is_not_there_is_an_error_of_the_store(tmp_path: Path):
    with pytest.raises(StoreUnavailable):
        Store(tmp_path / "nowhere", "box-1")


def test_a_file_that_was_made_but_never_filled_becomes_a_database(tmp_path: Path):
    (tmp_path / FILE_NAME).touch()
    opened(tmp_path).close()
    assert len(verified_chain(tmp_path)) == 1


def test_opening_again_keeps_everything(tmp_path: Path):
    first = opened(tmp_path)
    append(first, 1, 2)
    first.close()
    before = on_disk(tmp_path, "select * from records")
    Store(tmp_path, "box-1").close()
    assert on_disk(tmp_path, "select * from records") == before
