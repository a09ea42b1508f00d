"""What is wrong with an instrument that talks in lines of text is told at its key, and all of it at once."""

from pathlib import Path

import pytest
from written import mistakes_in

CONFIG = """\
[box]
id = "box-1"
[[instrument]]
id = "balance-1"
activity = { off_below = 5, run_above = 500 }
[instrument.driver]
name = "serial_text"
port = "/dev/ttyUSB0"
values = [
  { channel = "power_w", unit = "W", query = "POW?", pattern = "P=(.+)" },
  { channel = "mode", query = "MODE?", pattern = "M=(.+)" },
]
"""

# what is replaced in CONFIG, by what, then the one mistake: line, key, a part of the problem
ONE_MISTAKE = [
    ("P=(.+)", "P=(.+", 10, "values[1].pattern", "cannot be used"),
    ("M=(.+)", "(x+{9", 11, "values[2].pattern", "cannot be used"),
    ("MODE?", "MODE 1", 11, "values[2].query", "is no query"),
    ("MODE?", "", 11, "values[2].query", "some have none"),
    ('"mode"', '"power_w", unit = "W"', 11, "values[2].channel", "the same channel"),
    ('unit = "W"', 'unit = "kW"', 10, "values[1].unit", "does not end in its unit kW"),
    ('pattern = "M', 'patern = "M', 11, "values[2].patern", "no key patern"),
    ('"/dev/ttyUSB0"', '""', 8, "port", "needs a port"),
    ("values = [", 'terminator = ""\nvalues = [', 9, "terminator", "1 to 8 characters"),
    ("values = [", "allow = 3\nvalues = [", 9, "allow", "must be a list of texts"),
]


def mistakes(tmp_path: Path, text: str) -> list[tuple[int | None, str, str]]:
    found = mistakes_in(tmp_path, text)
    return [(item.line, item.key.removeprefix("instrument[1].driver."), item.problem) for item in found]


@pytest.mark.parametrize(("old", "new", "line", "key", "problem"), ONE_MISTAKE)
def test_a_mistake_is_told_at_its_key(tmp_path: Path, old: str, new: str, line: int, key: str, problem: str) -> None:
    assert old in CONFIG
    [found] = mistakes(tmp_path, CONFIG.replace(old, new, 1))
    assert found[:2] == (line, key)
    assert problem in found[2]


def test_all_values_and_all_other_keys_are_looked_at_at_once(tmp_path: Path) -> None:
    text = (
        CONFIG.replace("P=(.+)", "P=(.+").replace("M=(.+)", "M").replace('"/dev/ttyUSB0"', '"/dev/ttyUSB0"\nbaud = 1')
    )
    assert [item[:2] for item in mistakes(tmp_path, text)] == [
        (9, "baud"),
        (11, "values[1].pattern"),
        (12, "values[2].pattern"),
    ]


def test_every_query_that_may_not_be_sent_is_told_at_once(tmp_path: Path) -> None:
    text = CONFIG.replace("POW?", "OUTP OFF").replace("MODE?", "MODE 1")
    assert [item[:2] for item in mistakes(tmp_path, text)] == [(10, "values[1].query"), (11, "values[2].query")]
