"""Tables that records tell of are held against them, and records against their type, even in a forged chain."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from calendar_box import OFF_W, RUN_W, STANDBY_W, Calendar, copied
from walked_log import walked_without_head

from instrument_agent.buffer.books import save_configured
from instrument_agent.buffer.opening import look
from instrument_agent.buffer.reader import FILE_NAME
from instrument_agent.buffer.verify import verify
from instrument_agent.core.canonical import canonical, record_hash
from instrument_agent.core.rowsum import row_sum

Records = list[dict[str, Any]]


@pytest.fixture(scope="module")
def three_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("box")
    box = Calendar(folder, "2026-03-01T20:00")
    with box.store.write() as change:
        save_configured(change, "xrd-1", box.boot_id, 0, {"event": "configured", "rules_origin": "learned"})
    box.until("2026-03-02T02:00", STANDBY_W)
    box.until("2026-03-02T06:00", RUN_W)
    box.boot(box.now_s + 3600)
    box.until("2026-03-04T20:00", OFF_W)
    assert len(box.close()) == 3
    box.leave()
    return folder


@pytest.fixture
def state_dir(three_days: Path, tmp_path: Path) -> Path:
    return copied(three_days, tmp_path)


def edited(state_dir: Path, sql: str, *values: object) -> list[str]:
    with closing(sqlite3.connect(state_dir / FILE_NAME)) as connection:
        assert connection.execute(sql, values).rowcount > 0
        connection.commit()
    return walked_without_head(state_dir).differences


def forged(state_dir: Path, change: Callable[[Records], Records]) -> list[str]:
    """Change the log, and give every record its number and its hash anew."""
    with closing(sqlite3.connect(state_dir / FILE_NAME)) as connection:
        records = change([json.loads(body) for (body,) in connection.execute("select body from records order by id")])
        connection.execute("delete from records")
        ends: dict[str, tuple[int, str]] = {}
        for id_, record in enumerate(records, 1):
            epoch, data = record["epoch"], record["data"]
            before = ends.get(epoch, (0, record["prev_hash"]))
            record |= {"seq": before[0] + 1, "prev_hash": before[1]}
            if data.get("previous_epoch") in ends:
                named = ends[data["previous_epoch"]]
                data |= {"previous_seq": named[0], "previous_hash": named[1]}
            ends[epoch] = (record["seq"], record_hash(record))
            row = (id_, epoch, record["seq"], record["type"], record.get("instrument_id"), canonical(record).decode())
            connection.execute("insert into records values (?, ?, ?, ?, ?, ?, ?)", (*row, ends[epoch][1]))
        connection.commit()
    return walked_without_head(state_dir).differences


def test_an_honest_box_is_proven_before_and_after_its_hashes_are_computed_anew(state_dir: Path):
    assert walked_without_head(state_dir).proven["days"] == 3
    assert forged(state_dir, lambda records: records) == []


@pytest.mark.parametrize(
    "sql",
    [
        "delete from epochs where number = 1",
        "delete from epochs",
        "delete from anchors",
        "delete from anchors where boot_id = 'boot-1'",
        "delete from days",
        "delete from midnights",
        "insert into roots (epoch, seq, hash, row_sum) values ('e', 5, 'h', 'x')",
    ],
)
def test_a_row_that_is_gone_or_was_put_in_is_a_difference(state_dir: Path, sql: str):
    assert edited(state_dir, sql)


def test_another_start_of_an_epoch_is_a_difference(state_dir: Path):
    with closing(sqlite3.connect(state_dir / FILE_NAME)) as connection:
        columns = "number, epoch, boot_id, started_ns, stopped_ns"
        row = connection.execute(f"select {columns} from epochs where number = 2").fetchone()
    row = (*row[:3], row[3] + 10**9, row[4])
    sentences = edited(
        state_dir, "update epochs set started_ns = ?, row_sum = ? where number = 2", row[3], row_sum(*row)
    )
    assert sentences == [f"epoch {row[1]}: the table of epochs and its first record differ"]


@pytest.mark.parametrize("day", ["2026-03-02", "2026-03-03", "2026-03-04"])
def test_a_day_that_was_taken_out_is_missed(state_dir: Path, day: str):
    sentences = forged(state_dir, lambda records: [item for item in records if item["data"].get("day") != day])
    told = f"no summary tells of the days from {day} to {day}"
    assert any(told in sentence or "does not follow" in sentence for sentence in sentences), sentences


def put(type_: str, **data: Any) -> Callable[[Records], Records]:
    """Return what puts these values into the data of the first record of a type; None takes one away."""

    def change(records: Records) -> Records:
        found = next(item for item in records if item["type"] == type_)["data"]
        found |= data
        for name in [name for name in data if data[name] is None]:
            del found[name]
        return records

    return change


def of_another_box(records: Records) -> Records:
    records[-1]["box_id"] = "box-2"
    return records


FORGED: dict[str, tuple[Callable[[Records], Records], str]] = {
    "a smaller error": (put("time_anchor", error_ms=1), "a time anchor of boot boot-1 is in no record"),
    "another origin": (put("daily_summary", rules_origin="commissioned"), "the origin of its rules is not that"),
    "a run without an end": (put("run_session", end_ms=None), "does not say what a record of its type says"),
    "a run that begins with a word": (put("run_session", start_ms="x"), "does not say what a record of its type"),
    "a day of no zone": (put("daily_summary", zone="Mars/Olympus"), "does not say what a record of its type says"),
    "of another box": (of_another_box, "it is of another box than those before it"),
}


@pytest.mark.parametrize("forgery", FORGED)
def test_a_forged_record_in_a_forged_chain_is_a_difference(state_dir: Path, forgery: str):
    change, told = FORGED[forgery]
    sentences = forged(state_dir, change)
    assert any(told in sentence for sentence in sentences), sentences


def test_what_an_agent_adds_during_the_walk_is_no_difference(state_dir: Path):
    writer = sqlite3.connect(state_dir / FILE_NAME)
    writer.execute("pragma journal_mode=wal")
    writer.execute("update days set unknown_days = unknown_days")
    writer.commit()  # as the agent does: there is a -wal while it runs
    with closing(look(state_dir)) as reader, closing(writer):
        reader.rows("select count(*) from intervals")
        writer.execute("delete from intervals where boot_id = 'boot-2'")
        writer.commit()
        assert verify(reader, None).differences == []
    assert walked_without_head(state_dir).differences
