"""Looking into the database from beside the agent."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from stored import append, fault, opened

from instrument_agent.buffer.reader import FILE_NAME, Reader
from instrument_agent.buffer.store import Store
from instrument_agent.core.errors import StoreUnavailable

COUNT = "select count(*) from records"
NOBODY = 65534


def test_it_sees_what_is_committed_while_the_agent_writes(store: Store, tmp_path: Path):
    reader = Reader(tmp_path)
    assert reader.rows(COUNT) == [(1,)]
    with store.write() as change:
        change.append(fault(1))
        assert reader.rows(COUNT) == [(1,)]
    assert reader.rows(COUNT) == [(2,)]
    reader.close()


def test_it_does_not_hold_up_the_agent(store: Store, tmp_path: Path):
    reader = Reader(tmp_path)
    reader.rows("begin")
    reader.rows(COUNT)
    append(store, 1)
    assert reader.rows(COUNT) == [(1,)]  # its own moment, while the agent goes on
    reader.close()


@pytest.mark.parametrize("sql", ["delete from records", "create table x (y)", "pragma user_version = 7"])
def test_it_cannot_change_anything(store: Store, tmp_path: Path, sql: str):
    reader = Reader(tmp_path)
    with pytest.raises(StoreUnavailable, match="readonly"):
        reader.rows(sql)
    reader.close()
    assert store.rows(COUNT) == [(1,)]


def test_it_reads_after_the_agent_has_stopped_and_leaves_the_file_as_it_was(tmp_path: Path):
    store = opened(tmp_path)
    append(store, 1)
    store.close()
    before = (tmp_path / FILE_NAME).read_bytes()
    reader = Reader(tmp_path)
    assert reader.rows(COUNT) == [(2,)]
    reader.close()
    assert (tmp_path / FILE_NAME).read_bytes() == before


def test_where_there_is_no_database_it_makes_none(tmp_path: Path):
    with pytest.raises(StoreUnavailable, match="no database") as caught:
        Reader(tmp_path)
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_an_error_of_the_store(tmp_path: Path):
    (tmp_path / FILE_NAME).write_bytes(b"x" * 5000)
    reader = Reader(tmp_path)
    with pytest.raises(StoreUnavailable, match="not a database"):
        reader.rows(COUNT)
    reader.close()


@contextmanager
def without_rights(state_dir: Path) -> Iterator[None]:
    """Be somebody who may not enter the directory."""
    root = os.geteuid() == 0
    state_dir.chmod(0o000)
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        state_dir.chmod(0o700)


def test_somebody_without_rights_is_told_so(tmp_path: Path):
    state_dir = tmp_path / "state"
    state_dir.mkdir()
    opened(state_dir).close()
    with without_rights(state_dir), pytest.raises(StoreUnavailable, match="ermission denied"):
        Reader(state_dir)
