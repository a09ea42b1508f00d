"""Every profile is read from a simulated meter at the wire, each register at the ends of what it can hold."""

import math
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from word_meter import LOOPBACK, WordMeter, words_of

import instrument_agent.drivers
from instrument_agent.core.errors import ConfigError
from instrument_agent.core.readings import Value
from instrument_agent.drivers.modbus import ModbusDriver
from instrument_agent.drivers.profile_file import load_profile, profile_names
from instrument_agent.drivers.units import ends_in

FOLDER = Path(instrument_agent.drivers.__path__[0]) / "profiles"
PROFILES: dict[str, dict[str, Any]] = {
    file.stem: tomllib.loads(file.read_text(encoding="utf-8")) for file in sorted(FOLDER.glob("*.toml"))
}
CT_RATIO, VT_RATIO = 40, 25
RATIOS = {"ct_ratio": CT_RATIO, "vt_ratio": VT_RATIO}
ENDS = {
    "uint16": (0, 0xFFFF),
    "int16": (-0x8000, 0x7FFF),
    "uint32": (0, 0xFFFFFFFF),
    "int32": (-0x80000000, 0x7FFFFFFF),
    "uint64": (0, 0xFFFFFFFFFFFFFFFF),
    "int64": (-0x8000000000000000, 0x7FFFFFFFFFFFFFFF),
    "float32": (-3.4028234663852886e38, 3.4028234663852886e38),
    "float64": (-1e300, 1e300),
}


@pytest.fixture(scope="module")
def server() -> Iterator[WordMeter]:
    with WordMeter() as meter:
        yield meter


@pytest.fixture
def meter(server: WordMeter) -> WordMeter:
    server.words, server.strict = {}, False
    server.asked.clear()
    return server


def sample(register: dict[str, Any], case: str, number: int) -> float:
    """Return a raw value; each register gets another valid one, with something in each of its words."""
    if register["channel"] in RATIOS:
        return RATIOS[register["channel"]]
    kind = register["type"]
    low, high = ENDS[kind]
    if case == "lowest":
        return low
    if case == "highest":
        taken = [int(pattern, 16) for pattern in register.get("no_value", [])]
        return high - 1 if high in taken else high
    if kind.startswith("float"):
        return 100.5 + number
    return {16: 1000, 32: 0x10001, 64: 0x1000100010001}[int(kind[-2:])] + number


def expected(profile: dict[str, Any], register: dict[str, Any], raw: float) -> Value:
    if "states" in register:
        return str(register["states"].get(str(raw), raw))
    value = raw * register.get("scale", 1)
    for factor in register.get("factors", []):
        held = [item for item in profile["register"] if item["channel"] == factor]
        value *= RATIOS[factor] * held[0].get("scale", 1) if held else 1
    return value


def fill(meter: WordMeter, profile: dict[str, Any], case: str) -> dict[str, Value]:
    """Put words into the meter; return what must be read."""
    wanted: dict[str, Value] = {}
    for number, register in enumerate(profile["register"]):
        raw = sample(register, case, number)
        wanted[register["channel"]] = expected(profile, register, raw)
        words = words_of(register["type"], raw, register.get("order", "high_first"))
        if case == "no value" and register["channel"] not in RATIOS:
            nothing = [int(pattern, 16) for pattern in register.get("no_value", [])]
            if register["type"].startswith("float"):
                words = words_of(register["type"], math.nan, register.get("order", "high_first"))
                wanted[register["channel"]] = None
            elif nothing:
                unsigned = register["type"].replace("uint", "int").replace("int", "uint")
                words = words_of(unsigned, nothing[-1], register.get("order", "high_first"))
                wanted[register["channel"]] = None
        meter.hold(register.get("function", profile["function"]), register["address"], words)
    return wanted


def read(meter: WordMeter, name: str, **options: Any) -> dict[str, Value]:
    driver = ModbusDriver(profile=name, host=LOOPBACK, tcp_port=meter.port, **options)
    values = driver.read(2.0)
    driver.close()
    return dict(values)


@pytest.mark.parametrize("case", ["valid", "lowest", "highest", "no value"])
@pytest.mark.parametrize("name", PROFILES)
def test_every_register_of_every_profile_is_read_as_it_was_written(meter: WordMeter, name: str, case: str) -> None:
    wanted = fill(meter, PROFILES[name], case)
    values = read(meter, name)
    assert list(values) == [register["channel"] for register in PROFILES[name]["register"]]
    for channel, value in wanted.items():
        assert values[channel] == (value if value is None or isinstance(value, str) else pytest.approx(value)), channel


@pytest.mark.parametrize("name", PROFILES)
def test_a_meter_that_has_no_other_registers_is_read_whole_too(meter: WordMeter, name: str) -> None:
    wanted = fill(meter, PROFILES[name], "valid")
    meter.strict = True
    assert read(meter, name) == pytest.approx(wanted)


@pytest.mark.parametrize("name", PROFILES)
def test_no_read_is_longer_than_the_meter_takes(meter: WordMeter, name: str) -> None:
    fill(meter, PROFILES[name], "valid")
    read(meter, name)
    assert {function for function, _address, _count in meter.asked} == {PROFILES[name]["function"]}
    assert max(count for _function, _address, count in meter.asked) <= PROFILES[name]["max_registers"] <= 125


@pytest.mark.parametrize(
    ("name", "reads"),
    [
        ("pzem-004t", [(4, 0, 10)]),
        ("hiking-dds238", [(3, 0, 18)]),
        ("eastron-sdm630", [(4, 0x0000, 18), (4, 0x0034, 24), (4, 0x0156, 2)]),
        ("abb-b23", [(3, 0x5000, 8), (3, 0x5B00, 59)]),
    ],
)
def test_neighbours_are_read_together(meter: WordMeter, name: str, reads: list[tuple[int, int, int]]) -> None:
    fill(meter, PROFILES[name], "valid")
    read(meter, name)
    assert meter.asked == reads


def test_an_em24_is_asked_for_eleven_registers_at_most(meter: WordMeter) -> None:
    fill(meter, PROFILES["carlo-gavazzi-em24"], "valid")
    read(meter, "carlo-gavazzi-em24")
    assert len(meter.asked) == 7
    assert max(count for _function, _address, count in meter.asked) <= 11


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_says_what_it_is_where_it_is_from_and_what_is_credible(name: str) -> None:
    profile = PROFILES[name]
    assert all(profile[key] for key in ("maker", "models", "source", "confidence"))
    assert profile["confidence"] in ("A", "B")
    channels = {channel.name: channel for channel in ModbusDriver(profile=name, host=LOOPBACK).channels}
    assert channels["power_w"].high >= 15000
    for channel in channels.values():
        assert ends_in(channel.name, channel.unit), channel
        assert channel.low < channel.high
        if channel.unit == "V":
            assert (channel.low, channel.high >= 300) == (0, True), channel
        if channel.unit == "Hz":
            assert (channel.low, channel.high) == (40, 70), channel
        if channel.unit == "kW.h":
            assert (channel.low, channel.high >= 1e5) == (0, True), channel


def test_twenty_and_more_models_are_known_and_each_name_belongs_to_one_profile() -> None:
    assert sum(len(profile["models"]) for profile in PROFILES.values()) >= 20
    names = [name for stem, profile in PROFILES.items() for name in (stem, *profile.get("aliases", []))]
    assert len(set(names)) == len(names)
    assert profile_names() == sorted(names)


def test_an_alias_is_the_profile_it_stands_for() -> None:
    assert load_profile("eastron-sdm320") == load_profile("eastron-sdm230")
    assert load_profile("schneider-iem3155").models == PROFILES["schneider-iem3000"]["models"]


def test_an_unknown_profile_is_named_with_the_nearest_and_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="chint-dtsu660") as caught:
        ModbusDriver(profile="chint-dtsu660", port="/dev/ttyS0")
    assert "did you mean chint-dtsu666?" in caught.value.hint
    assert "eastron-sdm120" in caught.value.hint


@pytest.mark.parametrize("name", PROFILES)
def test_the_factory_settings_are_the_ones_that_count_when_the_config_has_none(name: str) -> None:
    serial = PROFILES[name].get("serial", {})
    driver = ModbusDriver(profile=name, port="/dev/ttyUSB0")
    assert driver.baud == serial.get("baud", 9600)
    assert (driver.parity, driver.stop_bits) == (serial.get("parity", "N"), serial.get("stop_bits", 1))
    given = ModbusDriver(profile=name, port="/dev/ttyUSB0", baud=4800, parity="O", stop_bits=2)
    assert (given.baud, given.parity, given.stop_bits) == (4800, "O", 2)


class TestRatios:
    def test_the_ratios_are_read_from_the_meter_with_each_reading(self, meter: WordMeter) -> None:
        fill(meter, PROFILES["chint-dtsu666"], "valid")
        meter.hold(3, 0x2012, words_of("float32", 1000.0))
        assert read(meter, "chint-dtsu666")["power_w"] == pytest.approx(100.0 * 40 * 2.5)
        meter.hold(3, 0x0006, [60, 10])
        values = read(meter, "chint-dtsu666")
        assert (values["power_w"], values["ct_ratio"], values["vt_ratio"]) == (pytest.approx(6000.0), 60.0, 1.0)

    def test_a_ratio_in_the_config_counts_and_is_not_asked_for(self, meter: WordMeter) -> None:
        fill(meter, PROFILES["chint-dtsu666"], "valid")
        meter.hold(3, 0x2012, words_of("float32", 1000.0))
        values = read(meter, "chint-dtsu666", ct_ratio=30, vt_ratio=1)
        assert values["power_w"] == pytest.approx(3000.0)
        assert "ct_ratio" not in values
        assert 0x0006 not in [address for _function, address, _count in meter.asked]

    def test_without_ratios_a_meter_that_does_not_know_them_is_taken_as_it_is(self, meter: WordMeter) -> None:
        fill(meter, PROFILES["chint-ddsu666"], "valid")
        meter.hold(3, 0x2004, words_of("float32", 0.5))
        assert read(meter, "chint-ddsu666")["power_w"] == 500.0
        assert read(meter, "chint-ddsu666", ct_ratio=20)["power_w"] == 10000.0

    def test_what_is_behind_a_transformer_is_absent_when_its_ratio_was_not_read(self, meter: WordMeter) -> None:
        fill(meter, PROFILES["chint-dtsu666"], "valid")
        del meter.words[3, 0x0006], meter.words[3, 0x0007]
        meter.strict = True
        assert set(read(meter, "chint-dtsu666")) == {"power_factor", "frequency_hz"}

    def test_what_is_behind_a_transformer_is_nonsense_when_its_ratio_is(self, meter: WordMeter) -> None:
        fill(meter, PROFILES["chint-dtsu666"], "valid")
        meter.hold(3, 0x0006, [0])
        values = read(meter, "chint-dtsu666")
        assert (values["power_w"], values["current_l1_a"]) == (None, None)
        assert values["voltage_l1_v"] == pytest.approx(0.1 * 102.5 * 2.5)

    def test_a_ratio_for_a_meter_that_multiplies_itself_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="multiplied already") as caught:
            ModbusDriver(profile="eastron-sdm120", host=LOOPBACK, ct_ratio=40)
        assert "leave this key out" in caught.value.hint


def test_an_alarm_of_a_pzem_is_a_text_and_a_code_nobody_knows_is_itself(meter: WordMeter) -> None:
    fill(meter, PROFILES["pzem-004t"], "valid")
    seen = []
    for code in (0, 0xFFFF, 7):
        meter.hold(4, 9, [code])
        seen.append(read(meter, "pzem-004t")["power_alarm"])
    assert seen == ["clear", "alarm", "7"]
