"""A box with one meter, whose registers stand in its config file or in a profile of one's own beside it."""

from pathlib import Path

from written import loaded, mistakes_in

from instrument_agent.config import Config, Mistake
from instrument_agent.core.readings import Channel

CONFIG = """\
[box]
id = "box-1"
[[instrument]]
id = "xrd-1"
[instrument.activity]
off_below = 20
run_above = 800
[instrument.driver]
name = "modbus"
host = "192.0.2.1"
"""

OWN_PROFILE = """\
function = 4
max_gap = 2
register = [
  { channel = "power_w", address = 12, type = "float32", unit = "W", low = -100, high = 9000 },
  { channel = "current_a", address = 6, type = "float32", unit = "A", low = 0, high = 60 },
]

[serial]
baud = 19200
parity = "E"
"""
NAMED = 'profile_file = "meters/mine.toml"\n'


def loaded_with(folder: Path, more: str, own: str = OWN_PROFILE) -> Config:
    mine(folder, own)
    return loaded(folder, CONFIG + more)


def mistakes_with(folder: Path, more: str, own: str = OWN_PROFILE) -> list[Mistake]:
    mine(folder, own)
    return mistakes_in(folder, CONFIG + more)


def mine(folder: Path, own: str = OWN_PROFILE) -> None:
    (folder / "meters").mkdir(exist_ok=True)
    (folder / "meters" / "mine.toml").write_text(own, encoding="utf-8")


def channels(config: Config) -> list[Channel]:
    return list(config.instruments[0].driver.build().channels)
