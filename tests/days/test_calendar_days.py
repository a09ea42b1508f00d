from datetime import UTC, datetime

import pytest
from calendar_box import Calendar, adds_up
from hypothesis import given, settings
from hypothesis import strategies as st

from instrument_agent.buffer.books import save_configured

H = 3_600_000
DAY = 24 * H


def test_a_day_is_the_sum_of_what_was_seen_between_two_local_midnights(tmp_path):
    box = Calendar(tmp_path, "2026-03-01T16:00")  # midnight in Shanghai
    box.until("2026-03-02T00:00", 1.0)
    box.until("2026-03-02T06:00", 100.0)
    box.until("2026-03-02T10:00", 2000.0)
    box.until("2026-03-02T18:00", 1.0)
    (day,) = box.close()
    assert (day["day"], day["length_ms"]) == ("2026-03-02", DAY)
    assert day["standby_ms"] == pytest.approx(6 * H, abs=H / 3)
    assert day["running_ms"] == pytest.approx(4 * H, abs=H / 3)
    assert day["powered_ms"] == day["standby_ms"] + day["running_ms"]
    assert adds_up(day)
    assert abs(day["clock_residual_ms"]) <= 4


def test_a_day_tells_how_the_rules_came_that_it_was_judged_by(tmp_path):
    box = Calendar(tmp_path, "2026-03-01T16:00")
    box.until("2026-03-02T17:00", 1.0)
    assert "rules_origin" not in box.close()[-1]
    with box.store.write() as change:
        save_configured(change, "xrd-1", box.boot_id, 0, {"event": "configured", "rules_origin": "learned"})
    box.until("2026-03-03T17:00", 1.0)
    assert box.close()[-1]["rules_origin"] == "learned"


def test_the_time_before_watching_began_is_unknown_and_says_so(tmp_path):
    box = Calendar(tmp_path, "2026-03-02T04:00")  # noon
    box.until("2026-03-02T17:00", 1.0)
    (day,) = box.close()
    assert day["unknown_reasons_ms"]["not_watched"] == 12 * H
    assert adds_up(day)


def test_a_day_is_not_closed_before_it_is_over_and_settled_and_its_end_is_known(tmp_path):
    box = Calendar(tmp_path, "2026-03-01T16:00")
    box.until("2026-03-02T15:50", 1.0)
    assert box.close() == []
    box.until("2026-03-02T16:30", 1.0)
    assert len(box.close()) == 1
    assert len(box.close()) == 1, "a closed day is never closed again"


def test_without_a_sight_of_utc_no_day_is_closed_and_later_all_are(tmp_path):
    box = Calendar(tmp_path, "2026-03-01T16:00")
    box.boot(box.now_s, anchored=False)
    box.until("2026-03-04T17:00", 1.0)
    assert box.close() == []
    box.anchor()
    box.until("2026-03-04T23:00", 1.0)
    box.anchor()
    assert [day["day"] for day in box.close()] == ["2026-03-02", "2026-03-03", "2026-03-04"]


@pytest.mark.parametrize(
    ("start", "until", "hours"),
    [("2026-03-28T23:00", "2026-03-30T01:00", 23), ("2026-10-24T22:00", "2026-10-26T01:00", 25)],
)
def test_a_day_on_which_clocks_change_has_its_own_length(tmp_path, start, until, hours):
    box = Calendar(tmp_path, start, zone="Europe/Berlin")
    box.until(until, 100.0)
    day = box.close()[0]
    assert day["length_ms"] == hours * H
    assert day["standby_ms"] == pytest.approx(hours * H, abs=H / 3)
    assert adds_up(day)


def test_days_without_power_at_the_box_are_unknown_with_that_reason_and_leave_the_streak(tmp_path):
    box = Calendar(tmp_path, "2026-03-01T16:00")
    box.until("2026-03-03T17:00", 1.0)  # two days off
    box.boot(box.now_s + 3 * 86_400)
    box.until("2026-03-08T17:00", 1.0)
    box.anchor()
    days = box.close()
    assert [day["day"][-2:] for day in days] == ["02", "03", "04", "05", "06", "07", "08"]
    assert all(adds_up(day) and abs(day["clock_residual_ms"]) < 2000 for day in days)
    assert days[3]["unknown_reasons_ms"] == {"power_loss": DAY}
    assert [day["days_not_powered"] for day in days] == [1, 2, 2, 2, 2, 3, 4]
    assert [day["unknown_days"] for day in days] == [0, 0, 1, 2, 3, 3, 3]
    assert [day["idle_level"] for day in days] == [1, 2, 2, 2, 2, 3, 3]


def test_a_day_whose_end_is_not_known_within_a_minute_waits_for_a_better_sight_of_utc(tmp_path):
    box = Calendar(tmp_path, "2026-03-01T16:00")
    box.anchor(error_s=100)
    with box.store.write() as change:
        change.execute("delete from anchors where error_ns < 2000000000")
    box.until("2026-03-02T17:00", 1.0)
    assert box.close() == []
    box.anchor()
    assert len(box.close()) == 1


def test_an_interval_that_is_closed_while_the_day_is_counted_counts_once(tmp_path):
    box = Calendar(tmp_path, "2026-03-01T16:00")
    box.until("2026-03-02T17:00", 100.0)
    taken = box.state  # what the daemon's tick took before a bus went on
    box.until("2026-03-02T18:00", 1.0)
    box.daybook.close_due({"xrd-1": taken})
    (day,) = box.close()
    assert day["standby_ms"] + day["unknown_ms"] == DAY
    assert abs(day["clock_residual_ms"]) <= 4


def test_one_powered_minute_ends_the_streak_and_an_unreachable_device_does_not_lengthen_it(tmp_path):
    box = Calendar(tmp_path, "2026-03-01T16:00")
    box.until("2026-03-03T16:00", 1.0)
    box.until("2026-03-04T16:00", None)
    box.until("2026-03-05T16:00", 1.0)
    box.until("2026-03-05T16:30", 100.0)
    box.until("2026-03-06T18:30", 1.0)
    days = box.close()
    assert [day["days_not_powered"] for day in days] == [1, 2, 2, 3, 0]
    assert days[2]["unknown_reasons_ms"]["driver_unavailable"] > 22 * H


def test_a_late_and_better_sight_of_utc_moves_no_second_into_two_days(tmp_path):
    box = Calendar(tmp_path, "2026-03-01T16:00")
    box.anchor(error_s=50)
    box.until("2026-03-02T17:00", 100.0)
    box.close()
    box.now_s += 40  # the box's clock had drifted: now it knows better
    box.anchor(error_s=1)
    box.until("2026-03-03T17:00", 100.0)
    first, second = box.close()
    assert adds_up(first)
    assert adds_up(second)
    watched = first["standby_ms"] + second["standby_ms"] + first["unknown_ms"] + second["unknown_ms"]
    chain = box.state.line.open
    assert watched <= (chain.end_ns // 1_000_000) + 1000


PIECES = st.lists(
    st.tuples(st.sampled_from(["off", "standby", "running", "silent", "dark"]), st.integers(1, 60)),
    min_size=1,
    max_size=12,
)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(PIECES)
def test_any_history_adds_up_day_by_day_with_a_small_residual(tmp_path_factory, pieces):
    box = Calendar(tmp_path_factory.mktemp("days"), "2026-03-01T20:00")
    watts = {"off": 1.0, "standby": 100.0, "running": 2000.0, "silent": None}
    for kind, hours in [*pieces, ("off", 30)]:
        if kind == "dark":
            box.boot(box.now_s + hours * 3600)
        else:
            box.until(datetime.fromtimestamp(box.now_s + hours * 3600, tz=UTC).strftime("%Y-%m-%dT%H:%M"), watts[kind])
        box.anchor()
    days = box.close()
    assert days
    assert all(adds_up(day) for day in days)
    assert all(abs(day["clock_residual_ms"]) < 5000 for day in days)
    assert [day["day"] for day in days] == sorted({day["day"] for day in days})
