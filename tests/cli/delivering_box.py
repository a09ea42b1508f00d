"""A box that has platforms to deliver to, and an instrument that says nothing."""

from pathlib import Path

DESTINATION = """[[destination]]
name = "{name}"
url = "{url}"
first_contact_spread_s = 0
"""
CONFIG = """[box]
id = "box-1"
state_dir = "state"
runtime_dir = "run"
{destinations}
[[instrument]]
id = "trial-1"
[instrument.driver]
name = "mock"
script = ["unavailable"]
[instrument.activity]
off_below = 5
run_above = 500
"""


def config_of(folder: Path, **platforms: str) -> Path:
    """Write the config file of a box that delivers to these ``platforms``, by name and URL."""
    destinations = "".join(DESTINATION.format(name=name, url=url) for name, url in platforms.items())
    path = folder / "box.toml"
    path.write_text(CONFIG.format(destinations=destinations), encoding="utf-8")
    return path
