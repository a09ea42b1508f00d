"""What the commands that look at a database say of one that cannot be looked at: one sentence, the same from all."""

import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import sqlite_utils
from in_process import Done, run

sys.path.insert(0, str(Path(__file__).parents[1] / "buffer"))
from damage import filled
from stored import start

from instrument_agent.buffer.migrations import migrations
from instrument_agent.buffer.opening import look
from instrument_agent.buffer.quarantine import open_books
from instrument_agent.buffer.reader import FILE_NAME, HEAD_NAME, Reader
from instrument_agent.buffer.store import Store
from instrument_agent.core.errors import StoreDamaged, StoreUnavailable

CONFIG = """[box]
id = "box-1"
state_dir = "state"
runtime_dir = "run"
[[instrument]]
id = "xrd-1"
[instrument.driver]
name = "mock"
script = [20.0]
[instrument.activity]
off_below = 5
run_above = 1000
"""
COMMANDS = ("verify", "usage", "sessions", "status")
AGAIN = "start the agent again: it sets the file aside"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    state_dir = tmp_path_factory.mktemp("whole") / "state"
    filled(state_dir).close()
    return state_dir


@pytest.fixture
def database(whole: Path, tmp_path: Path) -> Path:
    (tmp_path / "box.toml").write_text(CONFIG, encoding="utf-8")
    shutil.copytree(whole, tmp_path / "state", ignore=shutil.ignore_patterns("ballast"))
    return tmp_path / "state" / FILE_NAME


def changed(database: Path, *statements: str) -> None:
    with closing(sqlite3.connect(database)) as connection:
        for sql in statements:
            connection.execute(sql)
        connection.commit()


def cut(database: Path) -> None:
    database.write_bytes(database.read_bytes()[: database.stat().st_size // 2])


def empty(database: Path) -> None:
    database.write_bytes(b"")


def garbage(database: Path) -> None:
    database.write_bytes(b"x" * 5000)


def garbage_alone(database: Path) -> None:
    garbage(database)
    (database.parent / HEAD_NAME).unlink()


def pages(database: Path) -> None:
    """Overwrite everything behind the first page, which holds the schema."""
    raw = database.read_bytes()
    database.write_bytes(raw[:4096] + b"\xff" * (len(raw) - 4096))


def newer(database: Path) -> None:
    changed(database, "insert into _sqlite_migrations (migration_set, name) values ('instrument_agent', 'm999_later')")


def older(database: Path) -> None:
    database.unlink()
    with closing(sqlite3.connect(database)) as connection:
        migrations.apply(sqlite_utils.Database(connection), stop_before="m004_checksums_and_roots")


def foreign(database: Path) -> None:
    """Put somebody else's database there, one of whose tables is called like one of ours."""
    database.unlink()
    (database.parent / HEAD_NAME).unlink()
    changed(database, "create table records (artist, title)", "create table _sqlite_migrations (version)")


UNFIT: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "cut": (cut, "is damaged: ", AGAIN),
    "overwritten": (pages, "is damaged: ", AGAIN),
    "garbage": (garbage, "is damaged: ", AGAIN),
    "garbage without a head file": (garbage_alone, "is not a database of this agent, or its first bytes", AGAIN),
    "a table is gone": (lambda database: changed(database, "drop table checkpoints"), "damaged", AGAIN),
    "the list of steps": (
        lambda database: changed(database, "update _sqlite_migrations set name = 'm001_lof' where name like 'm001%'"),
        "damaged",
        AGAIN,
    ),
    "empty": (empty, "is empty", "start the agent: it fills it"),
    "newer": (newer, "was written by a newer version of the agent", "install that version"),
    "older": (older, "was written by an older version of the agent", "start this version once"),
    "foreign": (foreign, "is a database, but not one of this agent", "this file is left as it is"),
}


def said(database: Path, command: str) -> Done:
    return run(command, "--config", str(database.parents[1] / "box.toml"))


@pytest.mark.parametrize("kind", UNFIT)
def test_a_database_that_cannot_be_read_is_called_what_it_is_by_every_command_and_left_as_it_is(
    database: Path, kind: str
):
    spoil, what, advice = UNFIT[kind]
    spoil(database)
    before = database.read_bytes()
    told = {said(database, command).stderr for command in COMMANDS}
    told.add(run("verify", "--database", str(database)).stderr)
    (sentence,) = told
    assert sentence.startswith("Error: ")
    assert what in sentence
    assert advice in sentence
    assert "move the file away" not in sentence
    assert sentence.count("\n") == 2
    assert database.read_bytes() == before
    assert not list(database.parent.glob("*damaged*"))


@pytest.mark.parametrize("kind", UNFIT)
def test_the_agent_does_what_the_sentence_promises(database: Path, kind: str):
    spoil, _what, advice = UNFIT[kind]
    spoil(database)
    before = database.read_bytes()
    if kind in ("newer", "foreign"):
        with pytest.raises(StoreUnavailable) as caught:
            open_books(database.parent, "box-1", 0)
        assert not isinstance(caught.value, StoreDamaged)
        assert database.read_bytes() == before
        assert not list(database.parent.glob("*.damaged-*"))
        return
    store = open_books(database.parent, "box-1", 0)
    store.begin_epoch(start(999))
    store.close()
    asides = [path.read_bytes() for path in database.parent.glob("*.damaged-*-1")]
    assert asides == ([before] if advice == AGAIN else [])
    assert run("verify", "--database", str(database)).returncode == 0


@pytest.mark.parametrize("spoilt", ["replace(body, '1000', '9000')", "substr(body, 2)", "x'ff00'"])
def test_no_figure_is_printed_from_a_record_that_is_not_what_was_written(database: Path, spoilt: str):
    changed(database, f"update records set body = {spoilt} where type = 'run_session' and id < 20")
    done = said(database, "sessions")
    assert (done.returncode, done.stdout) == (1, "")
    assert "is damaged: " in done.stderr
    assert AGAIN in done.stderr


def test_verify_goes_on_past_a_record_that_is_no_json(database: Path):
    changed(database, "update records set body = substr(body, 2) where type in ('lifecycle_event', 'epoch_started')")
    done = said(database, "verify")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.count("does not fit its hash") == 6


def test_a_record_that_comes_in_while_verify_begins_to_look_is_not_called_missing(
    database: Path, monkeypatch: pytest.MonkeyPatch
):
    store = Store(database.parent, "box-1")
    store.begin_epoch(start(998))

    def looked(state_dir: Path, name: str) -> Reader:
        reader = look(state_dir, name)
        store.begin_epoch(start(999))
        return reader

    monkeypatch.setattr("instrument_agent.cli.verify.look", looked)
    done = said(database, "verify")
    store.close()
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
