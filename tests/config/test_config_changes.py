"""Thresholds are written into a config file that a person keeps, and nothing else in it changes."""

import tomllib
from pathlib import Path

import pytest

from instrument_agent.config import InvalidConfig, load_config
from instrument_agent.config.change import change_keys
from instrument_agent.core.errors import AgentError, ConfigError
from instrument_agent.tables.change import with_keys

MOCK = 'name = "mock"\nscript = [1]\n'
KEPT = f"""\
# 三号楼的盒子 - typed by hand
[box]
id = "box-1"   # do not change

[[instrument]]
id = "first"
[instrument.driver]
{MOCK}\
[instrument.activity]
off_below = 5      # 关机
run_above = 500    # from the manual

[[instrument]]
id = "second"
[instrument.activity]
    off_below = 6  # six
    run_above=600
# a last word about the activity

[instrument.driver]
{MOCK}\
# the end
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def written(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def test_only_the_values_of_that_instrument_change(path: Path):
    config = change_keys(written(path, KEPT), "second", {"off_below": 7.5, "run_above": 700.0})
    expected = KEPT.replace("off_below = 6 ", "off_below = 7.5 ").replace("run_above=600", "run_above=700")
    assert path.read_text(encoding="utf-8") == expected
    assert config == load_config(path)
    assert [item.activity.run_above for item in config.instruments] == [500, 700]


def test_a_new_key_comes_after_the_last_of_its_table_and_is_indented_like_it(path: Path):
    change_keys(written(path, KEPT), "second", {"run_below": 300.0, "single_readings": True})
    added = "    run_above=600\n    run_below = 300\n    single_readings = true\n"
    assert path.read_text(encoding="utf-8") == KEPT.replace("    run_above=600\n", added)


def test_windows_line_ends_and_a_byte_order_mark_stay(path: Path):
    text = "\ufeff" + KEPT.replace("\n", "\r\n")
    change_keys(written(path, text), "first", {"off_below": 4.0, "min_on_s": 30.0})
    expected = text.replace("off_below = 5 ", "off_below = 4 ").replace(
        "run_above = 500    # from the manual\r\n", "run_above = 500    # from the manual\r\nmin_on_s = 30\r\n"
    )
    assert path.read_bytes() == expected.encode()


WAYS = {
    "in_braces": ("activity = {{ off_below = {off}, run_above = 500 }}", ", min_on_s = 9"),
    "dotted": ("activity.off_below = {off}\nactivity.run_above = 500", "\nactivity.min_on_s = 9"),
    "quoted": ("[instrument.'activity'] # x\nrun_above = 500\n\"off_below\" = {off}", "\nmin_on_s = 9"),
}


@pytest.mark.parametrize(("activity", "added"), WAYS.values(), ids=WAYS)
def test_every_way_to_write_the_table_is_understood(path: Path, activity: str, added: str):
    head = '[box]\nid = "b"\n[[instrument]]\nid = "i"\ndriver = { name = "mock", script = [1] }\n'
    before, after = activity.format(off=5), activity.format(off=6)
    after = after.removesuffix(" }") + added + " }" if after.endswith("}") else after + added
    change_keys(written(path, head + before), "i", {"off_below": 6.0, "min_on_s": 9.0})
    assert path.read_text(encoding="utf-8") == head + after


def test_a_table_that_is_not_there_is_begun_inside_its_instrument():
    text = '[[instrument]]\nid = "a"\n[instrument.driver]\nx = [\n1]\n\n[[instrument]]\nid = "b"'
    changed = with_keys(text, ("instrument", 0, "activity"), {"off_below": 1.0, "run_above": 2.0})
    assert changed == text.replace("1]\n", "1]\n[instrument.activity]\noff_below = 1\nrun_above = 2\n")
    assert tomllib.loads(changed)["instrument"][0]["activity"] == {"off_below": 1, "run_above": 2}


def test_the_file_as_it_was_stays_beside_it_with_its_rights(path: Path):
    written(path, KEPT).chmod(0o640)
    change_keys(path, "first", {"off_below": 4.0})
    backup = path.with_name("config.toml.bak")
    assert backup.read_text(encoding="utf-8") == KEPT
    assert path.stat().st_mode == backup.stat().st_mode
    assert path.stat().st_mode & 0o777 == 0o640
    assert sorted(file.name for file in path.parent.iterdir()) == ["config.toml", "config.toml.bak"]


def test_a_file_that_says_so_already_is_left_alone(path: Path):
    change_keys(written(path, KEPT), "first", {"off_below": 5.0, "min_on_s": 60.0})
    assert [file.name for file in path.parent.iterdir()] == ["config.toml"]
    assert path.read_text(encoding="utf-8") == KEPT


def test_what_would_be_a_mistake_is_never_written(path: Path):
    written(path, KEPT)
    with pytest.raises(InvalidConfig, match=rf"{path}:\d+: instrument\[1\].activity.off_below: must not be greater"):
        change_keys(path, "first", {"off_below": 501.0})
    assert [file.name for file in path.parent.iterdir()] == ["config.toml"]
    assert path.read_text(encoding="utf-8") == KEPT


def test_an_instrument_that_is_not_there_is_told(path: Path):
    with pytest.raises(ConfigError, match="no instrument third") as told:
        change_keys(written(path, KEPT), "third", {"off_below": 4.0})
    assert "first, second" in told.value.hint


def test_what_a_link_leads_to_is_changed_and_the_link_stays(path: Path):
    link = path.with_name("link.toml")
    link.symlink_to(written(path, KEPT))
    change_keys(link, "first", {"off_below": 4.0})
    assert link.is_symlink()
    assert load_config(path).instruments[0].activity.off_below == 4


def test_a_folder_that_takes_nothing_is_told(path: Path):
    written(path, KEPT)
    path.with_name("config.toml.new").mkdir()  # root may write into any folder, but not over this
    with pytest.raises(AgentError, match="cannot be written"):
        change_keys(path, "first", {"off_below": 4.0})
    assert path.read_text(encoding="utf-8") == KEPT
