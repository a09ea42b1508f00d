"""What two instruments cannot both have is refused, and what they can share is not."""

from pathlib import Path

import pytest
from written import loaded, mistakes_in

INSTRUMENT = """
[[instrument]]
id = "{id}"
driver = {{ {driver} }}
activity = {{ channel = "{channel}", {rules} }}
"""
LIMITS = "off_below = 0.1, run_above = 4"
CONTACT, PULSE = 'name = "contact", pin = 17', 'name = "pulse", pulses_per_kwh = 1000, pin = 17'
CLAMP = 'name = "current_clamp", ct_ratio = 2000, burden_ohm = 22, adc_channel = 3'
METER = 'name = "modbus", port = "/dev/ttyUSB0", profile = "eastron-sdm630"'
VALUES = 'values = [{ channel = "power_w", unit = "W", pattern = "(.+)" }]'
TEXT = f'name = "serial_text", port = "/dev/ttyUSB0", {VALUES}'


def config(*instruments: tuple[str, str]) -> str:
    text = '[box]\nid = "box-1"\n'
    for number, (driver, channel) in enumerate(instruments):
        rules = 'states = { closed = "running", open = "standby" }' if channel == "contact" else LIMITS
        text += INSTRUMENT.format(id=f"i{number}", driver=driver, channel=channel, rules=rules)
    return text


@pytest.mark.parametrize(
    ("first", "second", "key"),
    [
        ((CONTACT, "contact"), (CONTACT, "contact"), "pin"),
        ((CONTACT, "contact"), (PULSE, "power_w"), "pin"),
        ((CLAMP, "current_a"), (CLAMP, "current_a"), "adc_channel"),
        ((TEXT, "power_w"), (TEXT, "power_w"), "port"),
        ((TEXT, "power_w"), (METER, "power_w"), "port"),
        ((METER, "power_w"), (TEXT, "power_w"), "port"),
    ],
)
def test_what_only_one_instrument_can_read_is_refused_to_a_second(
    tmp_path: Path, first: tuple[str, str], second: tuple[str, str], key: str
) -> None:
    [mistake] = mistakes_in(tmp_path, config(first, second))
    assert (mistake.line, mistake.key) == (11, f"instrument[2].driver.{key}")
    assert "already used by instrument[1].driver" in mistake.problem


def test_a_port_with_two_names_is_told_since_only_one_of_two_buses_would_get_it(tmp_path: Path) -> None:
    (tmp_path / "ttyUSB0").touch()
    (tmp_path / "by-id").symlink_to(tmp_path / "ttyUSB0")
    readers = [(METER.replace("/dev/ttyUSB0", str(tmp_path / name)), "power_w") for name in ("by-id", "ttyUSB0")]
    [mistake] = mistakes_in(tmp_path, config(*readers))
    assert (mistake.line, mistake.key) == (11, "instrument[2].driver.port")
    assert "same port as instrument[1].driver" in mistake.problem
    assert mistake.hint.endswith("by-id")


def test_of_three_on_one_pin_two_are_told(tmp_path: Path) -> None:
    found = mistakes_in(tmp_path, config(*[(CONTACT, "contact")] * 3))
    assert [item.key for item in found] == ["instrument[2].driver.pin", "instrument[3].driver.pin"]


def test_other_pins_inputs_chips_and_ports_are_free(tmp_path: Path) -> None:
    instruments = [
        (CONTACT, "contact"),
        (PULSE.replace("17", "22"), "power_w"),
        (CLAMP, "current_a"),
        (CLAMP.replace("= 3", "= 4"), "current_a"),
        (f"{CLAMP}, spi_device = 1", "current_a"),
        (TEXT, "power_w"),
        (METER.replace("USB0", "USB1"), "power_w"),
    ]
    assert len(loaded(tmp_path, config(*instruments)).instruments) == len(instruments)


def test_one_meter_may_watch_several_instruments_each_by_a_channel_of_its_own(tmp_path: Path) -> None:
    phases = [(METER, f"power_l{number}_w") for number in (1, 2, 3)]
    assert len(loaded(tmp_path, config(*phases)).instruments) == 3
    [mistake] = mistakes_in(tmp_path, config(*phases, phases[0]))
    assert (mistake.key, "already asked by instrument[1]" in mistake.problem) == ("instrument[4].driver.unit_id", True)


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
    [mistake] = mistakes_in(tmp_path, TWO_METERS)
    assert (mistake.line, mistake.key) == (10, "instrument[2].driver.baud")
    assert "9600 here, but 2400 in instrument[1].driver" in mistake.problem
    assert "takes its profile's value" in mistake.hint
    config = loaded(tmp_path, TWO_METERS.replace("ttyUSB0", 'ttyUSB0", baud = 4800, parity = "N'))
    assert [item.driver.options["baud"] for item in config.instruments] == [4800, 4800]


def test_meters_behind_a_gateway_have_no_serial_settings_to_agree_on(tmp_path: Path) -> None:
    text = TWO_METERS.replace('port = "/dev/ttyUSB0"', 'host = "192.0.2.1"')
    for given in ("", ", baud = 9600"):
        assert len(loaded(tmp_path, text.replace("unit_id = 2", f"unit_id = 2{given}")).instruments) == 2


def test_meters_at_one_address_agree_whether_it_is_a_serial_server(tmp_path: Path) -> None:
    text = TWO_METERS.replace('port = "/dev/ttyUSB0"', 'host = "192.0.2.1"')
    found = mistakes_in(tmp_path, text.replace("unit_id = 2", "unit_id = 2, rtu_over_tcp = true"))
    assert [item.key for item in found] == ["instrument[2].driver.rtu_over_tcp"]
