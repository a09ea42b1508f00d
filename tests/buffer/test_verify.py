"""An auditor's walk through a database."""

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from damage import filled
from walked_log import walked

from instrument_agent.buffer.reader import FILE_NAME
from instrument_agent.core.canonical import canonical, record_hash


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    filled(tmp_path / "box").close()
    return tmp_path / "box"


def edit(state_dir: Path, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(state_dir / FILE_NAME)) as connection:
        assert connection.execute(sql, values).rowcount > 0
        connection.commit()


def test_an_untouched_database_is_proven(state_dir: Path):
    report = walked(state_dir)
    assert report.differences == []
    assert report.proven == {
        "records": 189,
        "sessions": 120,
        "gaps": 60,
        "intervals": 120,
        "anchors": 3,
        "checkpoints": 1,
    }
    assert not +report.unproven


@pytest.mark.parametrize(
    "sql",
    [
        "update records set body = replace(body, 'running_ms\":1000', 'running_ms\":9000') where id = 10",
        "delete from records where id = 10",
        "delete from records where id >= 127",
        "delete from records where id between 127 and 189",
        "update records set instrument_id = 'sem-1' where id = 10",
        "update intervals set activity = 'running' where rowid = 2",
        "delete from intervals where rowid = 5",
        "update anchors set utc_ns = utc_ns + 60000000000 where rowid = 1",
        "update checkpoints set body = body || ' '",
        "update destinations set acked_id = 51",
    ],
)
def test_every_change_is_a_difference(state_dir: Path, sql: str):
    edit(state_dir, sql)
    assert walked(state_dir).differences


def test_a_forged_duration_in_a_forged_chain_differs_from_its_intervals(state_dir: Path):
    with closing(sqlite3.connect(state_dir / FILE_NAME)) as connection:
        rows = connection.execute("select id, body from records where id between 130 and 189 order by id").fetchall()
        link = json.loads(rows[0][1])["prev_hash"]
        for id_, body in rows:
            record = json.loads(body) | {"prev_hash": link}
            if id_ == 151:
                record["data"]["running_ms"] += 500_000
            link = record_hash(record)
            sealed = (canonical(record).decode(), link, id_)
            connection.execute("update records set body = ?, hash = ? where id = ?", sealed)
        connection.commit()
    (state_dir / "head.json").unlink()
    (sentence,) = walked(state_dir).differences
    assert "501000 ms were recorded, the intervals give 1000 ms" in sentence


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "instrument_agent.cli.main", "verify", *arguments]
    return subprocess.run(line, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def test_the_command_works_on_a_copied_file_and_leaves_it_as_it_is(state_dir: Path, tmp_path: Path):
    copy = Path(shutil.copy(state_dir / FILE_NAME, tmp_path / "evidence.db"))
    before = copy.read_bytes()
    done = command("--database", str(copy))
    assert done.returncode == 0, done.stderr
    assert "189 records fit their hashes" in done.stdout
    assert copy.read_bytes() == before
    assert json.loads(command("--database", str(copy), "--json").stdout)["ok"] is True


def test_the_command_exits_with_1_on_a_difference(state_dir: Path):
    edit(state_dir, "delete from records where id = 10")
    done = command("--database", str(state_dir / FILE_NAME))
    assert done.returncode == 1
    assert "follows seq" in done.stdout
