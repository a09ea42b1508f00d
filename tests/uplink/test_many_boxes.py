"""A province of boxes does not come to its platform all at once (`make fleet` does the same with 100,000)."""

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

from instrument_agent import upkeep
from instrument_agent.uplink import retry

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import simulated_box
from fleet import MIDNIGHT, OUTAGE, POWER, some
from simulated_box import closing_s

BOXES = 1000
OVER_S = 20
"""With so few boxes a single second is mostly chance."""


def after_an_outage(boxes: int = BOXES) -> tuple[float, float]:
    """Return the requests a second in the worst moment after half an hour without a platform, and what they may be."""
    half_an_hour = replace(OUTAGE, event_s=2220, up_s=2220, end_s=2640)
    count = some(half_an_hour, 0, boxes)
    assert sum(count.in_vain) > 20 * boxes
    return count.worst(half_an_hour.event_s, OVER_S), 1.6 * count.steady(half_an_hour.down_s) + 300 * boxes / 100_000


def after_a_power_cut(boxes: int = BOXES) -> tuple[float, float]:
    return some(replace(POWER, end_s=420), 0, boxes).worst(0, OVER_S), 4000 * boxes / 100_000


def test_an_outage_that_ends_brings_little_more_than_the_heartbeats():
    worst, allowed = after_an_outage()
    assert worst <= allowed


def test_power_that_comes_back_everywhere_is_spread_over_minutes():
    worst, allowed = after_a_power_cut()
    assert worst <= allowed


def test_boxes_that_started_together_do_not_close_their_day_together():
    closing = Counter(int(closing_s(MIDNIGHT, f"box-{number}")) for number in range(100_000))
    assert max(closing.values()) <= 500


def test_without_backoff_and_spread_these_tests_would_fail(monkeypatch):
    monkeypatch.setattr(retry, "_jitter", lambda _state: 40.0)
    worst, allowed = after_an_outage(boxes=200)
    assert worst > allowed
    monkeypatch.setattr(simulated_box, "first_contact_s", lambda _spread_s, _boottime_ns: 0.0)
    worst, allowed = after_a_power_cut(boxes=200)
    assert worst > allowed
    monkeypatch.setattr(upkeep, "DAYS_EVERY_NS", (60_000_000_000, 60_000_000_000))
    assert closing_s(MIDNIGHT, "box-1") == closing_s(MIDNIGHT, "box-2")
