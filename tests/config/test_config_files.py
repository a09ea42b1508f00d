"""Files that are no good before a single key is looked at, and those that only look so."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from instrument_agent.config import InvalidConfig, Mistake, load_config

GOOD = """\
[box]
id = "box-1"
[[instrument]]
id = "xrd-1"
name_zh = "衍射仪"
driver = { name = "mock", script = [1] }
activity = { off_below = 1, run_above = 2 }
"""


def the_mistake(path: Path) -> Mistake:
    with pytest.raises(InvalidConfig) as caught:
        load_config(path)
    [mistake] = caught.value.mistakes
    return mistake


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def test_a_missing_file_is_said_to_be_missing(path: Path):
    assert str(the_mistake(path)) == f"{path}: there is no such file (name the config file with --config)"


def test_a_directory_is_said_to_be_one(tmp_path: Path):
    assert "directory" in the_mistake(tmp_path).problem


@contextmanager
def not_root() -> Iterator[None]:
    """Become nobody for a moment, since root may read everything."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_file_that_may_not_be_read_is_told_with_what_to_do(path: Path):
    path.write_text(GOOD, encoding="utf-8")
    path.chmod(0)
    with not_root():
        mistake = the_mistake(path)
    assert "no permission" in mistake.problem
    assert "sudo" in mistake.hint


def test_a_file_that_fails_to_be_read_is_told_with_its_reason():
    assert "cannot be read" in the_mistake(Path("/proc/self/mem")).problem


def test_a_path_that_no_file_can_have_is_told():
    assert "cannot be read" in the_mistake(Path("con\0fig")).problem


def test_a_file_of_one_mebibyte_is_read_and_a_byte_more_is_refused(path: Path):
    content = GOOD.encode()
    path.write_bytes(content + b"#" * (2**20 - len(content)))
    assert load_config(path).box.id == "box-1"
    path.write_bytes(content + b"#" * (2**20 - len(content) + 1))
    assert "larger than 1 MiB" in the_mistake(path).problem


def test_gbk_is_recognised_and_its_line_told(path: Path):
    path.write_bytes(GOOD.encode("gbk"))
    mistake = the_mistake(path)
    assert (mistake.line, "GBK" in mistake.problem, "UTF-8" in mistake.hint) == (5, True, True)


def test_utf_16_is_recognised(path: Path):
    path.write_bytes(GOOD.encode("utf-16"))
    assert "UTF-16" in the_mistake(path).problem


def test_other_bytes_are_just_not_utf_8(path: Path):
    path.write_bytes(b"[box]\n\xff\xff")
    mistake = the_mistake(path)
    assert (mistake.line, mistake.problem) == (2, "this is not UTF-8 text")


def test_a_byte_order_mark_is_accepted(path: Path):
    path.write_bytes(GOOD.encode("utf-8-sig"))
    assert load_config(path).instruments[0].name_zh == "衍射仪"


def test_windows_line_ends_are_accepted_and_lines_counted_right(path: Path):
    path.write_bytes(GOOD.replace("\n", "\r\n").encode())
    assert load_config(path).box.id == "box-1"
    path.write_bytes(GOOD.replace("run_above", "run_abov").replace("\n", "\r\n").encode())
    with pytest.raises(InvalidConfig) as caught:
        load_config(path)
    assert {mistake.line for mistake in caught.value.mistakes} == {7}


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("[box]\nid = \n", 2, "Invalid value"),
        ("[box]\nid = 1\nid = 2\n", 3, "Cannot overwrite a value"),
        ("[box]\n[box]\n", 2, "Cannot declare"),
        ("[box]\n\nid = [1,\n2", 4, "Unclosed array"),
        ("[box]\nid = [1,\n\n\n", 2, "value"),
        ("a = 2026-02-30\n", 1, "Invalid date"),
    ],
)
def test_a_syntax_error_is_told_with_its_line(path: Path, text: str, line: int, problem: str):
    path.write_text(text, encoding="utf-8")
    mistake = the_mistake(path)
    assert (mistake.line, mistake.key, bool(mistake.hint)) == (line, "", True)
    assert mistake.problem.startswith("not valid TOML: ")
    assert problem in mistake.problem
    assert "(at " not in mistake.problem


@pytest.mark.parametrize("line", ["id = “box-1”", 'id ＝ "box-1"', "［box］", "# 注释，\nid = “x”"])
def test_full_width_punctuation_is_pointed_out(path: Path, line: str):
    path.write_text(f"a = 1\n{line}\n", encoding="utf-8")
    mistake = the_mistake(path)
    assert mistake.line == line.count("\n") + 2
    assert "full-width" in mistake.hint


@pytest.mark.parametrize(
    ("text", "problem"), [("a = " + "[" * 50_000, "nested too deeply"), ("a = " + "9" * 5000, "not valid TOML")]
)
def test_what_the_parser_itself_cannot_take_is_a_mistake_too(path: Path, text: str, problem: str):
    path.write_text(text, encoding="utf-8")
    assert problem in the_mistake(path).problem
