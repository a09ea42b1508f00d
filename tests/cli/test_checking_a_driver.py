"""`driver-check` tells a bad driver, a device that does not answer and a mistyped name apart; `check` says the same."""

import json
import sys
from pathlib import Path

import pytest
from field_box import FieldBox
from in_process import run

PLAIN = '''
from instrument_agent.core.readings import Channel

class Lamp:
    """A lamp, as a beginner would write it."""
    channels = (Channel("power_w", "W", 0, 1),)
    def __init__(self, port):
        self.port = port
    def open(self): pass
    def read(self, timeout_s): return {"power_w": 1.0}
    def close(self): pass
'''


@pytest.fixture
def plain_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver named plain_lamp that is a class like any other."""
    site = tmp_path / "site"
    info = site / "plain_lamp-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "plain_lamp.py").write_text(PLAIN, encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plain-lamp\nVersion: 1.0\n", encoding="utf-8")
    points = "[instrument_agent.drivers]\nplain_lamp = plain_lamp:Lamp\n"
    (info / "entry_points.txt").write_text(points, encoding="utf-8")
    monkeypatch.syspath_prepend(site)
    sys.modules.pop("plain_lamp", None)


@pytest.mark.usefixtures("plain_driver")
@pytest.mark.parametrize("option", [(), ("--option", "port=/dev/nowhere")], ids=["bare", "with-its-option"])
def test_a_class_that_is_no_dataclass_is_a_failed_check_and_the_rest_is_said_not_to_have_run(option: tuple[str, ...]):
    done = run("driver-check", "plain_lamp", *option)
    assert (done.returncode, done.stderr) == (1, "")
    mark, problem, hint, *end = done.stdout.splitlines()
    assert mark.startswith("✗ its options are")
    assert problem.strip() == "the driver is no dataclass"
    assert "put @dataclass before the class" in hint
    assert end == ["10 checks were not run: correct this first", "1 check failed"]
    assert json.loads(run("driver-check", "plain_lamp", *option, "--json").stdout)["not_run"] == 10


@pytest.fixture
def puzzling_driver(plain_driver: None, tmp_path: Path) -> None:
    """The same driver, whose option has a type that only the type checker knows."""
    text = PLAIN.replace("\nclass", "\nfrom dataclasses import dataclass\n@dataclass\nclass")
    old = "    def __init__(self, port):\n        self.port = port\n"
    assert old in text
    (tmp_path / "site" / "plain_lamp.py").write_text(text.replace(old, '    port: "Somewhere"\n'), encoding="utf-8")


@pytest.mark.usefixtures("puzzling_driver")
@pytest.mark.parametrize("option", [(), ("--option", "port=/dev/nowhere")], ids=["bare", "with-its-option"])
def test_an_option_whose_type_is_not_known_is_a_failed_check(option: tuple[str, ...]):
    done = run("driver-check", "plain_lamp", *option)
    assert (done.returncode, done.stderr) == (1, "")
    mark, problem, hint, *end = done.stdout.splitlines()
    assert mark.startswith("✗ its options are")
    assert problem.strip() == "the type of an option is not known: name 'Somewhere' is not defined"
    assert "not only for the type checker" in hint
    assert end == ["10 checks were not run: correct this first", "1 check failed"]


@pytest.mark.usefixtures("puzzling_driver")
def test_a_config_is_told_of_it_in_a_sentence(tmp_path: Path):
    done = FieldBox(tmp_path, 'name = "plain_lamp"\nport = "/dev/nowhere"').run("check")
    assert done.returncode == 78
    assert "instrument[1].driver: the type of an option is not known" in done.stderr


@pytest.mark.usefixtures("plain_driver")
@pytest.mark.parametrize("command", ["check", "run"])
def test_a_config_that_names_a_class_that_is_no_dataclass_is_refused_with_a_sentence(tmp_path: Path, command: str):
    box = FieldBox(tmp_path, 'name = "plain_lamp"\nport = "/dev/nowhere"')
    done = box.run(command)
    assert done.returncode == 78
    assert "box.toml:8: instrument[1].driver: the driver is no dataclass (put @dataclass before the class)" in (
        done.stdout + done.stderr
    )


def test_a_device_that_was_named_and_does_not_answer_is_not_called_not_applicable():
    done = run("driver-check", "modbus", "--option", "port=/dev/nowhere")
    assert (done.returncode, done.stderr) == (1, "")
    assert "? it opens, reads its own channels" in done.stdout
    assert "the device does not answer: the port /dev/nowhere cannot be opened" in done.stdout
    assert "What to do: check that the adapter is plugged in" in done.stdout
    assert "not applicable" not in done.stdout
    assert done.stdout.endswith("\nthe device itself did not answer: only the driver was tried\n")
    assert "everything a driver must do" not in done.stdout


def test_a_mistyped_driver_is_told_with_the_nearest_and_all_there_are():
    done = run("driver-check", "modbuss", "--option", "port=/dev/nowhere")
    assert done.returncode == 78
    assert "no driver modbuss" in done.stderr
    assert "did you mean modbus? one of " in done.stderr
    assert "serial_text" in done.stderr
