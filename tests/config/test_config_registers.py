"""Registers that stand in the config file itself: what they become, and how a mistake in them is told."""

from pathlib import Path

import pytest
from own_meter import NAMED, channels, loaded_with, mistakes_with

from instrument_agent.core.readings import Channel

MEASURED = """
[[instrument.driver.registers]]
channel = "power_w"
function = 3
address = 20
type = "int32"
unit = "W"
low = 0
high = 9000
"""

STATE = """
[[instrument.driver.registers]]
channel = "state"
function = 2
address = 7
type = "bit"
states = { 0 = "idle", 1 = "measuring" }
"""


def test_registers_in_the_config_file_are_channels(tmp_path: Path) -> None:
    config = loaded_with(tmp_path, MEASURED + STATE)
    assert [channel.name for channel in channels(config)] == ["power_w", "state"]
    assert channels(config)[0] == Channel("power_w", "W", 0.0, 9000.0)


IN_THE_CONFIG = [
    ("function = 3\n", "", 12, "instrument[1].driver.registers[1].function", "required"),
    ("function = 3\n", "function = 5\n", 14, "instrument[1].driver.registers[1].function", "must be one of 1, 2, 3, 4"),
    ('"int32"', '"bit"', 16, "instrument[1].driver.registers[1].type", "functions 1 and 2 read bits"),
    ("low = 0\n", "", 12, "instrument[1].driver.registers[1].low", "required"),
    ("high = 9000", "hihg = 9000", 19, "instrument[1].driver.registers[1].hihg", "no such key"),
    ("[[instrument.driver.registers]]", "[instrument.driver.registers]", 12, "instrument[1].driver.registers",
     "must be a list of tables"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line", "key", "problem"), IN_THE_CONFIG)
def test_a_mistake_in_registers_of_the_config_file_is_told_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, key: str, problem: str
) -> None:
    found = mistakes_with(tmp_path, MEASURED.replace(old, new, 1))
    mistake = next(item for item in found if item.key == key)
    assert mistake.line == line
    assert problem in mistake.problem


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ('profile = "chint-dtsu666"\n' + NAMED, "profile"),
        (NAMED + MEASURED, "profile_file"),
        ('profile = "chint-dtsu666"\n' + MEASURED, "profile"),
    ],
)
def test_registers_come_from_one_place(tmp_path: Path, more: str, key: str) -> None:
    [mistake] = mistakes_with(tmp_path, more)
    assert (mistake.line, mistake.key) == (11, f"instrument[1].driver.{key}")
    assert "exclude each other" in mistake.problem


def test_a_ratio_for_a_meter_that_multiplies_itself_is_told_at_its_key(tmp_path: Path) -> None:
    [mistake] = mistakes_with(tmp_path, "ct_ratio = 40\n")
    assert (mistake.line, mistake.key) == (11, "instrument[1].driver.ct_ratio")
    assert "multiplied already" in mistake.problem


def test_all_that_is_wrong_with_the_keys_of_a_driver_is_told_at_once(tmp_path: Path) -> None:
    found = mistakes_with(tmp_path, 'port = "/dev/ttyUSB0"\nct_ratio = 2\nvt_ratio = 3\n')
    assert [item.key.rpartition(".")[2] for item in found] == ["host", "ct_ratio", "vt_ratio"]
