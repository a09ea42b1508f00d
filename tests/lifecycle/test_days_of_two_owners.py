"""The day on which an instrument changes hands is one day of the instrument, and tells what of it lay before."""

from pathlib import Path

from calendar_box import RULES, RUN_W, STANDBY_W, Calendar, adds_up
from forging import forge
from walked_log import walked_without_head

from instrument_agent.buffer.books import save_configured, save_events, save_state
from instrument_agent.buffer.verify import verify
from instrument_agent.core.observing import cut
from instrument_agent.core.records import Fact, LifecycleWord, RecordType

HOUR_MS, POLL_MS = 3_600_000, 600_000


def handed_over(box: Calendar) -> None:
    with box.store.write() as change:
        box.state, events = cut(RULES, box.state, box._ns())
        save_events(change, "xrd-1", box.state, events)
        data = {"event": LifecycleWord.TRANSFERRED.value}
        change.append(Fact(RecordType.LIFECYCLE_EVENT, box.boot_id, box._ns(), data, "xrd-1"))


def lived(folder: Path) -> tuple[Calendar, list[dict]]:
    """Three days; on the second it runs from 8 to 18, is rebooted at noon, and given away at 14 and at 16."""
    box = Calendar(folder, "2026-10-31T16:00")  # midnight in Shanghai
    with box.store.write() as change:
        save_configured(change, "xrd-1", box.boot_id, box._ns(), {"event": "configured"})
    box.until("2026-11-02T00:00", STANDBY_W)
    box.until("2026-11-02T04:00", RUN_W)
    box.boot(box.now_s)
    box.until("2026-11-02T06:00", RUN_W)
    handed_over(box)
    box.until("2026-11-02T08:00", RUN_W)
    handed_over(box)
    box.until("2026-11-02T10:00", RUN_W)
    box.until("2026-11-03T17:00", STANDBY_W)
    with box.store.write() as change:
        save_state(change, "xrd-1", box.state)
    return box, box.close()


def test_each_owner_finds_his_part_of_the_day_and_the_other_days_have_none(tmp_path: Path) -> None:
    box, days = lived(tmp_path)
    assert [("before_transfers" in day, adds_up(day)) for day in days] == [(False, True), (True, True), (False, True)]
    first, second = days[1]["before_transfers"]
    assert (first["boot_id"], first["at_ms"], second["at_ms"]) == ("boot-2", 2 * HOUR_MS, 4 * HOUR_MS)
    # 8 h standby; a run is seen a poll after it begins, as is each boot and each pair of new books.
    assert first["standby_ms"] == second["standby_ms"] == 8 * HOUR_MS + POLL_MS
    assert first["running_ms"] == (4 * HOUR_MS - POLL_MS) + (2 * HOUR_MS - POLL_MS)
    assert second["running_ms"] == first["running_ms"] + 2 * HOUR_MS - POLL_MS
    assert first["powered_ms"] == first["standby_ms"] + first["running_ms"]
    assert sum(first[f"{name}_ms"] for name in ("off", "standby", "running", "unknown")) == 14 * HOUR_MS
    assert all(first[name] <= second[name] <= days[1][name] for name in first if name not in ("boot_id", "at_ms"))
    report = verify(box.store, None)
    assert report.differences == []
    assert report.proven["days"] == len(days)


def test_a_part_that_does_not_follow_from_the_intervals_is_a_difference(tmp_path: Path) -> None:
    box, _days = lived(tmp_path)
    box.store.close()

    def more(data: dict) -> None:
        data["before_transfers"][0]["running_ms"] += 1

    forge(tmp_path, "2026-11-02", more)
    (difference,) = walked_without_head(tmp_path).differences
    assert "2026-11-02: the intervals give other sums" in difference
