"""The commissioned standby level in a config file."""

from pathlib import Path

import pytest

from instrument_agent.config import load_config
from instrument_agent.tables.mistakes import InvalidConfig

TEXT = """\
[box]
id = "box-1"
[[instrument]]
id = "xrd-1"
[instrument.driver]
name = "modbus"
port = "/dev/ttyUSB0"
[instrument.activity]
off_below = 20
run_above = 800
run_below = 700
"""


def written(tmp_path: Path, more: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(TEXT + more, encoding="utf-8")
    return path


def test_a_standby_level_becomes_a_rule(tmp_path: Path):
    [instrument] = load_config(written(tmp_path, "standby_level = 450\n")).instruments
    assert instrument.activity.rules().standby_level == 450.0
    [instrument] = load_config(written(tmp_path, "")).instruments
    assert instrument.activity.rules().standby_level is None


@pytest.mark.parametrize(
    ("level", "key", "sentence"),
    [(10, "off_below", "must not be greater than standby_level"), (700, "standby_level", "must be below")],
)
def test_a_standby_level_lies_between_off_and_a_run(tmp_path: Path, level: int, key: str, sentence: str):
    with pytest.raises(InvalidConfig) as caught:
        load_config(written(tmp_path, f"standby_level = {level}\n"))
    [mistake] = caught.value.mistakes
    assert key in str(mistake)
    assert sentence in str(mistake)


def test_an_instrument_that_tells_its_states_has_no_standby_level(tmp_path: Path):
    text = TEXT.partition("off_below")[0] + 'channel = "power_w"\nstates = { 1 = "running" }\nstandby_level = 450\n'
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidConfig, match="exclude each other"):
        load_config(path)
