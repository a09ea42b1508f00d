"""What a good config file becomes."""

import hashlib
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from written import SHORTEST, loaded

from instrument_agent.config import Config, load_config
from instrument_agent.core.activity import Rules
from instrument_agent.drivers.mock import MockDriver
from instrument_agent.drivers.modbus import ModbusDriver


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)

    def write_and_load(text: str) -> Config:
        return loaded(tmp_path, text)

    return write_and_load


def test_what_is_not_said_has_its_default(load):
    config = load(SHORTEST)
    assert config.destinations == ()
    assert config.box.state_dir == Path("/var/lib/instrument-agent")
    assert config.box.runtime_dir == Path("/run/instrument-agent")
    assert (config.box.timezone, config.box.checkpoint_s, config.box.log_level) == ("Asia/Shanghai", 120, "info")
    [instrument] = config.instruments
    assert (instrument.poll_s, instrument.timeout_s) == (1.0, 1.0)
    assert instrument.driver.options["baud"] == 2400


def test_the_directories_systemd_made_are_the_defaults(load, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/private/first:/var/lib/private/second")
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/other")
    box = load(SHORTEST).box
    assert (box.state_dir, box.runtime_dir) == (Path("/var/lib/private/first"), Path("/run/other"))


def test_a_directory_in_the_file_wins_over_the_one_systemd_made(load, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/other")
    assert load(SHORTEST.replace("[[instr", 'state_dir = "/data"\n[[instr', 1)).box.state_dir == Path("/data")


def test_a_relative_path_starts_at_the_folder_of_the_file(load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    destination = '[[destination]]\nname = "p"\nurl = "https://p.example"\ncredential_file = "secret/token"\n'
    load(SHORTEST + destination)
    monkeypatch.chdir(tmp_path)
    [loaded] = load_config(Path("config.toml")).destinations
    assert loaded.credential_file == tmp_path / "secret/token"
    assert loaded.ca_file is None


def test_times_of_the_rules_are_nanoseconds(load):
    text = SHORTEST + "run_below = 700\nmin_on_s = 0.5\nmin_off_s = 90\noff_settle_s = 0\ngap_s = 30\nbridge_s = 30\n"
    [instrument] = load(text).instruments
    assert instrument.activity.rules() == Rules(
        "power_w", 20.0, 800.0, 700.0, 500_000_000, 90 * 10**9, 0, 30 * 10**9, 30 * 10**9
    )


def test_without_run_below_a_run_ends_where_it_begins(load):
    [instrument] = load(SHORTEST).instruments
    assert instrument.activity.rules().run_below == 800.0


def test_the_identity_is_what_was_said_and_empty_otherwise(load):
    text = SHORTEST.replace('id = "xrd-1"', 'id = "xrd-1"\nname_zh = "X射线衍射仪"\norg_uscc = "91350100M000100Y43"')
    [instrument] = load(text).instruments
    assert instrument.identity() == {
        "asset_code": "",
        "platform_code": "",
        "name_zh": "X射线衍射仪",
        "name_en": "",
        "model": "",
        "org_name": "",
        "org_uscc": "91350100M000100Y43",
        "location": "",
    }


def test_a_credit_code_may_be_left_empty(load):
    text = SHORTEST.replace('id = "xrd-1"', 'id = "xrd-1"\norg_uscc = ""')
    assert load(text).instruments[0].identity()["org_uscc"] == ""


def test_the_hash_is_that_of_the_bytes(load):
    assert load(SHORTEST).hash == hashlib.sha256(SHORTEST.encode()).hexdigest()


def test_a_driver_is_built_with_its_options_and_the_clock_it_is_given(load):
    modbus = load(SHORTEST).instruments[0].driver.build()
    assert isinstance(modbus, ModbusDriver)
    assert modbus.port == "/dev/ttyUSB0"
    mock_text = SHORTEST.replace('name = "modbus"\nport = "/dev/ttyUSB0"', 'name = "mock"\nscript = [1.0, 2.0]')
    seconds = iter([100.0, 101.0])
    mock = load(mock_text).instruments[0].driver.build(lambda: next(seconds))
    assert isinstance(mock, MockDriver)
    mock.open()
    assert mock.read(1.0) == {"power_w": 2.0}


def test_each_driver_built_is_a_new_one(load):
    driver = load(SHORTEST).instruments[0].driver
    assert driver.build() is not driver.build()


@pytest.mark.parametrize(
    ("options", "bus"),
    [
        ('name = "modbus"\nport = "/dev/ttyUSB0"', "/dev/ttyUSB0"),
        ('name = "modbus"\nhost = "Meter.Example"\ntcp_port = 1502', "meter.example:1502"),
        ('name = "mock"\nscript = [1]', None),
    ],
)
def test_a_bus_is_a_port_or_an_address(load, options: str, bus: str | None):
    text = SHORTEST.replace('name = "modbus"\nport = "/dev/ttyUSB0"', options)
    assert load(text).instruments[0].driver.bus == bus


def test_meters_share_a_bus_when_their_units_differ(load):
    second = SHORTEST[SHORTEST.index("[[instrument]]") :].replace("xrd-1", "xrd-2")
    config = load(SHORTEST + second.replace('name = "modbus"', 'name = "modbus"\nunit_id = 2'))
    assert [item.driver.bus for item in config.instruments] == ["/dev/ttyUSB0", "/dev/ttyUSB0"]


@pytest.mark.parametrize("url", ["http://localhost:8000", "http://127.0.0.2/x", "http://[::1]:80", "https://h.example"])
def test_plain_http_is_taken_to_this_machine(load, url: str):
    assert load(f'{SHORTEST}[[destination]]\nname = "p"\nurl = "{url}"\n').destinations[0].url == url


@pytest.mark.parametrize("batch_records", [1, 5000])
def test_the_ends_of_a_range_belong_to_it(load, batch_records: int):
    destination = f'[[destination]]\nname = "p"\nurl = "https://p.example"\nbatch_records = {batch_records}\n'
    assert load(SHORTEST + destination).destinations[0].batch_records == batch_records


def test_nothing_in_a_config_can_be_changed(load):
    config = load(SHORTEST)
    with pytest.raises(FrozenInstanceError):
        config.box.id = "other"
    with pytest.raises(TypeError):
        config.instruments[0].driver.options["baud"] = 9600
