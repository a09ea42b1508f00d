"""Who moves a session and computes every hash after it anew is found out by the intervals, which say otherwise."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from calendar_box import OFF_W, RUN_W, STANDBY_W, Calendar, copied
from walked_log import walked

from instrument_agent.buffer.headfile import NotedHead, write_head
from instrument_agent.buffer.reader import FILE_NAME
from instrument_agent.core.canonical import canonical, record_hash
from instrument_agent.core.rowsum import row_sum

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def two_boots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs in each of two boots, silences, and nothing pruned."""
    folder = tmp_path_factory.mktemp("box")
    box = Calendar(folder, "2026-03-01T20:00")
    for day in (2, 3):
        box.until(f"2026-03-0{day}T02:00", STANDBY_W)
        box.until(f"2026-03-0{day}T06:00", RUN_W)
        box.until(f"2026-03-0{day}T07:00", OFF_W)
        box.until(f"2026-03-0{day}T10:00", RUN_W)
        box.until(f"2026-03-0{day}T14:00", None)
        box.until(f"2026-03-0{day}T16:00", OFF_W)
        if day == 2:
            box.boot(box.now_s + 4 * 3600)
    box.close()
    box.leave()
    return folder


@pytest.fixture
def state_dir(two_boots: Path, tmp_path: Path) -> Path:
    return copied(two_boots, tmp_path)


def forge(state_dir: Path, type_: str, pick: int, change: Change) -> None:
    """Change one record of a type, and every hash from it on; the head file is taken away."""
    (state_dir / "head.json").unlink()
    with closing(sqlite3.connect(state_dir / FILE_NAME)) as connection:
        ids = connection.execute("select id from records where type = ? order by id", (type_,)).fetchall()
        links: dict[str, str] = {}
        for id_, body in connection.execute("select id, body from records order by id").fetchall():
            record = json.loads(body)
            if id_ == ids[pick][0]:
                change(record)
            record["prev_hash"] = links.get(record["epoch"], record["prev_hash"])
            if record["data"].get("previous_epoch") in links:
                record["data"]["previous_hash"] = links[record["data"]["previous_epoch"]]
            links[record["epoch"]] = record_hash(record)
            sealed = (canonical(record).decode(), links[record["epoch"]], id_)
            connection.execute("update records set body = ?, hash = ? where id = ?", sealed)
        connection.commit()


def moved(name: str, start_ms: int, end_ms: int) -> Change:
    def change(record: dict[str, Any]) -> None:
        record["data"]["start_ms"] += start_ms
        record["data"]["end_ms"] += end_ms
        record["data"][name] += end_ms - start_ms

    return change


def at(start_ms: int, end_ms: int) -> Change:
    """Return a change to an invented run."""
    times = {"start_ms": start_ms, "end_ms": end_ms, "running_ms": end_ms - start_ms, "unseen_ms": 0}
    return lambda record: record["data"].update(times)


FORGED: dict[str, tuple[str, int, Change]] = {
    "ends an hour later": ("run_session", 0, moved("running_ms", 0, HOUR_MS)),
    "ends an hour later in the second boot": ("run_session", -1, moved("running_ms", 0, HOUR_MS)),
    "begins a day earlier, before the box was watched": ("run_session", 0, moved("running_ms", -DAY_MS, 0)),
    "begins a day earlier, before its boot": ("run_session", 2, moved("running_ms", -DAY_MS, 0)),
    "moved by 300 ms": ("run_session", 0, moved("running_ms", 300, 300)),
    "invented behind the last interval": ("run_session", -1, at(30 * DAY_MS, 30 * DAY_MS + HOUR_MS)),
    "invented where the box was off": ("run_session", 2, at(10, HOUR_MS)),
    "of another boot": ("run_session", 0, lambda record: record.update(boot_id="boot-77")),
    "counted twice": ("run_session", 1, lambda record: record["data"].update(FIRST)),
    "a power session moved": ("power_session", 0, moved("powered_ms", 777, 777)),
    "a power session that ends later": ("power_session", -1, moved("powered_ms", 0, HOUR_MS)),
    "a gap with another reason": ("observation_gap", 0, lambda record: record["data"].update(reason="implausible")),
    "a gap moved": ("observation_gap", 0, lambda record: record["data"].update(end_ms=record["data"]["end_ms"] + 5)),
}
FIRST: dict[str, Any] = {}


def test_every_session_and_gap_of_an_honest_box_is_proven(state_dir: Path):
    report = walked(state_dir)
    assert report.differences == []
    assert report.proven["sessions"] >= 8
    assert report.proven["gaps"] >= 3
    assert (report.unproven["sessions"], report.unproven["gaps"], report.head) == (0, 0, True)


@pytest.mark.parametrize("forgery", FORGED)
def test_a_forged_session_is_a_difference_and_not_merely_unproven(state_dir: Path, forgery: str):
    with closing(sqlite3.connect(state_dir / FILE_NAME)) as connection:
        body = connection.execute("select body from records where type = 'run_session' order by id").fetchone()[0]
    FIRST.update(json.loads(body)["data"])
    forge(state_dir, *FORGED[forgery])
    report = walked(state_dir)
    # The record itself, and perhaps the interval of which no record tells any more.
    assert 1 <= len(report.differences) <= 2, report.differences
    assert "record " in report.differences[0]
    assert (report.unproven["sessions"], report.unproven["gaps"]) == (0, 0)


def command(state_dir: Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "instrument_agent.cli.main", "verify", "--database", str(state_dir / FILE_NAME)]
    return subprocess.run(line, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def test_a_watermark_beyond_the_last_record_is_a_difference(state_dir: Path):
    with closing(sqlite3.connect(state_dir / FILE_NAME)) as connection:
        values = ("province", 9999, row_sum("province", 9999))
        connection.execute("insert into destinations (name, acked_id, row_sum) values (?, ?, ?)", values)
        connection.commit()
    assert any("beyond the last record" in sentence for sentence in walked(state_dir).differences)


def test_an_idle_level_without_its_days_is_a_difference(state_dir: Path):
    forge(state_dir, "daily_summary", 0, lambda record: record["data"].update(idle_level=2))
    assert any("idle level" in sentence for sentence in walked(state_dir).differences)


def test_a_last_record_that_was_changed_is_not_called_missing(state_dir: Path):
    head = (state_dir / "head.json").read_bytes()
    forge(state_dir, "epoch_started", 0, lambda record: record["data"].update(agent_version="9"))
    (state_dir / "head.json").write_bytes(head)
    (sentence,) = walked(state_dir).differences
    assert "was changed: the head file names another hash" in sentence


def test_without_a_head_file_the_command_says_what_to_copy(state_dir: Path):
    assert "The log reaches as far as the head file says." in command(state_dir).stdout
    (state_dir / "head.json").unlink()
    assert "copy buffer.db, buffer.db-wal and head.json together" in command(state_dir).stdout


def test_a_copy_without_its_wal_whose_head_file_is_further_is_told_so_too(state_dir: Path):
    write_head(state_dir, NotedHead("a later epoch", 3, "0" * 64, 99))
    said = command(state_dir).stdout
    assert "the log ends too early" in said
    assert "copy buffer.db, buffer.db-wal and head.json together" in said


def test_a_database_of_a_newer_agent_is_refused(state_dir: Path):
    with closing(sqlite3.connect(state_dir / FILE_NAME)) as connection:
        (name,) = connection.execute("select distinct migration_set from _sqlite_migrations").fetchone()
        newer = "insert into _sqlite_migrations (migration_set, name, applied_at) values (?, 'm999_later', '2030')"
        connection.execute(newer, (name,))
        connection.commit()
    done = command(state_dir)
    assert done.returncode != 0
    assert "was written by a newer version of the agent" in done.stderr
    assert "Proven" not in done.stdout


def test_the_command_tells_of_a_fault_that_the_log_tells_of(state_dir: Path):
    lost = [{"epoch": "e-1", "from_seq": 3, "to_seq": 4}]
    fault = {"kind": "database_damaged", "file": "x.damaged", "records_lost": 2, "rows_lost": 7, "lost": lost}

    def change(record: dict[str, Any]) -> None:
        record["type"] = "fault"
        record["data"] = fault

    with closing(sqlite3.connect(state_dir / FILE_NAME)) as connection:
        connection.execute("update records set type = 'fault' where id = (select max(id) from records)")
        connection.commit()
    forge(state_dir, "fault", 0, change)
    said = command(state_dir).stdout
    assert "This log tells of 1 fault:" in said
    assert "2 records and 7 rows were lost" in said
    assert "lost: seq 3 to 4 of epoch e-1" in said


def taken_out(state_dir: Path, pick: str) -> None:
    """Take a record out, and give all that come after it new numbers and hashes; the head file is taken away."""
    with closing(sqlite3.connect(state_dir / FILE_NAME)) as connection:
        epoch, gone = connection.execute(f"select epoch, seq from records where {pick} order by id").fetchone()
        connection.execute("delete from records where epoch = ? and seq = ?", (epoch, gone))
        for id_, seq in connection.execute(
            "select id, seq from records where epoch = ? and seq > ? order by seq", (epoch, gone)
        ).fetchall():
            moved_up = "update records set seq = ?, body = json_set(body, '$.seq', ?) where id = ?"
            connection.execute(moved_up, (seq - 1, seq - 1, id_))
        for id_, body in connection.execute("select id, body from records where seq = 1 and id > 1").fetchall():
            data = json.loads(body)["data"]
            if data["previous_epoch"] == epoch:
                data["previous_seq"] -= 1
                changed = json.dumps(data)
                connection.execute(
                    "update records set body = json_set(body, '$.data', json(?)) where id = ?", (changed, id_)
                )
        connection.commit()
    forge(state_dir, "epoch_started", 0, lambda _record: None)


@pytest.mark.parametrize("type_", ["run_session", "power_session", "observation_gap"])
@pytest.mark.parametrize("boot", ["boot-1", "boot-2"])
def test_a_record_that_was_taken_out_is_missed_by_its_intervals(state_dir: Path, type_: str, boot: str):
    taken_out(state_dir, f"type = '{type_}' and body like '%{boot}%'")
    differences = walked(state_dir).differences
    assert differences
    assert all(f"no {type_} record tells of the interval" in sentence for sentence in differences), differences


def edited(state_dir: Path, sql: str) -> list[str]:
    with closing(sqlite3.connect(state_dir / FILE_NAME)) as connection:
        connection.execute(sql)
        connection.commit()
    return walked(state_dir).differences


@pytest.mark.parametrize("data", ['{"run_above": "900"}', "{}"])
def test_a_configuration_that_is_not_that_of_the_last_record_is_a_difference(state_dir: Path, data: str):
    sql = f"insert into configured (instrument_id, data) values ('xrd-1', '{data}')"
    (sentence,) = edited(state_dir, sql)
    assert sentence == "xrd-1: its configuration is not that of its last record"


@pytest.mark.parametrize("record_id", [4, 900])
def test_a_refusal_of_what_was_never_settled_is_a_difference(state_dir: Path, record_id: int):
    sql = f"insert into dead_letters (destination, record_id, reason) values ('province', {record_id}, 'odd')"
    (sentence,) = edited(state_dir, sql)
    assert sentence == f"province cannot have refused record {record_id}: it was never settled there"
