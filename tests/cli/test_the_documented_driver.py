"""The driver in docs/drivers.md is the one in examples/, is found, proves itself and runs in a box."""

import json
import os
import re
import subprocess
import sys
import threading
import tomllib
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
from field_box import COMMAND, CONFIG, Running, until

from instrument_agent.control import NoAgent, ask

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "smallest-driver"
WATTS = 1234.5


def documented() -> list[str]:
    """The indented parts of the paper, as they would be copied out of it."""
    text = (ROOT / "docs" / "drivers.md").read_text(encoding="utf-8")
    parts = re.findall(r"(?:^(?: {4}.*)?\n)+", text, flags=re.MULTILINE)
    return ["".join(line[4:] or "\n" for line in part.strip("\n").splitlines(keepends=True)) + "\n" for part in parts]


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """An environment in which the documented driver is installed as a distribution of its own."""
    (code,) = [part for part in documented() if "class LabMeter" in part]
    (project,) = [part for part in documented() if "[build-system]" in part]
    site = tmp_path / "site"
    info = site / "lab_meter-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "lab_meter.py").write_text(code, encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-meter\nVersion: 1.0\n", encoding="utf-8")
    points = tomllib.loads(project)["project"]["entry-points"]
    lines = [f"{name} = {at}" for name, at in points["instrument_agent.drivers"].items()]
    (info / "entry_points.txt").write_text("\n".join(["[instrument_agent.drivers]", *lines, ""]), encoding="utf-8")
    return {**os.environ, "PYTHONPATH": str(site)}


@pytest.fixture
def meter() -> Iterator[str]:
    """A lab meter on a pseudo-terminal: its port."""
    near, far = os.openpty()
    tty.setraw(far)

    def answer() -> None:
        while (asked := os.read(near, 64)) != b"stop":
            if asked == b"P?\n":
                os.write(near, f"{WATTS}\n".encode())

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    yield os.ttyname(far)
    os.write(far, b"stop")
    thread.join(10)
    os.close(near)
    os.close(far)


def test_the_paper_shows_the_example_as_it_is():
    parts = documented()
    code = (EXAMPLE / "lab_meter.py").read_text(encoding="utf-8")
    assert code in parts
    assert len([line for line in code.splitlines() if line]) <= 30
    assert (EXAMPLE / "pyproject.toml").read_text(encoding="utf-8") in parts


def test_it_passes_every_check_on_its_device(installed: dict[str, str], meter: str):
    command = [*COMMAND, "driver-check", "lab_meter", "--option", f"port={meter}", "--json"]
    done = subprocess.run(command, env=installed, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {item["result"] for item in json.loads(done.stdout)["findings"]} == {"ok"}


def test_a_box_reads_an_instrument_with_it(installed: dict[str, str], meter: str, tmp_path: Path):
    config = tmp_path / "box.toml"
    config.write_text(CONFIG.format(driver=f'name = "lab_meter"\nport = "{meter}"', poll_s=0.1), encoding="utf-8")

    def last() -> object:
        try:
            return ask(tmp_path / "run", {"do": "watch", "instrument": "m1"})["last"]
        except NoAgent:
            return None

    command = [*COMMAND, "run", "--config", str(config)]
    with Running(command, installed) as agent:
        assert until(last, agent)["values"] == {"power_w": WATTS}
        agent.terminate()
        agent.communicate(timeout=20)


def test_the_whole_list_is_printed_and_a_failed_check_ends_with_status_1(installed: dict[str, str], tmp_path: Path):
    site = Path(installed["PYTHONPATH"])
    code = (site / "lab_meter.py").read_text(encoding="utf-8")
    (site / "lab_meter.py").write_text(code.replace('"power_w", "W"', '"power", "W"'), encoding="utf-8")
    command = [*COMMAND, "driver-check", "lab_meter", "--option", "port=/dev/nowhere"]
    done = subprocess.run(command, env=installed, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "✗ its channels have a name that ends in the unit" in done.stdout
    assert "power does not end in its unit W" in done.stdout
    assert "What to do: call it power_w" in done.stdout
    assert done.stdout.endswith("1 check failed\n")


def test_an_instrument_of_a_config_is_checked_only_while_no_agent_runs(tmp_path: Path):
    config = tmp_path / "box.toml"
    config.write_text(CONFIG.format(driver='name = "mock"\nscript = [1.0]', poll_s=0.1), encoding="utf-8")
    command = [sys.executable, "-m", "instrument_agent.cli.main", "driver-check", "--config", str(config), "m1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    with Running([*COMMAND, "run", "--config", str(config)]) as agent:
        until((tmp_path / "run" / "control.sock").exists, agent)
        refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        agent.terminate()
        agent.communicate(timeout=20)
    assert refused.returncode == 1
    assert "agent is running" in refused.stderr
    assert "systemctl stop" in refused.stderr
