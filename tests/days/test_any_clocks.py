"""Whatever clocks, zones, boots and closings a box has seen: no hour is lost or in two days, and verify agrees."""

import random
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from calendar_box import OFF_W, RUN_W, STANDBY_W, Calendar, adds_up

from instrument_agent.buffer.books import anchors, intervals, save_anchor, save_state
from instrument_agent.buffer.verify import verify
from instrument_agent.core.anchors import Anchor, Sights
from instrument_agent.core.days import midnights
from instrument_agent.core.readings import NS_PER_MS, NS_PER_S, Activity
from instrument_agent.daybook import Daybook

ZONES = ("Asia/Shanghai", "Europe/Berlin", "America/New_York", "Africa/Cairo", "Pacific/Kiritimati", "Pacific/Midway")
STARTS = ("2026-03-06T10:00", "2026-10-23T21:00", "2026-10-30T23:00", "2026-04-22T12:00")
LOOSE_MS = 70_000
"""An anchor may be 30 s off, at both ends of a day."""


def lived(folder: Path, seed: int, *, misled: bool) -> tuple[Calendar, list[dict[str, Any]]]:
    """Live through some days with reboots, other zones, late and missing sights of UTC; ``misled``: false ones."""
    rnd = random.Random(seed)
    box = Calendar(folder, rnd.choice(STARTS), zone=rnd.choice(ZONES))

    def on(hours: float, watts: float | None) -> None:
        later = datetime.fromtimestamp(box.now_s + round(hours * 3600), UTC)
        box.until(later.strftime("%Y-%m-%dT%H:%M:%S"), watts)

    def false_clock() -> None:
        on(0.2, OFF_W)
        utc_ns = (box.now_s + 86_400 * rnd.choice((-400, -20, -1, 1, 20, 400))) * NS_PER_S
        with box.store.write() as change:
            save_anchor(change, Anchor(box.boot_id, box._ns(), utc_ns, NS_PER_S, "ntp"))

    def another_zone() -> None:
        box.daybook = Daybook(box.store, rnd.choice(ZONES), (1, 2, 3))

    def sight() -> None:
        on(0.2, OFF_W)
        box.anchor(rnd.choice((1.0, 30.0)))

    happenings: list[Callable[[], object]] = [
        *[lambda: on(rnd.choice((0.2, 5, 13, 26, 50)), rnd.choice((OFF_W, STANDBY_W, RUN_W, None)))] * 5,
        *[lambda: box.boot(box.now_s + rnd.choice((30, 7200, 90_000, 300_000)), anchored=rnd.random() < 0.7)] * 2,
        *[sight, box.close, another_zone],
        *([false_clock] if misled else []),
    ]
    for _happening in range(rnd.randrange(5, 25)):
        rnd.choice(happenings)()
    for _sight in range(2):
        on(7, OFF_W)
        sight()
    return box, box.close()


def running_ms(box: Calendar, from_ns: int, to_ns: int) -> float:
    """Return how long it ran between two moments, in the boots that have a sight of UTC."""
    spent_ns = 0
    for (boot_id,) in box.store.rows("select distinct boot_id from anchors"):
        clock = Sights(anchors(box.store, boot_id)).utc
        chain = [*intervals(box.store, "xrd-1", boot_id), *([box.state.line.open] if boot_id == box.boot_id else [])]
        for item in (item for item in chain if item.activity is Activity.RUNNING):
            start_ns, end_ns = clock(item.start_ns).utc_ns, clock(item.end_ns).utc_ns
            spent_ns += max(0, min(end_ns, to_ns) - max(start_ns, from_ns))
    return spent_ns / NS_PER_MS


@pytest.mark.parametrize("misled", [False, True], ids=["honest clocks", "false clocks"])
@pytest.mark.parametrize("seed", range(4))
def test_days_follow_each_other_without_a_hole_and_hold_what_was_seen(tmp_path: Path, seed: int, misled: bool):
    box, days = lived(tmp_path, seed, misled=misled)
    with box.store.write() as change:
        save_state(change, "xrd-1", box.state)
    assert verify(box.store, None).differences == []
    assert all(adds_up(day) for day in days)
    if not days or misled:
        return
    first, last = (midnights(date.fromisoformat(day["day"]), ZoneInfo(day["zone"])) for day in (days[0], days[-1]))
    assert sum(day["length_ms"] for day in days) == (last[1] - first[0]) // NS_PER_MS
    assert all(abs(day["clock_residual_ms"]) <= LOOSE_MS for day in days)
    assert sum(day["running_ms"] for day in days) == pytest.approx(running_ms(box, first[0], last[1]), abs=2 * LOOSE_MS)
