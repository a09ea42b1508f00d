"""A walk that was broken off, or that ended badly, goes on where it was, and what it had learned is kept."""

import io
import json
import os
import signal
import subprocess
import threading

import pytest
from walked_box import WINDOWS, WalkedBox

from instrument_agent.buffer.lock import StateLock


def test_a_walk_goes_on_with_the_step_that_was_not_ok(walked: WalkedBox):
    no_run = walked.answered({**WINDOWS, "run": (310, 895)})
    done = walked.commission(no_run)
    assert done.returncode == 1
    assert "the run cannot be told from standby" in done.stdout
    assert not walked.database.exists()
    assert "off_below = 5\n" in walked.config_path.read_text(encoding="utf-8")
    done = walked.commission(walked.answered({**WINDOWS, "off": (1000, 1200), "standby": (1000, 1200)}))
    assert done.returncode == 0, done.stdout
    assert "Switch the instrument off" not in done.stdout
    assert "Going on with the walk of 张三, last at 2" in done.stdout
    assert "Done: off or unplugged, standby. --restart" in done.stdout
    assert walked.report()["steps"]["off"]["middle"] == pytest.approx(1.2, abs=0.1)


def test_a_standby_taken_for_off_is_refused_and_off_is_taken_again(walked: WalkedBox):
    done = walked.commission(walked.answered({**WINDOWS, "off": (310, 895), "standby": (910, 2090)}))
    assert done.returncode == 1
    assert "Was it really off?" in done.stdout
    assert "goes on with the step: off or unplugged" in done.stdout
    done = walked.commission(walked.answered(WINDOWS))
    assert done.returncode == 0, done.stdout
    assert walked.report()["steps"]["off"]["middle"] == pytest.approx(1.2, abs=0.1)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_a_step_cut_short_by_a_lost_connection_is_not_over(
    walked: WalkedBox, number: int, monkeypatch: pytest.MonkeyPatch
):
    trace, kept = walked.kept / "off.csv", walked.kept / "walk.json"

    def cut_off() -> None:
        while not trace.exists() or trace.read_bytes().count(b"\n") < 14:
            threading.Event().wait(0.01)
        os.kill(os.getpid(), number)

    monkeypatch.setattr("sys.stdin", io.StringIO("Li Si\n\n"))
    thread = threading.Thread(target=cut_off)
    thread.start()
    assert walked.run("commission", "--instrument", "m1").returncode == 1
    thread.join()
    assert json.loads(kept.read_text(encoding="utf-8"))["steps"] == {}


def test_what_was_begun_is_forgotten_only_on_request(walked: WalkedBox):
    assert walked.commission(walked.answered(WINDOWS)).returncode == 0
    again = walked.commission(walked.answered(WINDOWS))
    assert (again.returncode, again.stdout) == (0, "m1 is commissioned; --restart does it again\n")
    assert walked.commission(walked.answered(WINDOWS), "--restart").returncode == 0
    assert len(walked.records("commissioned")) == 2


def test_what_is_kept_of_the_rules_before_survives_a_walk_cut_off_at_its_end(walked: WalkedBox):
    lock = StateLock(walked.folder / "state")
    try:
        done = walked.commission(walked.answered(WINDOWS))
        assert done.returncode == 1
        assert "another agent already works" in done.stderr
    finally:
        lock.release()
    assert walked.commission(walked.answered(WINDOWS)).returncode == 0
    [record] = walked.records("commissioned")
    assert record["data"]["before"]["run_above"] == "500.0"
    assert walked.report()["thresholds"]["run_above"]["before"] == 500.0


def test_a_report_that_could_not_be_written_is_made_by_the_same_command_again(walked: WalkedBox):
    (walked.folder / "file").write_text("", encoding="utf-8")
    done = walked.commission(walked.answered(WINDOWS), "--output", str(walked.folder / "file"))
    assert "the report cannot be written" in done.stderr
    assert len(walked.records("commissioned")) == 1
    folder = walked.folder / "out"
    done = walked.commission(walked.answered(WINDOWS), "--output", str(folder))
    assert done.returncode == 0, done.stderr
    assert {item.name for item in folder.iterdir()} == {"report.html", "report.json"}
    found = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert found["record"]["seq"] == walked.records("commissioned")[0]["seq"]
    assert len(walked.records("commissioned")) == 1
    assert "--restart does it again" in walked.commission(walked.answered(WINDOWS), "--output", str(folder)).stdout


def test_a_person_at_a_terminal_may_stop_and_the_name_is_kept(walked: WalkedBox):
    command = walked.command("commission", "--instrument", "m1")
    done = subprocess.run(command, input="Li Si\ns\nq\n", capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Aborted!" in done.stderr
    kept = json.loads((walked.kept / "walk.json").read_text(encoding="utf-8"))
    assert (kept["who"], kept["steps"]) == ("Li Si", {"off": "skipped"})


def test_a_walk_that_cannot_be_taken_up_is_told(walked: WalkedBox):
    walked.commission(walked.answered({**WINDOWS, "run": (310, 895)}))
    kept = walked.kept / "walk.json"
    kept.write_text(kept.read_text(encoding="utf-8")[:-5], encoding="utf-8")
    done = walked.commission(walked.answered(WINDOWS))
    assert "begin anew with --restart" in done.stderr
    assert walked.commission(walked.answered(WINDOWS), "--restart").returncode == 0
