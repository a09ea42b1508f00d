"""What docs/wiring.md tells to write into the config file can be loaded, and all of it together."""

from itertools import groupby
from pathlib import Path

from instrument_agent.config import load_config

WIRING = Path(__file__).parents[2] / "docs" / "wiring.md"


def blocks() -> list[str]:
    """Return the indented parts that begin an instrument; one may go on after an empty line."""
    lines = WIRING.read_text(encoding="utf-8").splitlines()
    parts = groupby(lines, key=lambda line: line.startswith("    ") or not line)
    texts = ["\n".join(line[4:] for line in part) for indented, part in parts if indented]
    return [text for text in texts if "[[instrument]]" in text]


def test_every_way_of_wiring_ends_with_a_config_that_loads_all_of_them_together(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[box]\nid = "box-1"\n' + "\n".join(blocks()), encoding="utf-8")
    names = [instrument.driver.name for instrument in load_config(path).instruments]
    assert names == ["modbus", "modbus", "contact", "pulse", "current_clamp", "serial_text"]
