"""A config file as a person wrote it: what it becomes, or what is wrong with it."""

from pathlib import Path

import pytest

from instrument_agent.config import Config, InvalidConfig, Mistake, load_config

SHORTEST = """\
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
"""


def loaded(folder: Path, text: str) -> Config:
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path)


def mistakes_in(folder: Path, text: str) -> list[Mistake]:
    with pytest.raises(InvalidConfig) as caught:
        loaded(folder, text)
    return caught.value.mistakes


def outcome(path: Path, content: bytes) -> Config | InvalidConfig:
    """Load ``content`` and see to it that every mistake can be shown to a person."""
    path.write_bytes(content)
    try:
        return load_config(path)
    except InvalidConfig as error:
        refused = error
    assert refused.mistakes
    for mistake in refused.mistakes:
        told = str(mistake)
        assert mistake.problem, told
        assert mistake.line is None or 1 <= mistake.line <= content.count(b"\n") + 1, told
        assert not any(character < " " or "\x7f" <= character < "\xa0" for character in told), repr(told)
    return refused
