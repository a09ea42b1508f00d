"""`commission` walks an instrument from off to a run and back, and ends with thresholds, a record and a report."""

import itertools
import signal
from pathlib import Path

import pytest
from field_box import until
from walked_box import WINDOWS, WalkedBox

from instrument_agent.cli.commission_steps import usual_s
from instrument_agent.commission.answers import read_answers
from instrument_agent.commission.steps import LEAST_READINGS, Step
from instrument_agent.config import load_config
from instrument_agent.core.canonical import record_hash
from instrument_agent.core.records import rules_data
from instrument_agent.i18n import LANGUAGES
from instrument_agent.receiver.contract import why_rejected


def test_a_walk_ends_with_thresholds_a_record_and_a_report(walked: WalkedBox):
    done = walked.commission(walked.answered(WINDOWS))
    assert done.returncode == 0, done.stdout + done.stderr
    activity = load_config(walked.config_path).instruments[0].activity
    assert activity.off_below is not None
    assert 1.3 < activity.off_below < 290
    assert activity.run_above is not None
    assert 310 < activity.run_above < 1450

    [record] = walked.records("commissioned")
    data = record["data"]
    assert (record["instrument_id"], data["by"], data["profile"]) == ("m1", "张三", "level")
    assert data["rules"] == rules_data(activity.rules())
    assert (data["before"]["off_below"], data["before"]["run_above"]) == ("5.0", "500.0")
    assert data["steps"] == dict.fromkeys(WINDOWS, "ok")
    assert why_rejected("box-1", record["epoch"], {"hash": record_hash(record), "record": record}) is None

    found = walked.report()
    assert found["record"] == {key: record[key] for key in ("epoch", "seq", "boot_id", "at_ms")}
    assert found["thresholds"]["run_above"] == {"before": 500.0, "now": activity.run_above}
    assert found["config_sha256"] == load_config(walked.config_path).hash
    assert set(found["sentences"]) == set(LANGUAGES)
    page = (walked.kept / "report.html").read_text(encoding="utf-8")
    assert page.count("<article lang=") == page.count("<svg") == len(LANGUAGES)
    assert "待机" in page
    assert "安装调试报告：m1" in page
    assert "standby" in page


def test_through_a_running_agent_the_new_rules_are_commissioned_ones(walked: WalkedBox):
    with walked.start_agent() as agent:
        done = walked.commission(walked.answered(WINDOWS))
        assert done.returncode == 0, done.stdout + done.stderr
        assert "the running agent takes it up" in done.stdout
        expected = rules_data(load_config(walked.config_path).instruments[0].activity.rules())
        until(lambda: [item for item in walked.records("configured") if item["data"]["rules"] == expected], agent)
        agent.send_signal(signal.SIGTERM)
    [record] = walked.records("commissioned")
    assert record["data"]["rules"] == expected
    newest = walked.records("configured")[-1]
    assert newest["seq"] > record["seq"] or newest["epoch"] != record["epoch"]
    assert newest["data"]["rules_origin"] == "commissioned"


def test_doubtful_thresholds_are_not_taken_without_somebody_who_looks(tmp_path: Path):
    walked = WalkedBox(tmp_path, [(300, 1.2), (600, 300.0), (1200, 315.0), (600, 300.0)])
    done = walked.commission(walked.answered(WINDOWS))
    assert done.returncode == 1
    assert "Somebody has to look at doubtful thresholds" in done.stdout
    assert "--restart takes all steps anew" in done.stdout
    assert not walked.database.exists()


def test_powered_hours_only_need_no_run_and_say_so(walked: WalkedBox):
    short = {"off": (0, 60), "standby": (310, 490)}
    done = walked.commission(walked.answered(short, profile="powered_only"))
    assert done.returncode == 0, done.stdout + done.stderr
    activity = load_config(walked.config_path).instruments[0].activity
    assert activity.off_below is not None
    assert 1.3 < activity.off_below < 290
    assert activity.run_above is not None
    assert activity.run_above > 1e9
    data = walked.records("commissioned")[0]["data"]
    assert "powered_only" in data["limits"]
    assert float(data["levels"]["off"]["high"]) < 1.5
    assert float(data["levels"]["standby"]["low"]) > 290
    assert "only off and on are told apart, as you have said" in done.stdout
    assert "run_above        500 W          never" in done.stdout
    assert (
        "powered hours only: a run cannot be told, and none is ever claimed"
        in walked.report()["sentences"]["en"]["limits"]
    )


def test_a_run_that_cannot_be_seen_leaves_powered_hours(walked: WalkedBox):
    assert walked.commission(walked.answered({**WINDOWS, "run": (310, 895)})).returncode == 1
    done = walked.commission(walked.answered(WINDOWS), "--activity-profile", "powered_only")
    assert done.returncode == 0, done.stdout + done.stderr
    assert walked.records("commissioned")[0]["data"]["steps"] == {"off": "ok", "standby": "ok"}


def test_a_step_that_was_left_out_is_a_limit_of_the_report(walked: WalkedBox):
    assert walked.commission(walked.answered({**WINDOWS, "off": None})).returncode == 0
    assert "off_not_seen" in walked.report()["limits"]
    assert walked.report()["steps"]["off"] == {"outcome": "skipped"}


def test_where_no_run_can_be_learned_nothing_is_changed(walked: WalkedBox):
    short = {"off": (0, 60), "standby": (310, 370), "run": (910, 970), "standby_again": (2110, 2170)}
    done = walked.commission(walked.answered(short))
    assert done.returncode == 1
    assert "too little was recorded" in done.stdout
    assert "Nothing was changed" in done.stdout
    assert not walked.database.exists()
    assert "run_above = 500\n" in walked.config_path.read_text(encoding="utf-8")


@pytest.mark.parametrize("poll_s", [1.0, 10.0, 30.0])
def test_a_step_lasts_long_enough_for_an_instrument_that_is_read_seldom(poll_s: float):
    assert all(usual_s(step, poll_s) >= 1.5 * LEAST_READINGS * poll_s for step in Step)
    assert usual_s(Step.OFF, 1.0) == 60.0


def test_steps_are_read_live_where_no_trace_is_given(walked: WalkedBox):
    answers = walked.folder / "answers.toml"
    answers.write_text('who = "x"\noff = { seconds = 0.8 }\nstandby = { seconds = 0.8 }', encoding="utf-8")
    done = walked.commission(answers)
    assert done.returncode == 1
    assert "off or unplugged: ok" in done.stdout
    assert "standby: not ok: it reads as when it was off" in done.stdout
    assert "usual 20" in done.stdout


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
def test_mistakes_in_the_answers_are_told_with_their_place(walked: WalkedBox, text: str, said: str):
    answers = walked.folder / "answers.toml"
    answers.write_text(text, encoding="utf-8")
    done = walked.commission(answers)
    assert done.returncode == 78
    assert said in done.stderr


def test_an_instrument_that_tells_its_states_is_not_walked_through(walked: WalkedBox):
    text = walked.config_path.read_text(encoding="utf-8")
    states = text.replace("off_below = 5\nrun_above = 500", 'states = { "20" = "running" }')
    walked.config_path.write_text(states, encoding="utf-8")
    done = walked.commission(walked.answered(WINDOWS))
    assert "tells its state itself" in done.stderr
    assert not (walked.folder / "state").exists()


def test_the_documented_answers_are_understood(tmp_path: Path):
    page = (Path(__file__).parents[2] / "docs" / "commissioning.md").read_text(encoding="utf-8")
    lines = page[page.index('    who = "') :].splitlines()
    block = [line[4:] for line in itertools.takewhile(lambda line: line.startswith("    "), lines)]
    (tmp_path / "answers.toml").write_text("\n".join(block), encoding="utf-8")
    answers = read_answers(tmp_path / "answers.toml")
    assert answers.trace == tmp_path / "walk.csv"
    assert (answers.of(Step.RUN).window, answers.of(Step.STANDBY_AGAIN).seconds) == ([905, 2100], 180)
