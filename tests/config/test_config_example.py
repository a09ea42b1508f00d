"""The example in the repository is true: it loads, it is complete, its defaults are the defaults."""

import re
import tomllib
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

import pytest

from instrument_agent.config import (
    ActivityConfig,
    BoxConfig,
    Config,
    DestinationConfig,
    InstrumentConfig,
    load_config,
)
from instrument_agent.drivers.registry import driver_class

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
LINES = EXAMPLE.read_text(encoding="utf-8").splitlines()
EXPLAINED = [line for line in LINES if line.startswith("# ")]
SETTING = re.compile(r"# (?P<key>[a-z_]+) = .*?(?P<example># 例 e\.g\.)?$")
SUBTABLES = ("driver", "activity")
NAMES = ["modbus", "modbus", "mock", "serial_text", "contact", "pulse", "current_clamp"]
DRIVERS = [driver_class(name) for name in sorted(set(NAMES))]


@pytest.fixture
def everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Load all that is explained in comments as a config file of its own."""
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    path = tmp_path / "config.toml"
    path.write_text("\n".join(line.removeprefix("# ") for line in EXPLAINED), encoding="utf-8")
    return load_config(path)


def keys_of(cls: type[Any]) -> set[str]:
    return {field.name for field in fields(cls) if field.init} - set(SUBTABLES)


def default_of(field: Field[Any]) -> object:
    return field.default_factory() if field.default_factory is not MISSING else field.default


def test_the_example_is_a_valid_config_as_it_stands():
    config = load_config(EXAMPLE)
    assert len(config.instruments) == len(config.destinations) == 1


def test_the_shortest_case_fits_into_fifteen_lines():
    first_comment = next(number for number, line in enumerate(LINES) if line.startswith("## ---"))
    assert len("\n".join(LINES[:first_comment]).strip().splitlines()) <= 15
    assert not [line for line in LINES[first_comment:] if line and not line.startswith("#")]


def test_every_key_in_the_comments_is_a_real_one_with_a_value_that_does(everything: Config):
    assert [instrument.driver.name for instrument in everything.instruments] == NAMES


def test_every_line_of_the_comments_is_prose_a_table_or_a_key():
    odd = [line for line in EXPLAINED if not SETTING.fullmatch(line) and not re.fullmatch(r"# \[+[a-z.]+\]+", line)]
    assert odd == []


def explained_tables() -> list[tuple[type[Any], dict[str, Any]]]:
    keys = tomllib.loads("\n".join(line.removeprefix("# ") for line in EXPLAINED))
    tables: list[tuple[type[Any], dict[str, Any]]] = [(BoxConfig, keys["box"])]
    tables += [(DestinationConfig, table) for table in keys["destination"]]
    for instrument in keys["instrument"]:
        tables.append((InstrumentConfig, {key: instrument[key] for key in instrument if key not in SUBTABLES}))
        tables.append((driver_class(instrument["driver"]["name"]), instrument["driver"]))
        tables.append((ActivityConfig, instrument["activity"]))
    return tables


@pytest.mark.parametrize("cls", [BoxConfig, DestinationConfig, InstrumentConfig, ActivityConfig, *DRIVERS])
def test_every_key_there_is_stands_in_the_example(cls: type[Any]):
    explained = {key for owner, table in explained_tables() if owner is cls for key in table}
    if cls in DRIVERS:
        explained.remove("name")  # of the driver, no option of its own
    # `trace` excludes `script`, and `profile_file` excludes `profile`; those are explained.
    assert explained == keys_of(cls) - {"trace", "profile_file"}


def test_a_value_not_marked_as_an_example_is_the_default(everything: Config):
    marked = [match for line in EXPLAINED if (match := SETTING.fullmatch(line))]
    values = [(cls, key, value) for cls, table in explained_tables() for key, value in table.items()]
    assert [match["key"] for match in marked] == [key for _cls, key, _value in values]
    for match, (cls, key, value) in zip(marked, values, strict=True):
        if match["example"] is None:
            default = next(default_of(field) for field in fields(cls) if field.name == key)
            assert (str(default) if isinstance(default, Path) else default) == value, key
