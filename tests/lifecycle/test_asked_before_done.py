"""What is done to an instrument is asked first, and what cannot be done changes nothing."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from in_process import run
from small_box import SILENT, SmallBox

from instrument_agent.buffer.reader import Reader
from instrument_agent.config import load_config

TRANSFER = ("transfer", "--org", "Example Institute", "--uscc", "12100000MB1234567C")
RELOCATE = ("relocate", "--location", "三号楼 B-204")


@pytest.fixture
def box(tmp_path: Path) -> SmallBox:
    box = SmallBox(tmp_path, SILENT)
    text = box.config_path.read_text(encoding="utf-8")
    text = text.replace('"state"', f'"{tmp_path / "state"}"').replace('"run"', f'"{tmp_path / "run"}"')
    box.config_path.write_text(text, encoding="utf-8")
    return box


def given(box: SmallBox, *arguments: str) -> tuple[int, str]:
    done = run(*arguments, "--config", str(box.config_path), "--instrument", "trial-1")
    return done.returncode, done.stdout + done.stderr


def events(box: SmallBox) -> list[dict[str, Any]]:
    with closing(Reader(box.folder / "state")) as reader:
        rows = reader.rows("select body from records where type = 'lifecycle_event' order by id")
    return [json.loads(body)["data"] for (body,) in rows]


@pytest.mark.parametrize("command", [TRANSFER, RELOCATE], ids=["transfer", "relocate"])
def test_without_a_terminal_and_without_yes_nothing_is_done(box: SmallBox, command: tuple[str, ...]) -> None:
    before = box.config_path.read_bytes()
    status, said = given(box, *command)
    assert (status, "give --yes" in said) == (78, True)
    assert box.config_path.read_bytes() == before
    assert not (box.folder / "state").exists()


@pytest.mark.parametrize("place", [" ", "a\x1b[31m", "长" * 101])
def test_what_is_no_place_is_refused_and_the_file_stays(box: SmallBox, place: str) -> None:
    before = box.config_path.read_bytes()
    status, said = given(box, "relocate", "--location", place, "--yes")
    assert (status, "printable" in said) == (2, True)
    assert box.config_path.read_bytes() == before
    assert not (box.folder / "state").exists()


def test_without_an_agent_nobody_can_split_the_books_so_nothing_changes(box: SmallBox) -> None:
    before = box.config_path.read_bytes()
    status, said = given(box, *TRANSFER, "--yes")
    assert (status, "no agent is running" in said, "systemctl start instrument-agent" in said) == (1, True, True)
    assert box.config_path.read_bytes() == before


def test_a_credit_code_that_cannot_be_one_is_refused_and_the_file_and_the_books_stay(box: SmallBox) -> None:
    box.start()
    before = box.config_path.read_bytes()
    status, said = given(box, *TRANSFER[:-1], "12100000MB1234567X", "--yes")
    box.stop()
    assert (status, "check character" in said) == (78, True)
    assert box.config_path.read_bytes() == before
    assert [event["event"] for event in events(box)] == ["configured"]


def test_a_move_is_recorded_then_written_with_an_agent_and_without_one(box: SmallBox) -> None:
    status, said = given(box, *RELOCATE, "--yes", "--who", "李工")
    assert (status, "no agent is running; the next start uses it" in said) == (0, True), said
    box.start()
    status, said = given(box, "relocate", "--location", "C-1", "--yes")
    assert (status, "the running agent takes it up" in said) == (0, True), said
    status, said = given(box, "relocate", "--location", "C-1", "--yes")
    assert (status, "stands there already" in said) == (1, True)
    box.until(lambda _status: len(events(box)) == 4)
    box.stop()
    assert load_config(box.config_path).instruments[0].location == "C-1"
    told = [(event["event"], event.get("from"), event.get("to")) for event in events(box)]
    assert told == [
        ("relocated", "", "三号楼 B-204"),
        ("configured", None, None),
        ("relocated", "三号楼 B-204", "C-1"),
        ("configured", None, None),
    ]
    assert events(box)[0]["by"] == "李工"
