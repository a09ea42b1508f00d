"""A province of boxes does not come to its platform all at once (`make fleet` does the same with 100,000)."""

import importlib.util
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from instrument_agent import upkeep
from instrument_agent.uplink import retry

BOXES = 1000
OVER_S = 20
"""With so few boxes a single second is mostly chance."""


@pytest.fixture(scope="module")
def fleet() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "fleet.py"
    spec = importlib.util.spec_from_file_location("fleet", path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fleet"] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


def after_an_outage(fleet: ModuleType, boxes: int = BOXES) -> tuple[float, float]:
    """Return the requests a second in the worst moment after half an hour without a platform, and what they may be."""
    half_an_hour = replace(fleet.OUTAGE, event_s=2220, up_s=2220, end_s=2640)
    count = fleet.some(half_an_hour, 0, boxes)
    assert sum(count.in_vain) > 20 * boxes
    return count.worst(half_an_hour.event_s, OVER_S), 1.6 * count.steady(half_an_hour.down_s) + 300 * boxes / 100_000


def after_a_power_cut(fleet: ModuleType, boxes: int = BOXES) -> tuple[float, float]:
    return fleet.some(replace(fleet.POWER, end_s=420), 0, boxes).worst(0, OVER_S), 4000 * boxes / 100_000


def test_an_outage_that_ends_brings_little_more_than_the_heartbeats(fleet):
    worst, allowed = after_an_outage(fleet)
    assert worst <= allowed


def test_power_that_comes_back_everywhere_is_spread_over_minutes(fleet):
    worst, allowed = after_a_power_cut(fleet)
    assert worst <= allowed


def test_boxes_that_started_together_do_not_close_their_day_together(fleet):
    closing = Counter(int(fleet.closing_s(fleet.MIDNIGHT, f"box-{number}")) for number in range(100_000))
    assert max(closing.values()) <= 500


def test_without_backoff_and_spread_these_tests_would_fail(fleet, monkeypatch):
    monkeypatch.setattr(retry, "_jitter", lambda _state: 40.0)
    worst, allowed = after_an_outage(fleet, boxes=200)
    assert worst > allowed
    monkeypatch.setattr(fleet, "first_contact_s", lambda _spread_s, _boottime_ns: 0.0)
    worst, allowed = after_a_power_cut(fleet, boxes=200)
    assert worst > allowed
    monkeypatch.setattr(upkeep, "DAYS_EVERY_NS", (60_000_000_000, 60_000_000_000))
    assert fleet.closing_s(fleet.MIDNIGHT, "box-1") == fleet.closing_s(fleet.MIDNIGHT, "box-2")
