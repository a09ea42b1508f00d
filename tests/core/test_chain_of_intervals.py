"""Joining intervals into a chain."""

import pytest

from instrument_agent.core.ledger import Interval, Timeline, joined, settle, totals_ns
from instrument_agent.core.readings import Activity, UnknownReason


def test_equal_neighbours_become_one():
    chain = joined([Interval(0, 1, Activity.OFF), Interval(1, 2, Activity.OFF), Interval(2, 3, Activity.STANDBY)])
    assert chain == [Interval(0, 2, Activity.OFF), Interval(2, 3, Activity.STANDBY)]


def test_unknown_times_of_different_reasons_stay_apart():
    chain = [
        Interval(0, 1, Activity.UNKNOWN, UnknownReason.POWER_LOSS),
        Interval(1, 2, Activity.UNKNOWN, UnknownReason.DRIVER_HUNG),
    ]
    assert joined(chain) == chain


@pytest.mark.parametrize("start_ns", [0, 2])
def test_a_hole_or_an_overlap_is_an_error(start_ns: int):
    with pytest.raises(ValueError, match="hole or an overlap"):
        joined([Interval(0, 1, Activity.OFF), Interval(start_ns, 3, Activity.OFF)])


def test_settling_to_where_it_is_settled_changes_nothing():
    line = Timeline(Interval(0, 5, Activity.OFF))
    assert settle(line, 5) == (line, ())
    assert settle(line, 3) == (line, ())


def test_totals_have_every_activity():
    assert totals_ns([Interval(3, 5, Activity.RUNNING), Interval(5, 6, Activity.RUNNING)]) == {
        Activity.OFF: 0,
        Activity.STANDBY: 0,
        Activity.RUNNING: 3,
        Activity.UNKNOWN: 0,
    }
