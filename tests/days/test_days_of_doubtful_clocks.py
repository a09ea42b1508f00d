"""Days of a box that learned the time late, not in every boot, or that was told another zone: no second is lost."""

import re
from pathlib import Path

import pytest
from calendar_box import OFF_W, RUN_W, STANDBY_W, Calendar, adds_up, utc_s

from instrument_agent.buffer.books import intervals, save_anchor, save_state
from instrument_agent.buffer.verify import verify
from instrument_agent.core.anchors import Anchor
from instrument_agent.core.readings import NS_PER_MS, NS_PER_S
from instrument_agent.daybook import Daybook

H = 3_600_000
TURN_MS = H // 6  # between two polls


def proven(box: Calendar) -> int:
    """Return how many days verify proves; there must be no difference."""
    with box.store.write() as change:
        save_state(change, "xrd-1", box.state)
    report = verify(box.store, None)
    assert report.differences == []
    return report.proven["days"]


@pytest.mark.parametrize(
    ("before", "after", "hours"),
    [
        ("Asia/Shanghai", "UTC", [24, 24, 32, 24]),
        ("UTC", "Asia/Shanghai", [24, 24, 16, 24]),
        ("Etc/GMT+12", "Etc/GMT-14", [24, 24, 22, 24]),  # 26 hours back: a whole day is left out
    ],
)
def test_a_box_that_is_told_another_zone_loses_no_hour_and_counts_none_twice(
    tmp_path: Path, before: str, after: str, hours: list[int]
):
    box = Calendar(tmp_path, "2026-03-01T12:00", zone=before)
    box.until("2026-03-02T12:30", RUN_W)
    box.anchor()
    box.until("2026-03-03T12:30" if before == "Etc/GMT+12" else "2026-03-04T00:30", RUN_W)
    first = len(box.close())
    box.daybook = Daybook(box.store, after, (1, 2, 3))
    box.until("2026-03-08T00:30", RUN_W)
    days = box.close()
    lengths = [day["length_ms"] // H for day in days[first - 2 : first + 2]]
    assert lengths == hours
    assert all(adds_up(day) for day in days)
    watched_ms = sum(day["running_ms"] for day in days)
    unseen_ms = sum(day["unknown_ms"] for day in days)
    assert watched_ms + unseen_ms == sum(day["length_ms"] for day in days)
    assert unseen_ms <= 24 * H + TURN_MS, "only what lies before watching began"
    assert proven(box) == len(days)


def test_the_day_that_is_explained_to_auditors_is_what_comes_out(tmp_path: Path):
    box = Calendar(tmp_path, "2026-10-24T20:00", zone="Europe/Berlin")
    box.until("2026-10-25T06:00", STANDBY_W)
    box.until("2026-10-25T09:30", RUN_W)
    box.boot(box.now_s + 3600)
    box.until("2026-10-25T12:30", RUN_W)
    box.until("2026-10-26T00:00", OFF_W)
    day = box.close()[-1]
    text = (Path(__file__).parents[2] / "docs" / "time.md").read_text(encoding="utf-8")
    figures = (f"{name} {day[f'{name}_ms']}" for name in ("off", "standby", "running", "unknown"))
    assert f"    {' + '.join(figures)} + residual {day['clock_residual_ms']} = {day['length_ms']}\n" in text
    rows = re.findall(r"^\| *(\d?) *\| *(\d*) *\| *(\w*) *\| (\w+)[^|\n]*\| (\d+) \|", text, re.MULTILINE)
    spent: dict[str, int] = {}
    for _boot, _from, _to, activity, counts in rows:
        spent[activity] = spent.get(activity, 0) + int(counts)
    assert {name: day[f"{name}_ms"] for name in spent} == spent
    chain = [item for boot in ("boot-1", "boot-2") for item in intervals(box.store, "xrd-1", boot)][1:]
    said = [(int(start), int(end), activity) for _boot, start, end, activity, _counts in rows if end.isdigit()]
    assert [(item.start_ns // NS_PER_MS, item.end_ns // NS_PER_MS, item.activity) for item in chain] == said


def test_days_whose_end_will_never_be_known_better_do_not_wait_for_the_next_boot(tmp_path: Path):
    box = Calendar(tmp_path, "2026-03-01T16:00")
    box.boot(box.now_s, anchored=False)
    box.until("2026-03-12T17:00", OFF_W)  # 11 days: the first midnights are known to 86 s only
    assert box.close() == []
    box.anchor()
    box.until("2026-03-12T23:00", OFF_W)
    box.anchor()
    assert len(box.close()) == 11
    box.until("2026-03-14T17:00", OFF_W)
    assert len(box.close()) == 13
    assert proven(box) == 13


def test_clocks_that_disagree_for_long_do_not_hold_up_the_days(tmp_path: Path):
    box = Calendar(tmp_path, "2026-03-01T16:00")
    for day in range(2, 6):
        box.until(f"2026-03-0{day}T17:00", STANDBY_W)
        late = Anchor(box.boot_id, box._ns(), (box.now_s + 300) * NS_PER_S, NS_PER_S, "ntp")
        with box.store.write() as change:
            save_anchor(change, late)
        box.anchor()
        box.close()
    days = box.close()
    assert len(days) == 4
    assert proven(box) == 4


def told_by_a_time_server(box: Calendar, days: int) -> None:
    """Let a time server say a time that is so many days ahead."""
    with box.store.write() as change:
        save_anchor(change, Anchor(box.boot_id, box._ns(), (box.now_s + days * 86_400) * NS_PER_S, NS_PER_S, "ntp"))


def test_one_sight_of_a_clock_that_is_a_year_ahead_closes_no_day_of_that_year(tmp_path: Path):
    box = Calendar(tmp_path, "2026-03-01T16:00")
    box.until("2026-03-03T17:00", RUN_W)
    assert len(box.close()) == 2
    box.boot(box.now_s + 3600, anchored=False)
    told_by_a_time_server(box, 365)
    box.until("2026-03-04T04:00", RUN_W)
    assert len(box.close()) == 2, "days that are to come must not be told as unknown"
    box.anchor()
    box.until("2026-03-05T17:00", RUN_W)
    box.anchor()
    assert [day["day"] for day in box.close()[2:]] == ["2026-03-04", "2026-03-05"]
    assert proven(box) == 4


def test_days_that_passed_in_the_dark_are_closed_as_soon_as_two_sights_agree(tmp_path: Path):
    box = Calendar(tmp_path, "2026-03-01T16:00")
    box.until("2026-03-03T17:00", OFF_W)
    assert len(box.close()) == 2
    box.boot(box.now_s + 5 * 86_400)
    box.until("2026-03-08T20:00", OFF_W)
    assert len(box.close()) == 2
    told_by_a_time_server(box, 0)
    assert [day["day"][-2:] for day in box.close()[2:]] == ["04", "05", "06", "07", "08"]
    assert proven(box) == 7


def test_a_boot_that_was_told_a_time_to_come_is_as_good_as_one_that_was_told_none(tmp_path: Path):
    box = Calendar(tmp_path, "2026-03-01T16:00")
    box.until("2026-03-02T01:00", RUN_W)
    box.boot(box.now_s + 3600, anchored=False)
    told_by_a_time_server(box, 40)
    box.until("2026-03-02T04:00", RUN_W)
    box.boot(box.now_s + 3600)
    box.until("2026-03-02T17:00", RUN_W)
    (day,) = box.close()
    assert abs(day["clock_residual_ms"]) <= 4, "its hours are in no day twice"
    assert day["unknown_reasons_ms"]["undated"] == 4 * H
    assert proven(box) == 1
    assert verify(box.store, None).unproven["contradicting_boots"] == 1, "an auditor is told of it"


def test_a_boot_that_never_learned_the_time_is_not_told_as_power_loss(tmp_path: Path):
    box = Calendar(tmp_path, "2026-03-01T16:00")
    box.until("2026-03-02T00:00", STANDBY_W)
    box.boot(box.now_s + 3600, anchored=False)
    box.until("2026-03-02T07:00", STANDBY_W)
    box.boot(box.now_s + 3600)
    box.until("2026-03-02T10:00", STANDBY_W)
    box.boot(box.now_s + 3600)
    box.until("2026-03-02T17:00", STANDBY_W)
    (day,) = box.close()
    assert day["unknown_reasons_ms"]["undated"] == 8 * H
    assert day["unknown_reasons_ms"]["power_loss"] == pytest.approx(H, abs=3 * TURN_MS)
    assert adds_up(day)
    assert proven(box) == 1


@pytest.mark.parametrize("ahead_days", [None, 40])
def test_a_first_boot_that_never_learned_the_right_time_holds_up_no_day(tmp_path: Path, ahead_days: int | None):
    box = Calendar(tmp_path, "2026-03-01T16:00")
    box.boot(box.now_s, anchored=False)
    if ahead_days is not None:
        told_by_a_time_server(box, ahead_days)
    box.until("2026-03-01T20:00", RUN_W)
    box.boot(box.now_s + 3600)
    box.until("2026-03-03T17:00", RUN_W)
    days = box.close()
    assert [day["day"] for day in days] == ["2026-03-02", "2026-03-03"]
    assert days[0]["unknown_reasons_ms"]["undated"] == pytest.approx(5 * H, abs=TURN_MS)
    assert all(adds_up(day) for day in days)
    assert proven(box) == 2


@pytest.mark.parametrize("off_days", [-40, -2, -1, 1])
def test_no_hour_is_lost_or_counted_twice_when_the_only_clock_is_set_right_at_midnight(tmp_path: Path, off_days: int):
    box = Calendar(tmp_path, "2026-03-01T12:00")
    box.boot(box.now_s, anchored=False)
    told_by_a_time_server(box, off_days)
    box.until("2026-03-03T15:50", RUN_W)
    told_by_a_time_server(box, off_days)
    box.until("2026-03-03T16:10", RUN_W)
    told_by_a_time_server(box, 0)
    box.until("2026-03-03T16:30", RUN_W)
    for day in range(4, 8):
        box.close()
        box.until(f"2026-03-0{day}T16:30", RUN_W if day < 6 else OFF_W)
        told_by_a_time_server(box, 0)
    days = box.close()
    ran_h = (utc_s("2026-03-05T16:30") - utc_s("2026-03-01T12:00")) / 3600
    assert sum(day["running_ms"] for day in days) == pytest.approx(ran_h * H, abs=4 * TURN_MS)
    assert proven(box) == len(days)
