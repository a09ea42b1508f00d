"""How well the times of a session are known, as people are told it."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from instrument_agent.cli.sessions import _between, _print_table, _shown, session_row
from instrument_agent.core.anchors import Anchor
from instrument_agent.core.chronology import Boot, Chronology
from instrument_agent.core.readings import NS_PER_S

SHANGHAI = ZoneInfo("Asia/Shanghai")
BERLIN = ZoneInfo("Europe/Berlin")
UTC_NS = 1_795_334_400 * NS_PER_S  # 2026-11-22T08:00:00Z
HOUR_NS = 3600 * NS_PER_S
BOOTS = [Boot("a", 0, 10 * HOUR_NS), Boot("b", 0, 10 * HOUR_NS), Boot("c", 0, HOUR_NS)]
FIRST = Anchor("a", 0, UTC_NS, NS_PER_S, "ntp")
LAST = Anchor("c", 0, UTC_NS + 40 * HOUR_NS, NS_PER_S, "ntp")


def record(boot_id: str, start_s: int, end_s: int) -> dict:
    data = {"start_ms": start_s * 1000, "end_ms": end_s * 1000, "unseen_ms": 0, "running_ms": (end_s - start_s) * 1000}
    return {"instrument_id": "xrd-1", "boot_id": boot_id, "epoch": "e", "seq": 7, "data": data}


def test_a_session_near_an_anchor_has_local_times_and_an_error_rounded_up():
    row = session_row(record("a", 0, 3601), Chronology(BOOTS, [FIRST]), SHANGHAI)
    assert (row["start"], row["end"]) == ("2026-11-22T16:00:00+08:00", "2026-11-22T17:00:01+08:00")
    assert row["utc_error_s"] == 1.361  # 1 s and 100 ppm of 3601 s
    assert row["quality"] == "good"
    assert (row["start_earliest"], row["end_latest"]) == ("2026-11-22T15:59:59+08:00", "2026-11-22T17:00:03+08:00")


def test_a_run_cut_off_by_a_power_loss_may_have_ended_later():
    cut = record("a", 0, 3601)
    cut["data"]["end_uncertainty_ms"] = 120_000
    row = session_row(cut, Chronology(BOOTS, [FIRST]), SHANGHAI)
    assert (row["end"], row["end_latest"]) == ("2026-11-22T17:00:01+08:00", "2026-11-22T17:02:03+08:00")


def test_a_session_of_a_boot_that_never_learned_the_time_shows_its_bounds():
    row = session_row(record("b", 0, 3600), Chronology(BOOTS, [FIRST, LAST]), SHANGHAI)
    assert (row["start"], row["end"], row["quality"]) == (None, None, "bounded")
    # After the first boot, 10 h long; and 10 h before the last one.
    assert row["start_earliest"] == "2026-11-23T01:59:55+08:00"
    assert row["start_latest"] == "2026-11-23T22:00:05+08:00"
    assert row["end_earliest"] == "2026-11-23T02:59:55+08:00"
    assert row["utc_error_s"] > 36_000
    assert _shown(row, "start") == "≥ 2026-11-23 01:59:55\n≤ 2026-11-23 22:00:05"


def test_a_session_that_only_an_earlier_boot_bounds_has_no_end_to_it():
    row = session_row(record("b", 0, 3600), Chronology(BOOTS, [FIRST]), SHANGHAI)
    assert (row["start"], row["start_latest"], row["utc_error_s"], row["quality"]) == (None, None, None, "unknown")
    assert _shown(row, "start") == "≥ 2026-11-23 01:59:55"


def test_a_session_that_nothing_bounds_shows_a_dash():
    row = session_row(record("b", 0, 3600), Chronology(BOOTS, []), SHANGHAI)
    assert (row["start_earliest"], row["quality"], _shown(row, "end")) == (None, "unknown", "-")


def test_a_run_over_a_change_to_winter_time_is_as_long_as_the_boot_clock_says():
    # 2026-10-25T00:30:00Z is 02:30 summer time; an hour later it is 02:30 again.
    anchor = Anchor("a", 0, 1_792_888_200 * NS_PER_S, NS_PER_S, "ntp")
    row = session_row(record("a", 0, 3600), Chronology(BOOTS, [anchor]), BERLIN)
    assert (row["start"], row["end"]) == ("2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00")
    assert row["running_s"] == 3600


def test_a_run_is_left_out_only_if_it_certainly_lies_outside():

    def shown(start: str | None, stop: str | None) -> bool:
        edges = [text and datetime.fromisoformat(f"{text}+08:00") for text in (start, stop)]
        return bool(list(_between([row], *edges)))

    row = session_row(record("b", 0, 3600), Chronology(BOOTS, [FIRST, LAST]), SHANGHAI)
    assert shown("2026-11-23T20:00:00", None)
    assert shown(None, "2026-11-23T03:00:00")
    assert not shown("2026-11-24T00:00:00", None)
    assert not shown(None, "2026-11-23T01:00:00")


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_no_figure_is_broken_in_two_however_narrow_the_terminal_is(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("COLUMNS", str(columns))
    row = session_row(record("b", 0, 110 * 3600 + 45 * 60), Chronology(BOOTS, [FIRST, LAST]), SHANGHAI)
    _print_table([row], "Asia/Shanghai")
    text = capsys.readouterr().out
    whole = [_shown(row, "start").split("\n"), _shown(row, "end").split("\n"), ["110:45:00", "0:00:00", row["id"]]]
    assert all(figure in text for figures in whole for figure in figures)
    assert max(map(len, text.splitlines())) <= max(columns, 100)
