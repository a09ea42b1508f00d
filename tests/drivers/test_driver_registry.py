"""Drivers are found by name; a plugin that is broken breaks only itself."""

from importlib.metadata import entry_points
from pathlib import Path

import pytest

from instrument_agent.core.errors import ConfigError
from instrument_agent.drivers.mock import MockDriver
from instrument_agent.drivers.modbus import ModbusDriver
from instrument_agent.drivers.registry import GROUP, driver_class, driver_names


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution with one good driver, four that cannot be loaded, and one that goes by a name of ours."""
    (tmp_path / "lab_drivers.py").write_text("class Lamp:\n    brightness = 7\n")
    (tmp_path / "lab_broken.py").write_text("import a_library_that_is_not_there\n")
    (tmp_path / "lab_bug.py").write_text("raise RuntimeError('half-installed')\n")
    (tmp_path / "lab_leaving.py").write_text("import sys\nsys.exit('no licence')\n")
    info = tmp_path / "lab_drivers-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-drivers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[instrument_agent.drivers]\n"
        "lamp = lab_drivers:Lamp\n"
        "no-library = lab_broken:Driver\n"
        "no-attribute = lab_drivers:Gone\n"
        "bug = lab_bug:Driver\n"
        "leaving = lab_leaving:Driver\n"
        "mock = lab_drivers:Lamp\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


def test_our_own_drivers_are_found_by_name() -> None:
    assert driver_class("mock") is MockDriver
    assert driver_class("modbus") is ModbusDriver
    assert driver_names() == sorted(driver_names())
    assert {"mock", "modbus"} <= set(driver_names())


@pytest.mark.usefixtures("plugins")
def test_a_driver_of_another_distribution_is_found_like_ours() -> None:
    assert driver_class("lamp").brightness == 7
    assert "lamp" in driver_names()


@pytest.mark.usefixtures("plugins")
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("no-library", "a_library_that_is_not_there"),
        ("no-attribute", "Gone"),
        ("bug", "half-installed"),
        ("leaving", "no licence"),
    ],
)
def test_a_broken_plugin_says_what_is_wrong_and_the_others_work(name: str, why: str) -> None:
    with pytest.raises(ConfigError, match=name) as caught:
        driver_class(name)
    assert why in str(caught.value)
    assert caught.value.hint == "reinstall the package that brings this driver: lab-drivers"
    assert driver_class("mock") is MockDriver
    assert driver_class("lamp").brightness == 7


@pytest.mark.usefixtures("plugins")
def test_a_plugin_does_not_take_the_place_of_a_driver_of_ours() -> None:
    assert next(iter(entry_points(group=GROUP, name="mock"))).value == "lab_drivers:Lamp"
    assert driver_class("mock") is MockDriver


def test_a_driver_that_does_not_exist_is_named() -> None:
    with pytest.raises(ConfigError, match="no driver teleport") as caught:
        driver_class("teleport")
    assert caught.value.hint == f"one of {', '.join(driver_names())}"


def test_a_mistyped_driver_is_told_with_the_nearest_and_all_there_are() -> None:
    with pytest.raises(ConfigError, match="no driver modbuss") as caught:
        driver_class("modbuss")
    assert caught.value.hint == f"did you mean modbus? one of {', '.join(driver_names())}"
