"""The ledger as a file: what was acknowledged is still there, and survives a power cut."""

import sqlite3
import threading
from pathlib import Path

import pytest
from wire_box import Box, damaged

from instrument_agent.receiver import Ledger
from instrument_agent.receiver.engine import WRITES, open_engine


def test_reopening_the_database_keeps_everything(tmp_path: Path) -> None:
    box = Box("", "box-1")
    items = box.chain(5)
    url = f"sqlite:///{tmp_path / 'platform.db'}"
    with Ledger(url) as ledger:
        ledger.store(box.box_id, box.epoch, [items[0], damaged(items[1]), items[3]])
        ledger.heartbeat(box.box_id, box.pulse(), 5)
        before = (ledger.items(), ledger.rejected(box.box_id), ledger.heartbeats(box.box_id))
    with Ledger(url) as ledger:
        assert (ledger.items(), ledger.rejected(box.box_id), ledger.heartbeats(box.box_id)) == before
        assert ledger.watermarks(box.box_id) == {box.epoch: 2}
        assert ledger.store(box.box_id, box.epoch, items[2:3]).acked_through == 4
    assert [len(kept) for kept in before[:2]] == [2, 1]


def test_a_reply_is_preceded_by_a_commit(box: Box, tmp_path: Path) -> None:
    box.send(box.chain(3))
    other = sqlite3.connect(tmp_path / "platform.db")
    assert other.execute("SELECT count(*) FROM records").fetchone() == (3,)
    other.close()


def test_commits_survive_a_power_cut(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'platform.db'}")
    with engine.connect() as connection:
        pragmas = ("journal_mode", "synchronous", "foreign_keys")
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in pragmas]
    engine.dispose()
    assert found == ["wal", 2, 1], "2 is FULL"


def test_a_writing_transaction_holds_the_database_from_its_first_moment(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'platform.db'}")
    other = sqlite3.connect(tmp_path / "platform.db", timeout=0, isolation_level=None)
    with engine.execution_options(**{WRITES: True}).begin(), pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("BEGIN IMMEDIATE")
    with engine.begin():
        other.execute("BEGIN IMMEDIATE")  # readers hold nobody up
    other.close()
    engine.dispose()


def test_a_batch_waits_for_another_writer_instead_of_failing(box: Box, ledger: Ledger, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "platform.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    replies: list[int] = []
    sender = threading.Thread(target=lambda: replies.append(box.send(box.chain(1)).status_code))
    sender.start()
    sender.join(0.3)
    assert sender.is_alive(), "the batch must still be waiting"
    assert ledger.records() == []
    other.execute("COMMIT")
    other.close()
    sender.join(30)
    assert replies == [200]


def test_two_ledgers_on_one_database_agree(ledger: Ledger, tmp_path: Path) -> None:
    box = Box("", "box-1")
    items = box.chain(3)
    with Ledger(f"sqlite:///{tmp_path / 'platform.db'}") as twin:
        assert ledger.store(box.box_id, box.epoch, items[:2]).acked_through == 2
        assert twin.store(box.box_id, box.epoch, items[1:]).acked_through == 3
    assert ledger.items() == items


def test_an_empty_batch_changes_nothing(ledger: Ledger) -> None:
    box = Box("", "box-1")
    ledger.store(box.box_id, box.epoch, box.chain(2))
    result = ledger.store(box.box_id, box.epoch, [])
    assert (result.acked_through, list(result.rejected)) == (2, [])


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="needs a file"):
        Ledger(url)
