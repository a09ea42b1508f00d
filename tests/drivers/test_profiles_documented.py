"""docs/meters.md says of every meter what its profile says."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

import instrument_agent.drivers
from instrument_agent.drivers.profile_file import load_profile

PAGE = (Path(__file__).parents[2] / "docs" / "meters.md").read_text(encoding="utf-8")
ROWS = {line.split("`")[1]: line for line in PAGE.splitlines() if line.startswith("| `")}
FOLDER = Path(instrument_agent.drivers.__path__[0]) / "profiles"
NAMES = sorted(file.stem for file in FOLDER.glob("*.toml"))


@pytest.mark.parametrize("name", NAMES)
def test_a_meter_stands_in_the_table_with_its_names_settings_and_confidence(name: str) -> None:
    profile = load_profile(name)
    _empty, names, models, settings, confidence, _reads, _end = (part.strip() for part in ROWS[name].split("|"))
    assert names == f"`{name}`" + (f" ({', '.join(f'`{alias}`' for alias in profile.aliases)})" * bool(profile.aliases))
    assert models == f"{profile.maker} {', '.join(profile.models)}"
    serial = profile.serial
    mark = f"({serial.confidence})" if serial.confidence else "?"
    assert settings == f"{serial.baud} 8{serial.parity}{serial.stop_bits} {mark}"
    assert confidence == profile.confidence


@pytest.mark.parametrize("name", NAMES)
def test_each_trap_of_a_meter_is_told(name: str) -> None:
    assert all(f"\n- {note}\n" in PAGE for note in load_profile(name).notes)


def keys_explained(title: str) -> set[str]:
    table = PAGE[PAGE.index(title) :].split("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    return {key for cell in cells for key in cell.replace("`", "").replace(" ", "").split(",")}


def test_every_key_a_profile_of_ours_uses_is_explained() -> None:
    profiles: list[dict[str, Any]] = [tomllib.loads((FOLDER / f"{name}.toml").read_text()) for name in NAMES]
    assert {key for profile in profiles for key in profile} <= keys_explained("| key of the file |")
    used = {key for profile in profiles for register in profile["register"] for key in register}
    assert used <= keys_explained("| key of a register |")
