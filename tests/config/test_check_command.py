"""``instrument-agent check`` as it is called by people and programs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"

NAMING_FILES = """
[box]
id = "box-1"
[[destination]]
name = "province"
url = "https://platform.example.org"
credential_file = "platform.token"
ca_file = "ca.pem"
[[instrument]]
id = "trial-1"
[instrument.driver]
name = "mock"
trace = "trace.csv"
[instrument.activity]
off_below = 5
run_above = 500
"""


def check(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "instrument_agent.cli.main", "check", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={"LANGUAGE": "C"})


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(EXAMPLE.read_text(encoding="utf-8").replace("[box]", "[bux]", 1), encoding="utf-8")
    return path


def test_a_good_file_is_ok_and_says_what_it_configures():
    done = check("--config", str(EXAMPLE))
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "OK",
        "box lab3-box1",
        "instrument xrd-1: driver modbus, bus /dev/ttyUSB0",
        "destination province: https://platform.example.org",
    ]


def test_a_good_file_as_json_names_its_hash():
    done = check("--config", str(EXAMPLE), "--json")
    result = json.loads(done.stdout)
    assert (done.returncode, result["ok"], result["box"], len(result["hash"])) == (0, True, "lab3-box1", 64)
    assert [item["id"] for item in result["instruments"]] == ["xrd-1"]
    assert [item["name"] for item in result["destinations"]] == ["province"]


def test_a_box_without_a_platform_is_told_that_records_stay(tmp_path: Path):
    text = EXAMPLE.read_text(encoding="utf-8")
    start, end = text.index("[[destination]]"), text.index("[[instrument]]")
    path = tmp_path / "config.toml"
    path.write_text(text[:start] + text[end:], encoding="utf-8")
    done = check("--config", str(path))
    assert (done.returncode, done.stderr) == (0, "note: no destination: records stay on the box\n")
    assert json.loads(check("--config", str(path), "--json").stdout)["notes"] == [
        "no destination: records stay on the box"
    ]


def test_files_that_are_not_there_are_noted_and_no_mistake(tmp_path: Path):
    path = tmp_path / "config.toml"
    path.write_text(NAMING_FILES, encoding="utf-8")
    done = check("--config", str(path))
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "OK")
    assert done.stderr.splitlines() == [
        f"note: destination province: credential_file: there is no file {tmp_path}/platform.token on this machine",
        f"note: destination province: ca_file: there is no file {tmp_path}/ca.pem on this machine",
        f"note: instrument trial-1: trace: there is no file {tmp_path}/trace.csv on this machine",
    ]
    assert len(json.loads(check("--config", str(path), "--json").stdout)["notes"]) == 3

    for name in ("platform.token", "ca.pem", "trace.csv"):
        (tmp_path / name).touch()
    assert check("--config", str(path)).stderr == ""
    assert json.loads(check("--config", str(path), "--json").stdout)["notes"] == []


def test_an_instrument_without_thresholds_is_noted_and_no_mistake(tmp_path: Path):
    path = tmp_path / "config.toml"
    text = EXAMPLE.read_text(encoding="utf-8")
    path.write_text(text.replace("\noff_below = 20\nrun_above = 800\n", "\n"), encoding="utf-8")
    done = check("--config", str(path))
    assert done.returncode == 0
    assert "no thresholds; the agent will learn, or run calibrate or commission" in done.stderr


def test_mistakes_go_to_stderr_with_exit_status_78(bad: Path):
    done = check("--config", str(bad))
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.splitlines() == [
        f"{bad}: box: this table is missing (write [box])",
        f"{bad}:2: bux: there is no such key (did you mean box?)",
        "2 mistakes",
    ]


def test_mistakes_as_json_keep_their_parts(bad: Path):
    done = check("--config", str(bad), "--json")
    result = json.loads(done.stdout)
    assert (done.returncode, result["ok"]) == (78, False)
    assert result["mistakes"][1] == {
        "path": str(bad),
        "line": 2,
        "key": "bux",
        "problem": "there is no such key",
        "hint": "did you mean box?",
    }


def test_help_shows_examples():
    done = check("--help")
    assert done.returncode == 0
    assert "instrument-agent check --config config.toml --json" in done.stdout
