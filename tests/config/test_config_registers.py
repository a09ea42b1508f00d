"""What may be wrong with the registers of a meter, in a profile of one's own or in the config file, is told by line."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from instrument_agent.config import Config, InvalidConfig, Mistake, load_config
from instrument_agent.core.readings import Channel

CONFIG = """\
[box]
id = "box-1"
[[instrument]]
id = "xrd-1"
[instrument.activity]
off_below = 20
run_above = 800
[instrument.driver]
name = "modbus"
host = "192.0.2.1"
"""

OWN_PROFILE = """\
function = 4
max_gap = 2
register = [
  { channel = "power_w", address = 12, type = "float32", unit = "W", low = -100, high = 9000 },
  { channel = "current_a", address = 6, type = "float32", unit = "A", low = 0, high = 60 },
]

[serial]
baud = 19200
parity = "E"
"""

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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "meters").mkdir()
    (tmp_path / "meters" / "mine.toml").write_text(OWN_PROFILE, encoding="utf-8")
    return tmp_path


def load(folder: Path, more: str, own: str = OWN_PROFILE) -> Config:
    (folder / "meters" / "mine.toml").write_text(own, encoding="utf-8")
    (folder / "config.toml").write_text(CONFIG + more, encoding="utf-8")
    return load_config(folder / "config.toml")


def mistakes_in(folder: Path, more: str, own: str = OWN_PROFILE) -> list[Mistake]:
    with pytest.raises(InvalidConfig) as caught:
        load(folder, more, own)
    return caught.value.mistakes


def channels(config: Config) -> list[Channel]:
    return list(config.instruments[0].driver.build().channels)


def test_a_profile_of_ones_own_is_found_from_the_folder_of_the_config_file(folder: Path) -> None:
    config = load(folder, 'profile_file = "meters/mine.toml"\n')
    assert channels(config) == [Channel("power_w", "W", -100.0, 9000.0), Channel("current_a", "A", 0.0, 60.0)]


def test_a_changed_profile_is_another_config(folder: Path) -> None:
    more = 'profile_file = "meters/mine.toml"\n'
    first, again = load(folder, more).hash, load(folder, more).hash
    changed = OWN_PROFILE.replace("address = 12", "address = 14")
    assert first == again == hashlib.sha256((CONFIG + more + OWN_PROFILE).encode()).hexdigest()
    assert load(folder, more, changed).hash == hashlib.sha256((CONFIG + more + changed).encode()).hexdigest()


def test_a_profile_that_two_instruments_share_counts_once(folder: Path) -> None:
    more = 'profile_file = "meters/mine.toml"\n'
    both = more + CONFIG.partition("[[instrument]]")[2].replace("xrd-1", "sem-1").replace(".0.2.1", ".0.2.2")
    both = both.replace('\nid = "sem-1"', '[[instrument]]\nid = "sem-1"') + more
    assert load(folder, both).hash == hashlib.sha256((CONFIG + both + OWN_PROFILE).encode()).hexdigest()


def test_a_serial_line_has_the_settings_of_the_profile_where_the_config_has_none(folder: Path) -> None:
    text = CONFIG.replace('host = "192.0.2.1"', 'port = "/dev/ttyUSB0"')
    (folder / "config.toml").write_text(f'{text}profile_file = "meters/mine.toml"\nstop_bits = 2\n', encoding="utf-8")
    options = load_config(folder / "config.toml").instruments[0].driver.options
    assert (options["baud"], options["parity"], options["stop_bits"]) == (19200, "E", 2)


def test_registers_in_the_config_file_are_channels(folder: Path) -> None:
    config = load(folder, MEASURED + STATE)
    assert [channel.name for channel in channels(config)] == ["power_w", "state"]
    assert channels(config)[0] == Channel("power_w", "W", 0.0, 9000.0)


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
    folder: Path, case: tuple[str, str, int, str, str, str]
) -> None:
    old, new, line, key, problem, hint = case
    assert old in OWN_PROFILE
    found = mistakes_in(folder, 'profile_file = "meters/mine.toml"\n', OWN_PROFILE.replace(old, new, 1))
    mistake = next(item for item in found if item.key == key)
    assert (mistake.path, mistake.line) == (folder / "meters/mine.toml", line)
    assert problem in mistake.problem
    assert hint in mistake.hint


def test_what_only_shows_in_the_profile_as_a_whole_is_told_for_every_register(folder: Path) -> None:
    found = mistakes_in(folder, 'profile_file = "meters/mine.toml"\n', OWN_PROFILE.replace("function = 4\n", ""))
    assert [(item.line, item.key) for item in found] == [(3, "register[1].function"), (4, "register[2].function")]


def test_all_mistakes_of_a_profile_are_told_at_once(folder: Path) -> None:
    own = OWN_PROFILE.replace('"float32"', '"float33"').replace("baud", "bauds")
    found = mistakes_in(folder, 'profile_file = "meters/mine.toml"\n', own)
    assert [(item.line, item.key) for item in found] == [
        (4, "register[1].type"),
        (5, "register[2].type"),
        (9, "serial.bauds"),
    ]


def test_a_profile_that_is_not_there_is_a_mistake(folder: Path) -> None:
    [mistake] = mistakes_in(folder, 'profile_file = "meters/yours.toml"\n')
    assert (mistake.path, mistake.line) == (folder / "config.toml", 11)
    assert mistake.problem == f"{folder}/meters/yours.toml: there is no such file"


def test_a_profile_nobody_ships_is_told_at_its_key_beside_other_mistakes(folder: Path) -> None:
    found = mistakes_in(folder, 'profile = "eastron-sdm121"\nunit_id = 300\n')
    assert [(item.line, item.key) for item in found] == [
        (11, "instrument[1].driver.profile"),
        (12, "instrument[1].driver.unit_id"),
    ]
    assert "did you mean eastron-sdm120?" in found[0].hint


def test_check_shows_a_mistake_in_a_profile_as_one_in_the_config_file(folder: Path) -> None:
    own = folder / "meters/mine.toml"
    own.write_text(OWN_PROFILE.replace("12,", "'12',"), encoding="utf-8")
    (folder / "config.toml").write_text(CONFIG + 'profile_file = "meters/mine.toml"\n', encoding="utf-8")
    command = [sys.executable, "-m", "instrument_agent.cli.main", "check", "--config", str(folder / "config.toml")]
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
    folder: Path, old: str, new: str, line: int, key: str, problem: str
) -> None:
    found = mistakes_in(folder, MEASURED.replace(old, new, 1))
    mistake = next(item for item in found if item.key == key)
    assert mistake.line == line
    assert problem in mistake.problem


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ('profile = "chint-dtsu666"\nprofile_file = "meters/mine.toml"\n', "profile"),
        ('profile_file = "meters/mine.toml"\n' + MEASURED, "profile_file"),
        ('profile = "chint-dtsu666"\n' + MEASURED, "profile"),
    ],
)
def test_registers_come_from_one_place(folder: Path, more: str, key: str) -> None:
    [mistake] = mistakes_in(folder, more)
    assert (mistake.line, mistake.key) == (11, f"instrument[1].driver.{key}")
    assert "exclude each other" in mistake.problem


def test_a_ratio_for_a_meter_that_multiplies_itself_is_told_at_its_key(folder: Path) -> None:
    [mistake] = mistakes_in(folder, "ct_ratio = 40\n")
    assert (mistake.line, mistake.key) == (11, "instrument[1].driver.ct_ratio")
    assert "multiplied already" in mistake.problem


TWO_METERS = """\
[box]
id = "box-1"
[[instrument]]
id = "xrd-1"
activity = { off_below = 20, run_above = 800 }
driver = { name = "modbus", port = "/dev/ttyUSB0" }
[[instrument]]
id = "sem-1"
activity = { off_below = 20, run_above = 800 }
driver = { name = "modbus", port = "/dev/ttyUSB0", unit_id = 2, profile = "pzem-016" }
"""


def test_meters_with_other_factory_settings_on_one_bus_are_a_mistake_until_the_config_sets_them(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(TWO_METERS, encoding="utf-8")
    with pytest.raises(InvalidConfig) as caught:
        load_config(path)
    [mistake] = caught.value.mistakes
    assert (mistake.line, mistake.key) == (10, "instrument[2].driver.baud")
    assert "9600 here, but 2400 in instrument[1].driver" in mistake.problem
    assert "takes its profile's value" in mistake.hint
    path.write_text(TWO_METERS.replace("ttyUSB0", 'ttyUSB0", baud = 4800, parity = "N'), encoding="utf-8")
    assert [item.driver.options["baud"] for item in load_config(path).instruments] == [4800, 4800]


def test_meters_behind_a_gateway_have_no_serial_settings_to_agree_on(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    text = TWO_METERS.replace('port = "/dev/ttyUSB0"', 'host = "192.0.2.1"')
    for given in ("", ", baud = 9600"):
        path.write_text(text.replace("unit_id = 2", f"unit_id = 2{given}"), encoding="utf-8")
        assert len(load_config(path).instruments) == 2


def test_meters_at_one_address_agree_whether_it_is_a_serial_server(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    text = TWO_METERS.replace('port = "/dev/ttyUSB0"', 'host = "192.0.2.1"')
    path.write_text(text.replace("unit_id = 2", "unit_id = 2, rtu_over_tcp = true"), encoding="utf-8")
    with pytest.raises(InvalidConfig) as caught:
        load_config(path)
    assert [item.key for item in caught.value.mistakes] == ["instrument[2].driver.rtu_over_tcp"]


def test_all_that_is_wrong_with_a_register_is_told_at_once_and_once(folder: Path) -> None:
    own = OWN_PROFILE.replace('unit = "W", low = -100', 'unit = "kW", scale = 0, no_value = ["FF"], low = 9001')
    sharing = CONFIG.partition("[[instrument]]")[2].replace("xrd-1", "sem-1").replace(".0.2.1", ".0.2.2")
    naming = 'profile_file = "meters/mine.toml"\n'
    found = mistakes_in(folder, f"{naming}[[instrument]]{sharing}{naming}", own)
    keys = ["scale", "no_value", "unit", "low"]
    assert [(item.line, item.key) for item in found] == [(4, f"register[1].{key}") for key in keys]


def test_all_that_is_wrong_with_the_keys_of_a_driver_is_told_at_once(folder: Path) -> None:
    found = mistakes_in(folder, 'port = "/dev/ttyUSB0"\nct_ratio = 2\nvt_ratio = 3\n')
    assert [item.key.rpartition(".")[2] for item in found] == ["host", "ct_ratio", "vt_ratio"]
