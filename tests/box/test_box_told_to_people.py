"""What the commands say when the box, its files or the terminal are not as they should be."""

import json
import os
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE, STDOUT, Popen, run

import pytest
from small_box import PATIENCE_S, SILENT, SmallBox

from instrument_agent.buffer.books import save_anchor
from instrument_agent.buffer.store import Start, Store
from instrument_agent.clock import boottime_ns
from instrument_agent.core.anchors import Anchor
from instrument_agent.resuming import BOOTED_NS

FULL = Path("/dev/full")
OTHER_BOOT = "11111111-2222-4333-8444-555555555555"


@pytest.fixture
def box(tmp_path: Path) -> Iterator[SmallBox]:
    box = SmallBox(tmp_path)
    yield box
    box.kill()


def ran(box: SmallBox) -> None:
    """Let the box see a run from its beginning to its end."""
    box.start()
    box.until(lambda _found: json.loads(box.command("sessions", "--format", "json").stdout))
    box.stop()


def test_a_runtime_directory_that_is_a_file_is_a_sentence(box: SmallBox):
    (box.folder / "run").touch()
    done = box.command("run")
    assert done.returncode == 1
    assert f"the runtime directory {box.folder / 'run'} cannot be used" in done.stderr
    assert "What to do: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["check", "run", "status"])
def test_a_runtime_directory_too_long_for_a_socket_is_a_mistake_in_its_line(box: SmallBox, command: str):
    text = box.config_path.read_text(encoding="utf-8")
    box.config_path.write_text(text.replace('"run"', f'"{"r" * 100}"'), encoding="utf-8")
    done = box.command(command)
    assert done.returncode == 78
    assert f"{box.config_path}:4: box.runtime_dir: " in done.stderr
    assert "107" in done.stderr


def test_after_a_kill_the_agent_has_crashed_and_after_a_reboot_the_box_had_no_power_or_no_agent(box: SmallBox):
    box.start()
    box.kill()
    assert reason(box) == "agent_crashed"
    box.start(settings={"BOOT_ID": OTHER_BOOT})
    box.kill()
    # The boot clock is the machine's: if this one has been on for long, it was on without its agent.
    long_on = boottime_ns() > BOOTED_NS
    assert reason(box) == ("agent_stopped" if long_on else "power_loss")
    box.start()
    box.stop()
    assert reason(box) == "agent_stopped"


def reason(box: SmallBox) -> str:
    found = json.loads(box.command("status", "--json").stdout)
    assert found["running"] is False
    return found["instruments"][0]["reason"]


def test_an_instrument_that_was_never_reached_is_accounted_for_as_unknown(tmp_path: Path):
    box = SmallBox(tmp_path, SILENT)
    box.start()
    found = box.until(lambda found: found["instruments"][0]["spent_ms"]["unknown"])["instruments"][0]
    assert found["coverage"] == 0
    assert [found["spent_ms"][activity] for activity in ("off", "standby", "running")] == [0, 0, 0]
    box.stop()


def garbage(path: Path) -> None:
    path.write_bytes(b"x" * 5000)


def foreign(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("create table photos (name)")
    connection.close()


@pytest.mark.parametrize("command", ["status", "sessions"])
@pytest.mark.parametrize("make", [garbage, foreign, Path.touch])
def test_a_file_that_is_no_database_of_this_agent_is_called_that(box: SmallBox, make, command: str):
    box.database.parent.mkdir()
    make(box.database)
    done = box.command(command)
    assert (done.returncode, done.stdout) == (1, "")
    assert "not a database of this agent" in done.stderr or "not one of this agent" in done.stderr
    assert "free space" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [["check"], ["check", "--json"], ["status"], ["status", "--json"], ["sessions"]])
def test_output_that_cannot_be_written_is_a_sentence(box: SmallBox, arguments: list[str]):
    box.start()
    box.stop()
    with FULL.open("w") as full:
        done = box.command(arguments[0], *arguments[1:], stdout=full)
    assert done.returncode == 1
    assert done.stderr == "Error: the output cannot be written: No space left on device\n"


def test_a_reader_who_has_enough_is_no_error(box: SmallBox):
    read, write = os.pipe()
    os.close(read)
    done = box.command("check", stdout=write)
    os.close(write)
    assert "Error" not in done.stderr
    assert "Traceback" not in done.stderr


def test_runs_without_times_say_why(box: SmallBox):
    ran(box)
    done = box.command("sessions")
    assert "trial-1" in done.stdout
    assert done.stderr == (
        "note: times are not known yet: neither a platform nor a time server has told this box what time it is\n"
    )

    store = Store(box.database.parent, "box-1")
    store.begin_epoch(Start(OTHER_BOOT, 0, "0.1.0", "c0ffee"))
    with store.write() as change:
        save_anchor(change, Anchor(OTHER_BOOT, 0, 1_795_334_400_000_000_000, 0, "platform"))
    store.close()
    assert "note: the times of " in box.command("sessions").stderr


def test_runs_without_times_are_shown_whatever_the_range_and_that_is_said(box: SmallBox):
    ran(box)
    done = box.command("sessions", "--format", "json", "--from", "2199-01-01")
    assert json.loads(done.stdout)
    assert "if they may lie between --from and --to" in done.stderr


def test_a_reversed_range_is_an_error(box: SmallBox):
    done = box.command("sessions", "--from", "2026-11-02", "--to", "2026-11-01T08:00")
    assert (done.returncode, done.stdout) == (1, "")
    assert "--from 2026-11-02 is later than --to 2026-11-01T08:00" in done.stderr


def test_the_demo_without_its_extra_names_a_command_that_works_from_a_checkout(tmp_path: Path):
    (tmp_path / "starlette").mkdir()
    missing = "raise ModuleNotFoundError(\"No module named 'starlette'\")\n"
    (tmp_path / "starlette" / "__init__.py").write_text(missing, encoding="utf-8")
    done = run(
        [sys.executable, "-m", "instrument_agent.cli.main", "demo"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"{sys.executable} -m pip install '.[platform]'" in done.stderr


def test_a_demo_that_is_ended_at_once_says_that_nothing_was_compared():
    command = [sys.executable, "-m", "instrument_agent.cli.main", "demo", "--seconds", "600"]
    with Popen(command, stdout=PIPE, stderr=STDOUT, text=True) as demo:
        assert demo.stdout is not None
        demo.stdout.readline()
        demo.send_signal(2)
        said, _none = demo.communicate(timeout=2 * PATIENCE_S)
    assert "The demo was ended before the first run was over" in said
    assert "Aborted" not in said
    assert "every run was found" not in said
