"""``instrument-agent doctor`` on a box: with its agent, without it, with a mistake in its config."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len

from instrument_agent.buffer.headfile import HEAD_NAME
from instrument_agent.cli.doctor import table, well
from instrument_agent.cli.main import cli
from instrument_agent.control import NoAgent, ask
from instrument_agent.doctor.verdict import Grade, Verdict
from instrument_agent.i18n import speaking

CONFIG = """[box]
id = "box-1"
state_dir = "state"
runtime_dir = "run"
timezone = "Etc/UTC"
[[instrument]]
id = "trial-1"
poll_s = 0.1
[instrument.driver]
name = "mock"
script = [600.0]
[instrument.activity]
off_below = 5
run_above = 500
[[instrument]]
id = "trial-2"
poll_s = 0.1
[instrument.driver]
name = "mock"
script = ["unavailable"]
[instrument.activity]
off_below = 5
run_above = 500
"""
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("box")
    (folder / "box.toml").write_text(CONFIG, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def running(box: Path) -> Iterator[Path]:
    """An agent of its own process, until it has read both instruments."""
    command = [sys.executable, "-m", "instrument_agent.cli.main", "run", "--config", str(box / "box.toml")]
    with (box / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as agent:
        end_s = time.monotonic() + PATIENCE_S
        while not ready(box):
            assert agent.poll() is None, (box / "log").read_text()
            assert time.monotonic() < end_s
            time.sleep(0.02)  # another process: there is no event
        yield box
        agent.terminate()


def ready(box: Path) -> bool:
    try:
        first, second = ask(box / "run", {"do": "status"})["instruments"]
    except NoAgent:
        return False
    return bool(first["reading"] and second["driver"]["failing"])


def doctor(box: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["doctor", "--config", str(box / "box.toml"), *arguments], catch_exceptions=False)


def found(box: Path, *arguments: str) -> dict[tuple[str, str], dict[str, Any]]:
    verdicts = json.loads(doctor(box, "--json", *arguments).output)["verdicts"]
    return {(item["check"], item["about"]): item for item in verdicts}


def test_a_running_box_is_judged_through_its_agent(running: Path) -> None:
    done = doctor(running, "--json")
    result = json.loads(done.output)
    assert (done.exit_code, result["ok"]) == (1, False), "trial-2 does not answer"
    by = {(item["check"], item["about"]): item for item in result["verdicts"]}
    assert by["agent", ""]["grade"] == "ok"
    assert by["instrument", "trial-1"]["grade"] == "ok"
    assert by["instrument", "trial-2"]["grade"] == "fail"
    assert by["instrument", "trial-2"]["advice"]
    assert by["database", ""]["grade"] == "ok"
    assert by["room", ""]["grade"] in ("ok", "warn", "fail")
    assert by["platform", ""]["grade"] == "not_applicable"


def test_deep_walks_through_every_record(running: Path) -> None:
    quick, deep = found(running)["database", ""], found(running, "--deep")["database", ""]
    assert "is the one that was noted" in quick["finding"]
    assert "what follows from them" in deep["finding"]


def test_a_config_file_that_was_changed_meanwhile_is_told(running: Path) -> None:
    path = running / "box.toml"
    path.write_text(CONFIG.replace('id = "trial-2"', 'id = "trial-3"'), encoding="utf-8")
    try:
        by = found(running)
    finally:
        path.write_text(CONFIG, encoding="utf-8")
    assert by["agent", ""]["grade"] == "warn"
    assert by["instrument", "trial-3"]["finding"] == "it was never watched"


def test_the_table_says_what_to_do_and_counts(running: Path) -> None:
    text = doctor(running).output
    assert "trial-2" in text
    assert "→ " in text
    assert text.splitlines()[-1].endswith("not applicable")


def test_a_box_that_never_ran_is_judged_by_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "box.toml").write_text(CONFIG, encoding="utf-8")
    by = found(tmp_path)
    assert by["agent", ""]["grade"] == "fail"
    assert "no database" in by["database", ""]["finding"]
    assert by["config", str(tmp_path / "box.toml")]["grade"] == "ok"
    assert not (tmp_path / "state").exists(), "the doctor looks, and makes nothing"


def test_a_mistake_in_the_config_is_a_failure_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "box.toml").write_text(CONFIG.replace("poll_s", "pol_s", 1), encoding="utf-8")
    done = doctor(tmp_path, "--json")
    first = json.loads(done.output)["verdicts"][0]
    assert (done.exit_code, first["check"], first["grade"]) == (1, "config", "fail")
    assert "box.toml:8: instrument[1].pol_s" in first["finding"]
    assert "instrument-agent check" in first["advice"]


def test_an_end_of_the_log_that_is_lost_fails(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAKE, str(tmp_path / "state")]
    subprocess.run(command, check=True)
    (tmp_path / "box.toml").write_text(CONFIG, encoding="utf-8")
    assert found(tmp_path)["database", ""]["grade"] == "ok"
    (tmp_path / "state" / HEAD_NAME).write_text((tmp_path / "state" / "later.json").read_text())
    lost = found(tmp_path)["database", ""]
    assert (lost["grade"], "ends too early" in lost["finding"]) == ("fail", True)


MAKE = """
import sys
from dataclasses import replace
from pathlib import Path
from instrument_agent.buffer.headfile import read_head, write_head
from instrument_agent.buffer.store import Start, Store
folder = Path(sys.argv[1])
folder.mkdir()
store = Store(folder, "box-1")
store.begin_epoch(Start("00000000-0000-0000-0000-000000000001", 1, "0.1.0", "x"))
store.close()
head = read_head(folder)
write_head(folder, replace(head, seq=head.seq + 3))
(folder / "head.json").rename(folder / "later.json")
write_head(folder, head)
"""


def test_the_columns_stand_below_each_other_in_chinese_too() -> None:
    from rich.console import Console

    with speaking("zh"):
        shown = table(
            [
                Verdict("instrument", Grade.FAIL, "电能表没有应答" * 12, "检查接线", "X射线衍射仪一号"),
                Verdict("time", Grade.OK, "known"),
            ]
        )
    console = Console(width=80, color_system=None)
    with console.capture() as captured:
        console.print(shown)
    lines = [line for line in captured.get().splitlines()[2:] if line.strip()]
    assert all(cell_len(line) <= 80 for line in lines)
    (known,) = (line for line in lines if "known" in line)
    begins = cell_len(known[: known.index("known")])
    for line in lines:
        before = [end for end in range(len(line) + 1) if cell_len(line[:end]) == begins]
        assert before, f"a character stands across the edge of the column: {line}"
        assert line[before[0] - 1] == " "


@pytest.mark.parametrize(
    ("grades", "status"),
    [
        ([Grade.OK, Grade.WARN, Grade.NOT_APPLICABLE], 0),
        ([Grade.OK, Grade.FAIL], 1),
        ([], 0),
    ],
)
def test_only_failures_end_with_status_1(grades: list[Grade], status: int) -> None:
    assert well([Verdict("time", grade, "said") for grade in grades]) is (status == 0)


def test_what_depends_on_the_agent_is_well_while_it_runs(running: Path, tmp_path: Path) -> None:
    only = CONFIG[: CONFIG.rindex("[[instrument]]")]
    (tmp_path / "box.toml").write_text(
        only.replace('"state"', f'"{running}/state"').replace('"run"', f'"{running}/run"'), encoding="utf-8"
    )
    done = doctor(tmp_path, "--json")
    failing = {item["check"] for item in json.loads(done.output)["verdicts"] if item["grade"] == "fail"}
    assert not failing & {"agent", "config", "credential", "database", "instrument", "platform", "port"}
    assert done.exit_code == (1 if failing else 0)
