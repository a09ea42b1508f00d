"""`commission` walks an instrument from off to a run and back, and ends with thresholds, a record and a report."""

import io
import itertools
import json
import os
import random
import signal
import sqlite3
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from field_box import FieldBox, until
from in_process import Done

from instrument_agent.buffer.lock import StateLock
from instrument_agent.cli.commission_steps import usual_s
from instrument_agent.commission.answers import read_answers
from instrument_agent.commission.steps import LEAST_READINGS, Step
from instrument_agent.config import load_config
from instrument_agent.core.canonical import record_hash
from instrument_agent.core.records import rules_data
from instrument_agent.i18n import LANGUAGES
from instrument_agent.receiver.contract import why_rejected

MOCK = 'name = "mock"\nscript = [20.0]'
PHASES = [(300, 1.2), (600, 300.0), (1200, 1500.0), (600, 305.0)]
WINDOWS = {"off": (0, 299), "standby": (310, 895), "run": (910, 2090), "standby_again": (2110, 2690)}


@pytest.fixture
def box(tmp_path: Path) -> FieldBox:
    return walked(tmp_path, PHASES)


def walked(tmp_path: Path, phases: Sequence[tuple[int, float]]) -> FieldBox:
    noise, at_s = random.Random(3), 0
    lines = ["timestamp_s,power_w,failure"]
    for seconds, watts in phases:
        for _number in range(seconds // 5):
            lines.append(f"{at_s},{watts + noise.gauss(0, watts / 100):.2f},")
            at_s += 5
    (tmp_path / "walk.csv").write_text("\n".join(lines), encoding="utf-8")
    return FieldBox(tmp_path, MOCK)


def answered(box: FieldBox, windows: dict[str, tuple[float, float] | None], **more: str) -> Path:
    lines = ['who = "张三"', 'trace = "walk.csv"', *(f'{key} = "{value}"' for key, value in more.items())]
    lines += [
        f"{step} = {{ skip = true }}" if window is None else f"{step} = {{ window = {list(window)} }}"
        for step, window in windows.items()
    ]
    path = box.folder / "answers.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def commission(box: FieldBox, answers: Path, *arguments: str) -> Done:
    return box.run("commission", "--instrument", "m1", "--answers", str(answers), *arguments)


def records(box: FieldBox, event: str) -> list[dict[str, Any]]:
    with sqlite3.connect(box.folder / "state" / "buffer.db") as database:
        found = [json.loads(body) for (body,) in database.execute("select body from records order by id")]
    database.close()
    return [item for item in found if item["data"].get("event") == event]


def report(box: FieldBox) -> dict[str, Any]:
    path = box.folder / "state" / "commissioning" / "m1" / "report.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_a_walk_ends_with_thresholds_a_record_and_a_report(box: FieldBox):
    done = commission(box, answered(box, WINDOWS))
    assert done.returncode == 0, done.stdout + done.stderr
    activity = load_config(box.config_path).instruments[0].activity
    assert activity.off_below is not None
    assert 1.3 < activity.off_below < 290
    assert activity.run_above is not None
    assert 310 < activity.run_above < 1450

    [record] = records(box, "commissioned")
    data = record["data"]
    assert (record["instrument_id"], data["by"], data["profile"]) == ("m1", "张三", "level")
    assert data["rules"] == rules_data(activity.rules())
    assert (data["before"]["off_below"], data["before"]["run_above"]) == ("5.0", "500.0")
    assert data["steps"] == dict.fromkeys(WINDOWS, "ok")
    assert why_rejected("box-1", record["epoch"], {"hash": record_hash(record), "record": record}) is None

    found = report(box)
    assert found["record"] == {key: record[key] for key in ("epoch", "seq", "boot_id", "at_ms")}
    assert found["thresholds"]["run_above"] == {"before": 500.0, "now": activity.run_above}
    assert found["config_sha256"] == load_config(box.config_path).hash
    assert set(found["sentences"]) == set(LANGUAGES)
    page = (box.folder / "state" / "commissioning" / "m1" / "report.html").read_text(encoding="utf-8")
    assert page.count("<article lang=") == page.count("<svg") == len(LANGUAGES)
    assert "待机" in page
    assert "安装调试报告：m1" in page
    assert "standby" in page


def test_through_a_running_agent_the_new_rules_are_commissioned_ones(box: FieldBox):
    with box.start_agent() as agent:
        done = commission(box, answered(box, WINDOWS))
        assert done.returncode == 0, done.stdout + done.stderr
        assert "the running agent takes it up" in done.stdout
        expected = rules_data(load_config(box.config_path).instruments[0].activity.rules())
        until(lambda: [item for item in records(box, "configured") if item["data"]["rules"] == expected], agent)
        agent.send_signal(signal.SIGTERM)
    [record] = records(box, "commissioned")
    assert record["data"]["rules"] == expected
    newest = records(box, "configured")[-1]
    assert newest["seq"] > record["seq"] or newest["epoch"] != record["epoch"]
    assert newest["data"]["rules_origin"] == "commissioned"


def test_a_walk_goes_on_with_the_step_that_was_not_ok(box: FieldBox):
    no_run = answered(box, {**WINDOWS, "run": (310, 895)})
    done = commission(box, no_run)
    assert done.returncode == 1
    assert "the run cannot be told from standby" in done.stdout
    assert not records_file(box).exists()
    assert "off_below = 5\n" in box.config_path.read_text(encoding="utf-8")
    done = commission(box, answered(box, {**WINDOWS, "off": (1000, 1200), "standby": (1000, 1200)}))
    assert done.returncode == 0, done.stdout
    assert "Switch the instrument off" not in done.stdout
    assert "Going on with the walk of 张三, last at 2" in done.stdout
    assert "Done: off or unplugged, standby. --restart" in done.stdout
    assert report(box)["steps"]["off"]["middle"] == pytest.approx(1.2, abs=0.1)


def test_a_standby_taken_for_off_is_refused_and_off_is_taken_again(box: FieldBox):
    done = commission(box, answered(box, {**WINDOWS, "off": (310, 895), "standby": (910, 2090)}))
    assert done.returncode == 1
    assert "Was it really off?" in done.stdout
    assert "goes on with the step: off or unplugged" in done.stdout
    done = commission(box, answered(box, WINDOWS))
    assert done.returncode == 0, done.stdout
    assert report(box)["steps"]["off"]["middle"] == pytest.approx(1.2, abs=0.1)


def test_doubtful_thresholds_are_not_taken_without_somebody_who_looks(tmp_path: Path):
    box = walked(tmp_path, [(300, 1.2), (600, 300.0), (1200, 315.0), (600, 300.0)])
    done = commission(box, answered(box, WINDOWS))
    assert done.returncode == 1
    assert "Somebody has to look at doubtful thresholds" in done.stdout
    assert "--restart takes all steps anew" in done.stdout
    assert not records_file(box).exists()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_a_step_cut_short_by_a_lost_connection_is_not_over(box: FieldBox, number: int, monkeypatch: pytest.MonkeyPatch):
    folder = box.folder / "state" / "commissioning" / "m1"

    def cut_off() -> None:
        while not (folder / "off.csv").exists() or (folder / "off.csv").read_bytes().count(b"\n") < 14:
            threading.Event().wait(0.01)
        os.kill(os.getpid(), number)

    monkeypatch.setattr("sys.stdin", io.StringIO("Li Si\n\n"))
    thread = threading.Thread(target=cut_off)
    thread.start()
    assert box.run("commission", "--instrument", "m1").returncode == 1
    thread.join()
    assert json.loads((folder / "walk.json").read_text(encoding="utf-8"))["steps"] == {}


def records_file(box: FieldBox) -> Path:
    return box.folder / "state" / "buffer.db"


def test_what_was_begun_is_forgotten_only_on_request(box: FieldBox):
    assert commission(box, answered(box, WINDOWS)).returncode == 0
    again = commission(box, answered(box, WINDOWS))
    assert (again.returncode, again.stdout) == (0, "m1 is commissioned; --restart does it again\n")
    assert commission(box, answered(box, WINDOWS), "--restart").returncode == 0
    assert len(records(box, "commissioned")) == 2


def test_what_is_kept_of_the_rules_before_survives_a_walk_cut_off_at_its_end(box: FieldBox):
    lock = StateLock(box.folder / "state")
    try:
        done = commission(box, answered(box, WINDOWS))
        assert done.returncode == 1
        assert "another agent already works" in done.stderr
    finally:
        lock.release()
    assert commission(box, answered(box, WINDOWS)).returncode == 0
    [record] = records(box, "commissioned")
    assert record["data"]["before"]["run_above"] == "500.0"
    assert report(box)["thresholds"]["run_above"]["before"] == 500.0


def test_a_report_that_could_not_be_written_is_made_by_the_same_command_again(box: FieldBox):
    (box.folder / "file").write_text("", encoding="utf-8")
    done = commission(box, answered(box, WINDOWS), "--output", str(box.folder / "file"))
    assert "the report cannot be written" in done.stderr
    assert len(records(box, "commissioned")) == 1
    folder = box.folder / "out"
    done = commission(box, answered(box, WINDOWS), "--output", str(folder))
    assert done.returncode == 0, done.stderr
    assert {item.name for item in folder.iterdir()} == {"report.html", "report.json"}
    found = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert found["record"]["seq"] == records(box, "commissioned")[0]["seq"]
    assert len(records(box, "commissioned")) == 1
    assert "--restart does it again" in commission(box, answered(box, WINDOWS), "--output", str(folder)).stdout


def test_powered_hours_only_need_no_run_and_say_so(box: FieldBox):
    short = {"off": (0, 60), "standby": (310, 490)}
    done = commission(box, answered(box, short, profile="powered_only"))
    assert done.returncode == 0, done.stdout + done.stderr
    activity = load_config(box.config_path).instruments[0].activity
    assert activity.off_below is not None
    assert 1.3 < activity.off_below < 290
    assert activity.run_above is not None
    assert activity.run_above > 1e9
    data = records(box, "commissioned")[0]["data"]
    assert "powered_only" in data["limits"]
    assert float(data["levels"]["off"]["high"]) < 1.5
    assert float(data["levels"]["standby"]["low"]) > 290
    assert "only off and on are told apart, as you have said" in done.stdout
    assert "run_above        500 W          never" in done.stdout
    assert (
        "powered hours only: a run cannot be told, and none is ever claimed" in report(box)["sentences"]["en"]["limits"]
    )


def test_a_run_that_cannot_be_seen_leaves_powered_hours(box: FieldBox):
    assert commission(box, answered(box, {**WINDOWS, "run": (310, 895)})).returncode == 1
    done = commission(box, answered(box, WINDOWS), "--activity-profile", "powered_only")
    assert done.returncode == 0, done.stdout + done.stderr
    assert records(box, "commissioned")[0]["data"]["steps"] == {"off": "ok", "standby": "ok"}


def test_a_step_that_was_left_out_is_a_limit_of_the_report(box: FieldBox):
    assert commission(box, answered(box, {**WINDOWS, "off": None})).returncode == 0
    assert "off_not_seen" in report(box)["limits"]
    assert report(box)["steps"]["off"] == {"outcome": "skipped"}


def test_where_no_run_can_be_learned_nothing_is_changed(box: FieldBox):
    short = {"off": (0, 60), "standby": (310, 370), "run": (910, 970), "standby_again": (2110, 2170)}
    done = commission(box, answered(box, short))
    assert done.returncode == 1
    assert "too little was recorded" in done.stdout
    assert "Nothing was changed" in done.stdout
    assert not records_file(box).exists()
    assert "run_above = 500\n" in box.config_path.read_text(encoding="utf-8")


@pytest.mark.parametrize("poll_s", [1.0, 10.0, 30.0])
def test_a_step_lasts_long_enough_for_an_instrument_that_is_read_seldom(poll_s: float):
    assert all(usual_s(step, poll_s) >= 1.5 * LEAST_READINGS * poll_s for step in Step)
    assert usual_s(Step.OFF, 1.0) == 60.0


def test_steps_are_read_live_where_no_trace_is_given(box: FieldBox):
    answers = box.folder / "answers.toml"
    answers.write_text('who = "x"\noff = { seconds = 0.8 }\nstandby = { seconds = 0.8 }', encoding="utf-8")
    done = commission(box, answers)
    assert done.returncode == 1
    assert "off or unplugged: ok" in done.stdout
    assert "standby: not ok: it reads as when it was off" in done.stdout
    assert "usual 20" in done.stdout


def test_a_person_at_a_terminal_may_stop_and_the_name_is_kept(box: FieldBox):
    command = box.command("commission", "--instrument", "m1")
    done = subprocess.run(command, input="Li Si\ns\nq\n", capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Aborted!" in done.stderr
    kept = json.loads((box.folder / "state" / "commissioning" / "m1" / "walk.json").read_text(encoding="utf-8"))
    assert (kept["who"], kept["steps"]) == ("Li Si", {"off": "skipped"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "who: this key is required"),
        ('who = "x"\nof = { skip = true }', "of: there is no such key (did you mean off?)"),
        ('who = "x"\nrun = { window = [9, 1] }', "run.window: must be the start and the end in seconds of the trace"),
        ('who = "x"\nrun = { window = [1, 9] }', "run: a window is cut out of a trace: name it"),
        ('who = " "', "who: must be a name of at most 80 letters"),
        ('who = "x"\nprofile = "levl"', "did you mean level?"),
    ],
)
def test_mistakes_in_the_answers_are_told_with_their_place(box: FieldBox, text: str, said: str):
    answers = box.folder / "answers.toml"
    answers.write_text(text, encoding="utf-8")
    done = commission(box, answers)
    assert done.returncode == 78
    assert said in done.stderr


def test_a_walk_that_cannot_be_taken_up_is_told(box: FieldBox):
    commission(box, answered(box, {**WINDOWS, "run": (310, 895)}))
    kept = box.folder / "state" / "commissioning" / "m1" / "walk.json"
    kept.write_text(kept.read_text(encoding="utf-8")[:-5], encoding="utf-8")
    done = commission(box, answered(box, WINDOWS))
    assert "begin anew with --restart" in done.stderr
    assert commission(box, answered(box, WINDOWS), "--restart").returncode == 0


def test_an_instrument_that_tells_its_states_is_not_walked_through(box: FieldBox):
    text = box.config_path.read_text(encoding="utf-8")
    states = text.replace("off_below = 5\nrun_above = 500", 'states = { "20" = "running" }')
    box.config_path.write_text(states, encoding="utf-8")
    done = commission(box, answered(box, WINDOWS))
    assert "tells its state itself" in done.stderr
    assert not (box.folder / "state").exists()


def test_the_documented_answers_are_understood(tmp_path: Path):
    page = (Path(__file__).parents[2] / "docs" / "commissioning.md").read_text(encoding="utf-8")
    lines = page[page.index('    who = "') :].splitlines()
    block = [line[4:] for line in itertools.takewhile(lambda line: line.startswith("    "), lines)]
    (tmp_path / "answers.toml").write_text("\n".join(block), encoding="utf-8")
    answers = read_answers(tmp_path / "answers.toml")
    assert answers.trace == tmp_path / "walk.csv"
    assert (answers.of(Step.RUN).window, answers.of(Step.STANDBY_AGAIN).seconds) == ([905, 2100], 180)
