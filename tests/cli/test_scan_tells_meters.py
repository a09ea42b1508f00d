"""What `scan` prints of a meter: values that can be compared with its display, and a table only where it may fit."""

import json
import tomllib
from pathlib import Path

import pytest
from in_process import Done, run
from tuned_line import ELSEWHERE, SDM120, ModbusMeter, TunedLine, floats

from instrument_agent.field import search as search_module

SDM72 = floats({0x0034: 4200.0, 0x0048: 31.5, 0x004A: 0.0, 0x0156: 31.5})
ADL400 = {
    0x0000: 0,
    0x0001: 1234,
    100: 510,
    101: 498,
    102: 505,
    0x008D: 1,
    0x008E: 40,
    356: 0,
    357: 1100,
    358: 0,
    359: 1080,
    360: 0,
    361: 1090,
    362: 0,
    363: 3270,
}
PM5000 = floats({2999: 21.0, 3001: 20.0, 3003: 22.0, 3027: 231.0, 3059: 13.4, 3109: 50.01})
"""Its currents of all phases, but the other voltages elsewhere: the profile of the iEM3000 does not fit."""


@pytest.fixture
def scan_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Scans a line with one meter of these registers."""
    monkeypatch.setattr(search_module, "BAUDS", ())
    config = tmp_path / "box.toml"
    config.write_text(ELSEWHERE)

    def scan(function: int, words: dict[int, int], *more: str) -> Done:
        with TunedLine(((9600, "N"), ModbusMeter(1, function, words))) as line:
            setting = () if "--baud" in more else ("--baud", "9600", "--parity", "N")
            done = run("scan", "--config", str(config), "--port", line.port, "--units", "1", *setting, *more)
        assert done.returncode == 0, done.stderr
        return done

    return scan


def pasted(text: str) -> str:
    (block,) = text.split("[instrument.driver]")[1:]
    profile: str = tomllib.loads(block.split("\n\n")[0])["profile"]
    return profile


@pytest.mark.parametrize(
    ("function", "words", "profile"),
    [(4, SDM72, "eastron-sdm72"), (3, ADL400, "acrel-adl400")],
    ids=["sdm72", "adl400"],
)
def test_a_meter_that_tells_no_voltage_is_offered_as_a_guess(scan_of, function, words, profile):
    text = scan_of(function, words).stdout
    assert "best guess, unproven" in text
    assert pasted(text) == profile


def test_a_proven_profile_is_no_guess(scan_of):
    text = scan_of(4, SDM120).stdout
    assert "best guess" not in text
    assert pasted(text) == "eastron-sdm120"
    assert "(voltage ✓, frequency ✓, power ✓)" in text


def test_a_profile_with_one_phase_of_three_fits_its_own_meter(scan_of):
    assert pasted(scan_of(3, PM5000).stdout) == "schneider-pm5000"


def test_values_stand_in_columns_and_the_power_first(scan_of):
    lines = scan_of(4, SDM120).stdout.splitlines()
    values = [line for line in lines if line.startswith("    ")]
    assert values[0].split() == ["power_w", "1402", "voltage_v", "229.4"]
    assert max(map(len, values)) <= 80
    assert len({line.index(line.split()[1]) + len(line.split()[1]) for line in values[:4]}) == 1


def test_a_profile_of_which_less_than_half_is_credible_is_not_shown(scan_of):
    words = dict.fromkeys(range(352), 65535) | floats({0x0000: 10.0})
    shares = {
        item["profile"]: item["plausible"] / item["channels"]
        for item in json.loads(scan_of(4, words, "--json").stdout)["meters"][0]["profiles"]
    }
    assert min(shares.values()) < 0.5
    text = scan_of(4, words).stdout
    assert "no profile fits" in text
    assert [name for name, share in shares.items() if share < 0.5 and name in text] == []


@pytest.mark.parametrize("order", ["N,E", "E,N"])
def test_an_adapter_that_drops_parities_silently_is_not_asked_with_them(scan_of, monkeypatch, order):
    """Debian's C library reports a dropped parity only where the baud rate has not changed with it."""
    monkeypatch.setattr(search_module, "BAUDS", (1200,))
    text = scan_of(4, SDM120, "--baud", "9600,2400", "--parity", order).stdout
    assert pasted(text) == "eastron-sdm120"
    assert [line.split(", ")[1] for line in text.splitlines() if " answers at " in line] == ["parity N"]
    for baud in (9600, 2400, 1200):
        assert f"this adapter does not know {baud} baud with parity E: nothing was asked there" in text
