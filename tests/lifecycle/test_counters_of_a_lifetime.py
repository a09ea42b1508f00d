"""What an instrument did in all is what its days and the time around them add up to, and nothing counts twice."""

from contextlib import closing
from pathlib import Path

from calendar_box import OFF_W, RUN_W, STANDBY_W, Calendar

from instrument_agent.buffer.books import save_state
from instrument_agent.buffer.reader import Reader
from instrument_agent.core.readings import NS_PER_MS
from instrument_agent.core.records import Fact, LifecycleWord, RecordType
from instrument_agent.lifetime import counters

HOUR_MS, POLL_MS = 3_600_000, 600_000
ZONE = "Asia/Shanghai"


def lived(box: Calendar, word: LifecycleWord) -> None:
    with box.store.write() as change:
        data = {"event": word.value}
        change.append(Fact(RecordType.LIFECYCLE_EVENT, box.boot_id, box._ns(), data, "xrd-1"))


def told(box: Calendar) -> dict[str, dict[str, int]]:
    with box.store.write() as change:
        save_state(change, "xrd-1", box.state)
    found = counters(box.store, "xrd-1", ZONE)
    with closing(Reader(box.store.path.parent)) as reader:
        assert counters(reader, "xrd-1", ZONE) == found
    return found


def spent(sums: dict[str, int]) -> dict[str, int]:
    return {name: sums[f"{name}_ms"] for name in ("off", "standby", "running")}


def test_closed_days_the_day_that_is_open_and_a_boot_without_a_date_count_once_each(tmp_path: Path) -> None:
    box = Calendar(tmp_path, "2026-11-01T04:00")  # noon in Shanghai
    box.until("2026-11-01T10:00", OFF_W)
    box.until("2026-11-02T04:00", STANDBY_W)
    assert [day["day"] for day in box.close()] == ["2026-11-01"]
    assert spent(told(box)["in_all"]) == {"off": 6 * HOUR_MS, "standby": 18 * HOUR_MS - POLL_MS, "running": 0}
    lived(box, LifecycleWord.COMMISSIONED)
    box.until("2026-11-02T09:00", RUN_W)
    lived(box, LifecycleWord.TRANSFERRED)
    box.until("2026-11-02T20:00", RUN_W)
    assert len(box.close()) == 2
    # A boot that never learns the time is on no day.
    box.boot(box.now_s, anchored=False)
    box.until("2026-11-02T22:00", RUN_W)
    box.boot(box.now_s)
    box.until("2026-11-04T01:00", OFF_W)
    assert len(box.close()) == 3
    found = told(box)
    in_all, commissioned, handed = (found[name] for name in ("in_all", "since_commissioned", "since_transferred"))
    # A day with its first run seen a poll after it began, up to the reboot; and a boot whose first poll is blind too.
    running_ms = (16 * HOUR_MS - POLL_MS) + (2 * HOUR_MS - POLL_MS)
    assert spent(in_all) == {"off": in_all["off_ms"], "standby": 18 * HOUR_MS, "running": running_ms}
    assert in_all["powered_ms"] == running_ms + 18 * HOUR_MS
    # From the midnight before the box came to its last sight it is 81 hours, and each counts once.
    assert sum(in_all[f"{name}_ms"] for name in ("off", "standby", "running", "unknown")) == 81 * HOUR_MS
    assert spent(commissioned) | {"off": 0} == {"off": 0, "standby": POLL_MS, "running": running_ms}
    assert spent(handed) | {"off": 0} == {"off": 0, "standby": 0, "running": running_ms - 5 * HOUR_MS + POLL_MS}
    assert commissioned["off_ms"] == handed["off_ms"] == in_all["off_ms"] - 6 * HOUR_MS


def test_before_a_day_is_closed_the_intervals_alone_are_counted(tmp_path: Path) -> None:
    box = Calendar(tmp_path, "2026-11-01T04:00")
    box.until("2026-11-01T06:00", RUN_W)
    found = told(box)
    assert set(found) == {"in_all"}
    settled_ms = box.state.line.settled_ns // NS_PER_MS
    assert sum(found["in_all"][f"{name}_ms"] for name in ("off", "standby", "running", "unknown")) == settled_ms
