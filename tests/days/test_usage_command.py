import csv
import io
import json

import pytest
from calendar_box import Calendar
from in_process import run

from instrument_agent.cli.words import percent

CONFIG = """
[box]
id = "box-1"
state_dir = {state}
[[instrument]]
id = "xrd-1"
[instrument.driver]
name = "mock"
script = [1.0]
[instrument.activity]
off_below = 5
run_above = 1000
"""


@pytest.fixture(scope="module")
def usage(tmp_path_factory):
    folder = tmp_path_factory.mktemp("box")
    state = folder / "state"
    state.mkdir()
    box = Calendar(state, "2026-01-30T16:00")
    box.until("2026-01-31T16:00", 1.0)
    box.until("2026-02-01T04:00", 2000.0)
    box.until("2026-02-02T17:00", None)
    box.anchor()
    assert len(box.close()) == 3
    box.store.close()
    path = folder / "box.toml"
    path.write_text(CONFIG.format(state=json.dumps(str(state))), encoding="utf-8")
    return lambda *arguments: run("usage", "--config", str(path), *arguments)


def test_days_and_months_add_up_to_the_same_hours(usage):
    days = json.loads(usage("--format", "json").stdout)
    months = json.loads(usage("--month", "--format", "json").stdout)
    assert [row["period"] for row in days] == ["2026-01-31", "2026-02-01", "2026-02-02"]
    assert [(row["period"], row["days"], row["period_days"]) for row in months] == [
        ("2026-01", 1, 31),
        ("2026-02", 2, 28),
    ]
    assert sum(row["running_s"] for row in days) == sum(row["running_s"] for row in months)
    assert sum(row["running_s"] for row in days) == pytest.approx(12 * 3600, abs=700)
    assert (days[2]["coverage"], days[2]["unknown_days"]) == (0.0, 1)


def test_a_range_is_kept_to_and_the_csv_says_the_same(usage):
    (row,) = csv.DictReader(io.StringIO(usage("--from", "2026-02-01", "--to", "2026-02-01", "--format", "csv").stdout))
    assert row["period"] == "2026-02-01"
    assert float(row["powered_s"]) == float(row["running_s"]) + float(row["standby_s"])
    assert "2026-01-31" in usage().stdout


def test_the_table_fits_80_columns_and_cuts_no_figure(usage):
    told = usage()
    lines = told.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in told.stdout
    assert lines[1].split()[1:6] == ["2026-01-31", "0:00", "0:00", "0:00", "23:50"]
    assert "--format csv" in told.stderr


def test_days_that_are_not_counted_are_told_and_not_taken_for_covered(usage):
    told = usage("--month", "--from", "2026-01-31", "--to", "2026-02-28")
    assert [line.split()[1:3] for line in told.stdout.splitlines()[1:]] == [["2026-01", "1/1"], ["2026-02", "2/28"]]
    assert "xrd-1: counted through 2026-02-02; what came after it" in told.stderr
    whole = usage("--from", "2026-01-31", "--to", "2026-02-02")
    assert "counted through" not in whole.stderr


def test_a_second_that_was_not_seen_leaves_no_coverage_of_a_hundred_percent():
    assert (percent(1.0), percent(0.9999), percent(0.57), percent(None)) == ("100.0 %", "99.9 %", "57.0 %", "-")


def test_an_instrument_that_is_not_there_is_said_so(usage):
    answer = usage("--instrument", "nosuch")
    assert answer.returncode == 1
    assert "there is no instrument nosuch" in answer.stderr
    assert "xrd-1" in answer.stderr


@pytest.mark.parametrize("arguments", [("--from", "yesterday"), ("--from", "2026-02-02", "--to", "2026-02-01")])
def test_a_range_that_is_none_is_refused_in_a_sentence(usage, arguments):
    answer = usage(*arguments)
    assert answer.returncode == 1
    assert "What to do" in answer.stderr


def test_a_range_without_days_says_why(usage):
    assert "No day has been closed yet" in usage("--from", "2027-01-01").stdout
