"""The commissioned standby level in a config file."""

from pathlib import Path

import pytest
from written import SHORTEST, loaded, mistakes_in

from instrument_agent.tables.mistakes import InvalidConfig

TEXT = SHORTEST + "run_below = 700\n"


def test_a_standby_level_becomes_a_rule(tmp_path: Path):
    [instrument] = loaded(tmp_path, TEXT + "standby_level = 450\n").instruments
    assert instrument.activity.rules().standby_level == 450.0
    [instrument] = loaded(tmp_path, TEXT).instruments
    assert instrument.activity.rules().standby_level is None


@pytest.mark.parametrize(
    ("level", "key", "sentence"),
    [(10, "off_below", "must not be greater than standby_level"), (700, "standby_level", "must be below")],
)
def test_a_standby_level_lies_between_off_and_a_run(tmp_path: Path, level: int, key: str, sentence: str):
    [mistake] = mistakes_in(tmp_path, f"{TEXT}standby_level = {level}\n")
    assert key in str(mistake)
    assert sentence in str(mistake)


def test_an_instrument_that_tells_its_states_has_no_standby_level(tmp_path: Path):
    text = TEXT.partition("off_below")[0] + 'channel = "power_w"\nstates = { 1 = "running" }\nstandby_level = 450\n'
    with pytest.raises(InvalidConfig, match="exclude each other"):
        loaded(tmp_path, text)
