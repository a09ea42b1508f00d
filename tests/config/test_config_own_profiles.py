"""A meter's profile of one's own is read from beside the config file, and a mistake in it is told with its line."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from own_meter import CONFIG, NAMED, OWN_PROFILE, channels, loaded_with, mine, mistakes_with
from written import loaded

from instrument_agent.core.readings import Channel


def test_a_profile_of_ones_own_is_found_from_the_folder_of_the_config_file(tmp_path: Path) -> None:
    config = loaded_with(tmp_path, NAMED)
    assert channels(config) == [Channel("power_w", "W", -100.0, 9000.0), Channel("current_a", "A", 0.0, 60.0)]


def test_a_changed_profile_is_another_config(tmp_path: Path) -> None:
    first, again = loaded_with(tmp_path, NAMED).hash, loaded_with(tmp_path, NAMED).hash
    changed = OWN_PROFILE.replace("address = 12", "address = 14")
    assert first == again == hashlib.sha256((CONFIG + NAMED + OWN_PROFILE).encode()).hexdigest()
    assert loaded_with(tmp_path, NAMED, changed).hash == hashlib.sha256((CONFIG + NAMED + changed).encode()).hexdigest()


def test_a_profile_that_two_instruments_share_counts_once(tmp_path: Path) -> None:
    both = NAMED + CONFIG.partition("[[instrument]]")[2].replace("xrd-1", "sem-1").replace(".0.2.1", ".0.2.2")
    both = both.replace('\nid = "sem-1"', '[[instrument]]\nid = "sem-1"') + NAMED
    assert loaded_with(tmp_path, both).hash == hashlib.sha256((CONFIG + both + OWN_PROFILE).encode()).hexdigest()


def test_a_serial_line_has_the_settings_of_the_profile_where_the_config_has_none(tmp_path: Path) -> None:
    text = CONFIG.replace('host = "192.0.2.1"', 'port = "/dev/ttyUSB0"')
    mine(tmp_path)
    options = loaded(tmp_path, f"{text}{NAMED}stop_bits = 2\n").instruments[0].driver.options
    assert (options["baud"], options["parity"], options["stop_bits"]) == (19200, "E", 2)


# what is replaced in OWN_PROFILE, by what, then the one mistake: line, key, a part of the problem, a part of the hint
IN_A_PROFILE = [
    ("function = 4", "", 4, "register[1].function", "required", "3 holding registers"),
    ("function = 4", "function = 6", 1, "function", "must be one of 1, 2, 3, 4", ""),
    ("function = 4", "function = 2", 4, "register[1].type", "functions 1 and 2 read bits", ""),
    ("max_gap = 2", "max_gaps = 2", 2, "max_gaps", "no such key", "did you mean max_gap?"),
    ("max_gap = 2", "max_registers = 126", 2, "max_registers", "between 1 and 125, not 126", ""),
    ("max_gap = 2", "max_registers = 1", 4, "register[1].type", "does not fit into max_registers (1)", ""),
    ("max_gap = 2", 'models = "X1"', 2, "models", "a list of texts", ""),
    ("address = 12", "adress = 12", 4, "register[1].adress", "no such key", "did you mean address?"),
    ("address = 6", "address = -1", 5, "register[2].address", "between 0 and 65535, not -1", ""),
    ("address = 6", "address = 65535", 5, "register[2].address", "last address is 65535", ""),
    ("address = 6", 'address = "0x0006"', 5, "register[2].address", "a whole number, not text", ""),
    ('"current_a"', '"Current"', 5, "register[2].channel", "small letters, digits and underscores, not 'Current'", ""),
    ('current_a", address = 6, type = "float32", unit = "A"', 'power_w", address = 6, type = "float32", unit = "W"', 5,
     "register[2].channel", "there twice", ""),
    ('unit = "A"', 'unit = "mA"', 5, "register[2].unit", "current_a does not end in its unit mA", "call it current_ma"),
    ('"power_w"', '"power"', 4, "register[1].unit", "power does not end in its unit W", "call it power_w"),
    ('6, type = "float32"', '6, type = "float"', 5, "register[2].type", "must be one of 'bit'", "did you mean float"),
    ('6, type = "float32"', '6, type = "float32", order = "CDAB"', 5, "register[2].order", "'low_first'", ""),
    ('6, type = "float32"', '6, type = "float32", scale = 0', 5, "register[2].scale", "must not be 0", ""),
    ('6, type = "float32"', '6, type = "int16", no_value = ["7FFFFFFF"]', 5, "register[2].no_value",
     "not 4 hexadecimal digits, as type int16 needs", "FFFF"),
    ('6, type = "float32"', '6, type = "int16", factors = ["ct"]', 5, "register[2].factors", "ct_ratio, vt_ratio", ""),
    (", low = 0, high = 60", ", high = 60", 5, "register[2].low", "required", "not believed"),
    (", low = 0, high = 60", "", 5, "register[2].low", "required", "states"),
    ("low = 0, high = 60", "low = 60, high = 0", 5, "register[2].low", "less than high (0.0)", ""),
    ("low = 0, high = 60", 'states = { 0 = "off" }', 5, "register[2].type", "a state is a whole number", ""),
    ("low = 0, high = 60", 'states = { x = "off" }', 5, "register[2].states", "'x' is no code", "idle"),
    ("low = 0, high = 60", "states = { 0 = 1 }", 5, "register[2].states", "from codes to texts", "idle"),
    ("baud = 19200", "baud = 19.2", 9, "serial.baud", "whole number, not 19.2", ""),
    ('parity = "E"', 'parity = "even"', 10, "serial.parity", "must be one of 'N', 'E', 'O'", ""),
    ("register = [", "registers = [", 3, "registers", "no such key", "did you mean register?"),
    ("function = 4", "function = ４", 1, "", "not valid TOML", ""),
]  # fmt: skip


@pytest.mark.parametrize("case", IN_A_PROFILE)
def test_a_mistake_in_a_profile_is_told_with_file_line_and_key(
    tmp_path: Path, case: tuple[str, str, int, str, str, str]
) -> None:
    old, new, line, key, problem, hint = case
    assert old in OWN_PROFILE
    found = mistakes_with(tmp_path, NAMED, OWN_PROFILE.replace(old, new, 1))
    mistake = next(item for item in found if item.key == key)
    assert (mistake.path, mistake.line) == (tmp_path / "meters/mine.toml", line)
    assert problem in mistake.problem
    assert hint in mistake.hint


def test_what_only_shows_in_the_profile_as_a_whole_is_told_for_every_register(tmp_path: Path) -> None:
    found = mistakes_with(tmp_path, NAMED, OWN_PROFILE.replace("function = 4\n", ""))
    assert [(item.line, item.key) for item in found] == [(3, "register[1].function"), (4, "register[2].function")]


def test_all_mistakes_of_a_profile_are_told_at_once(tmp_path: Path) -> None:
    own = OWN_PROFILE.replace('"float32"', '"float33"').replace("baud", "bauds")
    found = mistakes_with(tmp_path, NAMED, own)
    assert [(item.line, item.key) for item in found] == [
        (4, "register[1].type"),
        (5, "register[2].type"),
        (9, "serial.bauds"),
    ]


def test_a_profile_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    [mistake] = mistakes_with(tmp_path, 'profile_file = "meters/yours.toml"\n')
    assert (mistake.path, mistake.line) == (tmp_path / "config.toml", 11)
    assert mistake.problem == f"{tmp_path}/meters/yours.toml: there is no such file"


def test_a_profile_nobody_ships_is_told_at_its_key_beside_other_mistakes(tmp_path: Path) -> None:
    found = mistakes_with(tmp_path, 'profile = "eastron-sdm121"\nunit_id = 300\n')
    assert [(item.line, item.key) for item in found] == [
        (11, "instrument[1].driver.profile"),
        (12, "instrument[1].driver.unit_id"),
    ]
    assert "did you mean eastron-sdm120?" in found[0].hint


def test_check_shows_a_mistake_in_a_profile_as_one_in_the_config_file(tmp_path: Path) -> None:
    mistakes_with(tmp_path, NAMED, OWN_PROFILE.replace("12,", "'12',"))
    own = tmp_path / "meters/mine.toml"
    command = [sys.executable, "-m", "instrument_agent.cli.main", "check", "--config", str(tmp_path / "config.toml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={"LANGUAGE": "C"})
    assert done.returncode == 78
    assert done.stderr.splitlines() == [
        f"{own}:4: register[1].address: must be a whole number, not text (write it without quotes)",
        "1 mistake",
    ]
    done = subprocess.run(
        [*command, "--json"], capture_output=True, text=True, timeout=60, check=False, env={"LANGUAGE": "C"}
    )
    assert json.loads(done.stdout)["mistakes"][0]["path"] == str(own)


def test_all_that_is_wrong_with_a_register_is_told_at_once_and_once(tmp_path: Path) -> None:
    own = OWN_PROFILE.replace('unit = "W", low = -100', 'unit = "kW", scale = 0, no_value = ["FF"], low = 9001')
    sharing = CONFIG.partition("[[instrument]]")[2].replace("xrd-1", "sem-1").replace(".0.2.1", ".0.2.2")
    found = mistakes_with(tmp_path, f"{NAMED}[[instrument]]{sharing}{NAMED}", own)
    keys = ["scale", "no_value", "unit", "low"]
    assert [(item.line, item.key) for item in found] == [(4, f"register[1].{key}") for key in keys]
