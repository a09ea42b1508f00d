"""``replay --what-if``: what other thresholds would have made of the kept readings, and taking them over."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from in_process import Done, run
from traced_box import TracedBox

from instrument_agent.buffer.boots import chronology
from instrument_agent.buffer.reader import Reader
from instrument_agent.commission.what_if import Trace
from instrument_agent.core.canonical import record_hash
from instrument_agent.receiver.contract import why_rejected

CONFIG_ERROR = 78


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> TracedBox:
    return TracedBox(tmp_path_factory.mktemp("box"))


def asked(box: TracedBox, *arguments: str) -> Done:
    return run("replay", "--what-if", "--instrument", "xrd-1", "--config", str(box.config_path), *arguments)


def days(box: TracedBox, *arguments: str) -> list[dict[str, Any]]:
    done = asked(box, *arguments, "--format", "json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["days"]
    return found


def test_the_rules_in_force_give_what_was_recorded_to_a_few_seconds(box: TracedBox):
    (day,) = days(box, "--run-above", "1600")
    assert day["day"] == "2026-11-22"
    assert day["old"] == day["new"]
    assert day["recorded"] == {"runs": 2, "running_ms": 1_698_000}
    assert day["old"]["runs"] == 2
    assert day["old"]["running_ms"] == pytest.approx(1_698_000, abs=20_000)


def test_another_threshold_gives_other_hours_beside_the_old_ones(box: TracedBox):
    (day,) = days(box, "--run-above", "2600", "--run-below", "2500")
    assert day["old"]["runs"] == 2
    assert day["new"] == {"runs": 0, "running_ms": 0}
    (day,) = days(box, "--run-above", "700", "--run-below", "700")
    assert day["new"]["running_ms"] > day["old"]["running_ms"] + 1_000_000


def test_a_threshold_within_the_noise_of_standby_is_warned_of(box: TracedBox):
    noisy = asked(box, "--run-above", "815", "--run-below", "805")
    assert "standby reaches over the new run_below (805)" in noisy.stderr
    assert asked(box, "--run-above", "900", "--run-below", "880").stderr == ""


def test_a_run_that_goes_on_counts_as_recorded_too(tmp_path: Path):
    (day,) = days(TracedBox(tmp_path / "box", ((800, 300), (2400, 600))), "--run-above", "1500")
    assert day["recorded"] == {"runs": 1, "running_ms": 599_000}
    assert day["old"]["running_ms"] == pytest.approx(599_000, abs=20_000)


def test_hours_stand_on_the_local_day_on_which_they_were_run(tmp_path: Path):
    # From 23:00 in Alaska on: one run over midnight, from 23:50 to 00:20.
    shape = ((800, 3000), (2400, 1800), (800, 600))
    over_midnight = TracedBox(tmp_path / "box", shape, "America/Anchorage")
    first, second = days(over_midnight, "--run-above", "1500")
    assert (first["day"], second["day"]) == ("2026-11-21", "2026-11-22")
    assert (first["new"]["runs"], second["new"]["runs"]) == (1, 0)
    assert first["new"]["running_ms"] == pytest.approx(600_000, abs=6_000)
    assert second["new"]["running_ms"] == pytest.approx(1_200_000, abs=6_000)
    assert first["recorded"] == {"runs": 1, "running_ms": 600_000}


def test_around_the_edges_of_recorded_runs_single_readings_are_judged_and_no_means(box: TracedBox):
    reader = Reader(box.database.parent)
    trace = Trace(reader, "xrd-1", chronology(reader), ZoneInfo("UTC"))
    at_s = [item.at_ns // 10**9 for item in trace.readings(box.clock.boot_id, "power_w")]
    reader.close()
    assert at_s == sorted(at_s)
    assert [second for second in at_s if 1481 <= second <= 1721] == list(range(1481, 1722))
    assert [second for second in at_s if 1800 <= second <= 1840] == [1805, 1815, 1825, 1835]


def test_the_table_has_old_and_new_side_by_side_and_their_sums(box: TracedBox):
    said = asked(box, "--run-above", "2600", "--run-below", "2500").stdout
    (last,) = [line for line in said.splitlines() if line.startswith("sum")]
    assert "2 / 0:28:18" in last
    assert "0 / 0:00:00" in last
    assert "Nothing recorded is changed" in said


def test_apply_writes_only_the_keys_that_were_tried(tmp_path: Path):
    box = TracedBox(tmp_path / "box", ((800, 300),))
    before = box.config_path.read_text(encoding="utf-8")
    records = closing(sqlite3.connect(box.database))
    with records as database:
        whole = database.execute("select id, hash from records").fetchall()
    done = asked(box, "--run-above", "1500", "--apply", "--who", "Li Si")
    assert done.returncode == 0, done.stderr
    assert box.config_path.read_text(encoding="utf-8") == before.replace("1600.0", "1500")
    with closing(sqlite3.connect(box.database)) as database:
        now = database.execute("select id, hash from records").fetchall()
        assert now[: len(whole)] == whole
        (body,) = database.execute("select body from records order by id desc limit 1").fetchone()
        (old,) = database.execute("select body from records where seq = 2 order by id limit 1").fetchone()
    record, replaced = json.loads(body), json.loads(old)
    data = record["data"]
    assert (data["event"], data["by"], data["tool"]) == ("adjusted", "Li Si", "what_if")
    assert (data["before"]["run_above"], data["rules"]["run_above"]) == ("1600.0", "1500.0")
    assert data["replaces"] == {"epoch": replaced["epoch"], "seq": replaced["seq"]}
    assert why_rejected("box-1", record["epoch"], {"hash": record_hash(record), "record": record}) is None


def test_without_apply_nothing_is_written(box: TracedBox):
    before = box.config_path.read_bytes()
    assert asked(box, "--run-above", "1500").returncode == 0
    assert box.config_path.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "nothing is changed: give at least one threshold or time"),
        (("--run-above", "1300"), "0 < off_below <= run_below <= run_above"),
        (("--min-on-s", "-1"), "must be from 0 to 86400"),
        (("--run-above", "1700", "--scale", "2"), "--scale: not with --what-if"),
        (("--run-above", "1700", "--sessions"), "--sessions: not with --what-if"),
        (("trace.csv", "--run-above", "1700"), "trace: not with --what-if"),
        (("--run-above", "1700", "--instrument", "nmr-1"), "there is no instrument nmr-1"),
    ],
)
def test_what_cannot_be_tried_is_refused(box: TracedBox, arguments: tuple[str, ...], said: str):
    done = asked(box, *arguments)
    assert (done.returncode, done.stdout) == (CONFIG_ERROR, "")
    assert said in done.stderr


def test_a_box_that_keeps_no_readings_yet_says_so(tmp_path: Path):
    box = TracedBox(tmp_path / "box", ())
    done = asked(box, "--run-above", "1700")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no readings of xrd-1 are kept yet" in done.stderr


def test_options_of_what_if_are_not_taken_for_a_trace(tmp_path: Path):
    for arguments in (("--apply",), ("--instrument", "xrd-1"), ("--who", "Li")):
        done = run("replay", str(tmp_path / "trace.csv"), "--off-below", "5", "--run-above", "100", *arguments)
        assert (done.returncode, done.stdout) == (CONFIG_ERROR, "")
        assert "--instrument, --apply and --who are for --what-if" in done.stderr
    assert "give a trace, or --what-if" in run("replay", "--off-below", "5", "--run-above", "100").stderr
