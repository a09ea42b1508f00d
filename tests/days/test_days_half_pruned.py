"""A day is not called wrong because what it was counted from is no longer there, or never was."""

from pathlib import Path

import pytest
from calendar_box import OFF_W, RUN_W, STANDBY_W, Calendar, utc_s

from instrument_agent.buffer.books import save_configured, save_state
from instrument_agent.buffer.outbox import Outbox
from instrument_agent.buffer.retention import KEPT_NS, prune
from instrument_agent.buffer.verify import verify
from instrument_agent.core.anchors import Utc
from instrument_agent.core.readings import NS_PER_S


def proven_and_not(box: Calendar) -> tuple[int, int]:
    with box.store.write() as change:
        save_state(change, "xrd-1", box.state)
    report = verify(box.store, None)
    assert report.differences == []
    return report.proven["days"], report.unproven["days"]


def test_a_day_counted_in_a_boot_that_left_nothing_is_not_called_wrong(tmp_path: Path) -> None:
    box = Calendar(tmp_path, "2026-03-01 16:00")
    box.until("2026-03-02 10:00", RUN_W)
    box.boot(utc_s("2026-03-02 17:00"))
    assert len(box.close()) == 1, "the night is over, and known to be"
    box.boot(utc_s("2026-03-02 17:30"))
    box.until("2026-03-03 18:00", STANDBY_W)
    assert len(box.close()) == 2
    assert proven_and_not(box) == (1, 1)


def test_a_day_of_which_only_the_intervals_of_the_morning_are_pruned_is_not_called_wrong(tmp_path: Path) -> None:
    box = Calendar(tmp_path, "2026-03-01 20:00")
    with box.store.write() as change:
        save_configured(change, "xrd-1", box.boot_id, box._ns(), {"event": "configured"})
    for day, watts in ((2, RUN_W), (3, STANDBY_W), (4, RUN_W)):
        box.until(f"2026-03-0{day} 02:00", OFF_W)
        box.until(f"2026-03-0{day} 20:00", watts)
        box.anchor()
        box.close()
    assert proven_and_not(box) == (3, 0), "the first day, too, though it begins in the middle"
    Outbox(box.store, "province").settle(box.store.rows("select max(id) from records")[0][0], {}, box.boot_id, 1)
    later = Utc(utc_s("2026-03-03 21:00") * NS_PER_S + KEPT_NS, NS_PER_S)
    assert prune(box.store, later, ["province"]).intervals > 0
    assert box.store.rows("select count(*) from roots") == [(0,)], "its epoch goes on"
    assert proven_and_not(box) == (1, 2), "the last day is there as it was"


@pytest.mark.parametrize("known_later", [True, False], ids=["it never knew the time", "it was cut short at once"])
def test_the_first_day_is_proven_whatever_became_of_the_first_boot(tmp_path: Path, *, known_later: bool) -> None:
    box = Calendar(tmp_path, "2026-03-01 20:00")
    box.boot(box.now_s, anchored=False)
    with box.store.write() as change:
        save_configured(change, "xrd-1", box.boot_id, box._ns(), {"event": "configured"})
    if known_later:
        box.until("2026-03-02 02:00", RUN_W)
    box.boot(utc_s("2026-03-02 03:00"))
    box.until("2026-03-02 20:00", STANDBY_W)
    assert box.close()[0]["unknown_reasons_ms"].keys() == {"undated" if known_later else "not_watched", "power_loss"}
    assert proven_and_not(box) == (1, 0)


def test_a_first_boot_that_left_nothing_does_not_hide_that_the_next_one_is_pruned(tmp_path: Path) -> None:
    box = Calendar(tmp_path, "2026-03-01 20:00")
    box.boot(box.now_s, anchored=False)
    with box.store.write() as change:
        save_configured(change, "xrd-1", box.boot_id, box._ns(), {"event": "configured"})
    box.boot(utc_s("2026-03-01 21:00"))
    for until, watts in (("2026-03-02 02:00", OFF_W), ("2026-03-02 20:00", RUN_W), ("2026-03-03 20:00", STANDBY_W)):
        box.until(until, watts)
        box.anchor()
    assert len(box.close()) == 2
    assert proven_and_not(box) == (2, 0)
    Outbox(box.store, "province").settle(box.store.rows("select max(id) from records")[0][0], {}, box.boot_id, 1)
    later = Utc(utc_s("2026-03-02 21:00") * NS_PER_S + KEPT_NS, NS_PER_S)
    assert prune(box.store, later, ["province"]).intervals > 0
    assert box.store.rows("select count(*) from roots") == [(0,)]
    assert proven_and_not(box)[1] > 0
