"""Words as the meters send them, written by hand from what is known of each, and what they mean.

The other tests take scale, type and word order from the profile; a wrong one there is caught here.
"""

from collections.abc import Iterator

import pytest
from word_meter import LOOPBACK, WordMeter

from instrument_agent.drivers.modbus import ModbusDriver

FRAMES: dict[str, dict[int, tuple[str, dict[str, float | None]]]] = {
    # The datasheet's example 230.2 V is 4366 3334.
    "eastron-sdm120": {
        0x0000: ("4366 3334", {"voltage_v": 230.2}),
        0x0006: ("3FC0 0000", {"current_a": 1.5}),
        0x000C: ("C3A6 0000", {"power_w": -332.0}),
        0x0046: ("4248 0000", {"frequency_hz": 50.0}),
        0x0048: ("449A 5225", {"energy_import_kwh": 1234.567}),
        0x0156: ("7FC0 0000", {"energy_total_kwh": None}),
    },
    "eastron-sdm230": {0x000C: ("45BB 8000", {"power_w": 6000.0})},
    "eastron-sdm630": {
        0x0004: ("4366 3334", {"voltage_l3_v": 230.2}),
        0x0010: ("4316 0000", {"power_l3_w": 150.0}),
        0x0034: ("47AF C800", {"power_w": 90000.0}),
    },
    "eastron-sdm72": {0x0034: ("44BB 8000", {"power_w": 1500.0}), 0x0156: ("42F7 0000", {"energy_total_kwh": 123.5})},
    # 7,000 W and 70 A: what a sketch that shifts the high word by 8 bits gets wrong.
    "pzem-004t": {
        0x0000: (
            "08AC 1170 0001 1170 0001 E240 0001 01F4 0062 0000",
            {
                "voltage_v": 222.0,
                "current_a": 70.0,
                "power_w": 7000.0,
                "energy_total_kwh": 123.456,
                "frequency_hz": 50.0,
                "power_factor": 0.98,
            },
        ),
    },
    # 0.42 kW.
    "chint-ddsu666": {
        0x2004: ("3ED7 0A3D", {"power_w": 420.0}),
        0x4000: ("42F7 0000", {"energy_import_kwh": 123.5}),
    },
    # 2301.5 is 230.15 V, and all of it stands behind transformers 40:1.
    "chint-dtsu666": {
        0x0006: ("0028 000A", {"ct_ratio": 40.0, "vt_ratio": 1.0}),
        0x2006: ("450F D800", {"voltage_l1_v": 230.15}),
        0x200C: ("44BB 8000", {"current_l1_a": 60.0}),
        0x2012: ("461C 4000", {"power_w": 40000.0}),
        0x202A: ("446D 8000", {"power_factor": 0.95}),
        0x2044: ("459C 4000", {"frequency_hz": 50.0}),
        0x101E: ("42F7 0000", {"energy_import_kwh": 4940.0}),
    },
    "acrel-adw300": {
        20: ("08FC", {"voltage_l1_v": 230.0}),
        28: ("04D2", {"current_l3_a": 12.34}),
        36: ("FFFF ED28", {"power_w": -4824.0}),
        62: ("0001 E240", {"energy_import_kwh": 1234.56}),
    },
    "acrel-adl400": {
        0x008D: ("0001 0014", {"vt_ratio": 1.0, "ct_ratio": 20.0}),
        0x0064: ("01F4", {"current_l1_a": 100.0}),
        362: ("0000 0E60", {"power_w": 73600.0}),
        0x0000: ("0001 E240", {"energy_total_kwh": 24691.2}),
    },
    "acrel-adl400-primary": {
        0x0800: ("4366 3334", {"voltage_l1_v": 230.2}),
        0x081A: ("3FA0 0000", {"power_w": 1250.0}),
        0x084C: ("0001 E240", {"energy_import_kwh": 12345.6}),
    },
    # 1.25 kW, 1,234,567 Wh.
    "schneider-iem3000": {
        2999: ("3FC0 0000", {"current_l1_a": 1.5}),
        3027: ("4366 3334", {"voltage_l1_v": 230.2}),
        3059: ("3FA0 0000", {"power_w": 1250.0}),
        3203: ("0000 0000 0012 D687", {"energy_import_kwh": 1234.567}),
    },
    "schneider-pm5000": {3027: ("FFC0 0000", {"voltage_l1_v": None}), 3059: ("BFA0 0000", {"power_w": -1250.0})},
    "siemens-pac2200": {
        5: ("4366 3334", {"voltage_l3_v": 230.2}),
        65: ("44BB 8000", {"power_w": 1500.0}),
        801: ("4132 D687 0000 0000", {"energy_import_kwh": 1234.567}),
    },
    "siemens-7kt1665": {
        1: ("0000 59D8", {"voltage_l1_v": 230.0}),
        7: ("0000 3039", {"current_l1_a": 1.2345}),
        57: ("0002 49F0", {"power_w": 1500.0}),
        6687: ("0012 D687", {"energy_import_kwh": 1234.567}),
    },
    "abb-b21": {0x5B00: ("0000 08FC", {"voltage_v": 230.0}), 0x5B14: ("0002 49F0", {"power_w": 1500.0})},
    "abb-b23": {
        0x5B00: ("0000 08FC", {"voltage_l1_v": 230.0}),
        0x5B0C: ("0000 04D2 0000 0000 FFFF FFFF", {"current_l1_a": 12.34, "current_l2_a": 0.0, "current_l3_a": None}),
        0x5B14: ("FFFF CFC7", {"power_w": -123.45}),
        0x5B18: ("7FFF FFFF", {"power_l2_w": None}),
        0x5B2C: ("1388", {"frequency_hz": 50.0}),
        0x5B3A: ("FC27", {"power_factor": -0.985}),
        0x5000: ("0000 0000 0012 D687", {"energy_import_kwh": 12345.67}),
        0x5004: ("FFFF FFFF FFFF FFFF", {"energy_export_kwh": None}),
    },
    "carlo-gavazzi-em340": {
        0x0000: ("08FD 0000", {"voltage_l1_v": 230.1}),
        0x000C: ("1170 0001", {"current_l1_a": 70.0}),
        0x0028: ("C568 FFFF", {"power_w": -1500.0}),
        0x0031: ("FC27", {"power_factor": -0.985}),
        0x0033: ("01F3", {"frequency_hz": 49.9}),
        0x0034: ("D687 0012", {"energy_import_kwh": 123456.7}),
    },
    "carlo-gavazzi-em24": {
        0x0028: ("C568 FFFF", {"power_w": -1500.0}),
        0x0035: ("03D9", {"power_factor": 0.985}),
        0x0037: ("01F4", {"frequency_hz": 50.0}),
        0x0042: ("D687 0012", {"energy_import_kwh": 123456.7}),
        0x005C: ("0001 0000", {"energy_export_kwh": 0.1}),
    },
    # The first is what an ET112 answered.
    "carlo-gavazzi-em110": {
        0x0000: ("091B 0000", {"voltage_v": 233.1}),
        0x0004: ("C568 FFFF", {"power_w": -1500.0}),
    },
    "janitza-umg": {
        19026: ("44BB 8000", {"power_w": 1500.0}),
        19050: ("4248 0000", {"frequency_hz": 50.0}),
        19068: ("4996 B438", {"energy_import_kwh": 1234.567}),
    },
    "hiking-dds238": {
        0x0000: ("0001 E240", {"energy_total_kwh": 1234.56}),
        0x000C: (
            "08FC 04D2 FF88",
            {"voltage_v": 230.0, "current_a": 12.34, "power_w": -120.0},
        ),
        0x0010: ("03D9 1388", {"power_factor": 0.985, "frequency_hz": 50.0}),
    },
}


@pytest.fixture(scope="module")
def server() -> Iterator[WordMeter]:
    with WordMeter() as meter:
        yield meter


@pytest.mark.parametrize("name", FRAMES)
def test_words_mean_what_the_meter_measured(server: WordMeter, name: str) -> None:
    driver = ModbusDriver(profile=name, host=LOOPBACK, tcp_port=server.port)
    function = 4 if name.startswith(("eastron", "pzem", "siemens", "carlo")) else 3
    server.words.clear()
    for address, (words, _values) in FRAMES[name].items():
        server.hold(function, address, [int(word, 16) for word in words.split()])
    values = driver.read(2.0)
    driver.close()
    wanted = {channel: value for _words, means in FRAMES[name].values() for channel, value in means.items()}
    assert {channel: values[channel] for channel in wanted} == {
        channel: value if value is None else pytest.approx(value, rel=1e-6) for channel, value in wanted.items()
    }
    assert "power_w" in wanted
