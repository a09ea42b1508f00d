"""SQLite and PostgreSQL keep the same promises."""

import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from wire_box import Box, damaged, ran, sealed

from instrument_agent.receiver import Ledger
from instrument_agent.receiver.engine import open_engine, writing
from instrument_agent.receiver.enrolment import CodeRefused, Enrolment
from instrument_agent.receiver.look import look
from instrument_agent.receiver.tables import layout
from instrument_agent.receiver.views import hours_of, oddities

KEY = "A" * 43 + "="


@pytest.fixture
def kept(database: str) -> Iterator[Ledger]:
    with Ledger(database) as ledger:
        yield ledger


def test_a_batch_is_stored_once_and_settled(kept: Ledger) -> None:
    box = Box("")
    items = box.chain(5)
    result = kept.store(box.box_id, box.epoch, [items[0], damaged(items[1]), items[3]])
    assert (result.acked_through, [refusal.seq for refusal in result.rejected]) == (2, [2])
    assert kept.store(box.box_id, box.epoch, items).acked_through == 5
    assert kept.store(box.box_id, box.epoch, box.chain(1, at_ms=9)).rejected[0].reason == "conflict"
    assert kept.items() == items
    assert kept.watermarks(box.box_id) == {box.epoch: 5}


def test_everything_is_there_when_it_is_opened_again(kept: Ledger, database: str) -> None:
    box = Box("")
    kept.store(box.box_id, box.epoch, box.chain(2))
    kept.heartbeat(box.box_id, box.pulse(), 5)
    with Ledger(database) as again:
        assert again.items() == box.chain(2)
        assert again.heartbeats(box.box_id) == kept.heartbeats(box.box_id)


def test_overlapping_batches_at_once_store_each_record_once(kept: Ledger) -> None:
    box = Box("")
    items = box.chain(24)
    batches = [items[start : start + 8] for start in range(0, 24, 4)]

    def store_all(first: int) -> list[Any]:
        ordered = batches[first:] + batches[:first]
        return [kept.store(box.box_id, box.epoch, batch).rejected for batch in ordered]

    with ThreadPoolExecutor(6) as pool:
        refused = [rejected for each in pool.map(store_all, range(6)) for rejected in each]
    assert [list(rejected) for rejected in refused] == [[]] * 36
    assert kept.items() == items
    assert kept.watermarks(box.box_id) == {box.epoch: 24}


def test_rivals_for_one_key_leave_exactly_one_record(kept: Ledger) -> None:
    box = Box("")
    rivals = [box.chain(1, at_ms=ms) for ms in range(6)]
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda items: kept.store(box.box_id, box.epoch, items), rivals))
    assert sorted(len(result.rejected) for result in results) == [0, 1, 1, 1, 1, 1]
    assert len(kept.records()) == 1


def test_heartbeats_at_once_are_all_counted(kept: Ledger) -> None:
    box = Box("")
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda ms: kept.heartbeat(box.box_id, box.pulse(boottime_ms=ms), ms), range(12)))
    assert kept.heartbeats(box.box_id).count == 12


def test_one_code_enrols_one_box_however_many_try(kept: Ledger, database: str) -> None:
    enrolment = Enrolment(database)
    code = enrolment.new_code(None, 0, 1)

    def attempt(number: int) -> str | None:
        try:
            return enrolment.enrol(f"box-{number}", code, KEY, 1)
        except CodeRefused:
            return None

    with ThreadPoolExecutor(6) as pool:
        given = list(pool.map(attempt, range(6)))
    [winner] = [number for number, credential in enumerate(given) if credential]
    assert enrolment.bears(f"box-{winner}", str(given[winner]).encode())
    assert enrolment.codes(1)[0].used_by == f"box-{winner}"
    enrolment.close()


def test_odd_characters_come_back_as_they_were(kept: Ledger) -> None:
    box = Box("")
    items = box.chain(1, type="beam_dump", data={"text": '"\\\u0000\u2028 炉 😀'}, instrument_id="炉 😀 '; --")
    assert kept.store(box.box_id, box.epoch, items).rejected == []
    assert kept.items() == items
    kept.heartbeat(box.box_id, box.pulse(note="\u0000\ud800"), 5)
    assert kept.heartbeats(box.box_id).latest == box.pulse(note="\u0000\ud800")


def test_hours_oddities_and_the_page_are_worked_out(kept: Ledger) -> None:
    box = Box("")
    items = box.chain(3)
    lone = sealed({**items[2]["record"], "prev_hash": "a" * 64, "data": ran(10_000, 70_000)})
    kept.store(box.box_id, box.epoch, [*items[:2], lone])
    kept.heartbeat(box.box_id, box.pulse(), 5_000_000_000)
    assert [(item.kind, item.seq) for item in oddities(kept, box.box_id)] == [("broken_link", 3)]
    assert [item.running.counted_ms for item in hours_of(kept, box.box_id)] == [61_000]
    [shown], pages = look(kept, 6_000_000_000, 24, 1)
    assert (shown.box_id, pages, shown.online, len(shown.instruments)) == ("box-1", 1, True, 1)


def test_a_database_of_another_version_is_refused(kept: Ledger, database: str) -> None:
    engine = open_engine(database)
    with writing(engine).begin() as connection:
        connection.execute(update(layout).values(version=99))
    engine.dispose()
    with pytest.raises(ValueError, match=r"another version .* \(99, not 1\)"):
        Ledger(database)


def test_a_file_with_the_platforms_key_in_it_is_its_owners_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with Ledger(f"sqlite:///{tmp_path / 'platform.db'}") as ledger:
            ledger.heartbeat("box-1", Box("").pulse(), 1)
            assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}
            assert len(list(tmp_path.iterdir())) > 1, "the log of writes too"
    finally:
        os.umask(before)


def test_a_database_from_before_versions_is_refused(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'old.db'}")
    with writing(engine).begin() as connection:
        connection.exec_driver_sql("create table records (seq integer)")
    engine.dispose()
    with pytest.raises(ValueError, match="another version"):
        Ledger(f"sqlite:///{tmp_path / 'old.db'}")
