"""What is drawn of a day is what the facts say: where one may be missing nobody knows."""

from dataclasses import replace

import pytest
from told_facts import BOOT_NOW_MS, NOW_MS, H, gap, power, run, tell
from wire_box import Box

from instrument_agent.core.readings import Activity
from instrument_agent.receiver import Ledger
from instrument_agent.receiver.timeline import Stretch, painted, timeline

OFF, STANDBY, RUNNING, UNKNOWN = Activity.OFF, Activity.STANDBY, Activity.RUNNING, Activity.UNKNOWN


def drawn(ledger: Ledger) -> list[tuple[float, float, Activity]]:
    """The last 24 h in hours of the box's boot clock."""
    with ledger.engine.begin() as connection:
        stretches = timeline(connection, "box-1", "炉-1", NOW_MS - 24 * H, NOW_MS)
    offset_ms = NOW_MS - BOOT_NOW_MS
    return [((s.start_ms - offset_ms) / H, (s.end_ms - offset_ms) / H, s.activity) for s in stretches]


def test_what_is_shown_is_what_the_facts_say(shown: Box, ledger: Ledger) -> None:
    tell(shown, gap(8, 9), run(10, 12), power(9, 14), gap(20, 21), run(18, 19), power(17, 22, 1))
    assert drawn(ledger) == [
        (6, 9, UNKNOWN),  # before the first fact nobody knows
        (9, 10, STANDBY),
        (10, 12, RUNNING),
        (12, 14, STANDBY),
        (14, 17, OFF),
        (17, 18, STANDBY),
        (18, 19, RUNNING),
        (19, 20, STANDBY),
        (20, 21, UNKNOWN),
        (21, 22, STANDBY),
        (22, 30, UNKNOWN),  # a power session may be open: that it was off is for nobody to say yet
    ]


def test_where_a_record_is_missing_that_may_be_a_gap_nothing_is_off(shown: Box, ledger: Ledger) -> None:
    tell(shown, power(9, 11), power(14, 15), gap(16, 17), power(19, 20), missing=4)
    assert drawn(ledger)[2:] == [
        (11, 14, OFF),
        (14, 15, STANDBY),
        (15, 19, UNKNOWN),
        (19, 20, STANDBY),
        (20, 30, UNKNOWN),
    ]


def test_nor_where_one_was_refused(shown: Box, ledger: Ledger) -> None:
    bad = gap(16, 17)
    bad[1]["reason"] = 7
    with pytest.raises(AssertionError, match="schema"):
        tell(shown, power(9, 11), power(14, 15), bad, power(19, 20))
    assert (15, 19, UNKNOWN) in drawn(ledger)


@pytest.mark.parametrize(("missing", "between"), [(0, OFF), (3, UNKNOWN)])
def test_an_epoch_goes_on_where_the_one_before_it_ended_if_all_of_that_is_here(
    shown: Box, ledger: Ledger, missing: int, between: Activity
) -> None:
    tell(shown, power(9, 11), gap(12, 13), missing=missing)
    second = replace(shown, epoch="1c65d80c-8d4d-4b94-8e3f-4b2a4f6b3c21")
    tell(second, power(14, 15), after=shown.epoch)
    assert (13 if not missing else 11, 14, between) in drawn(ledger)


def test_time_before_a_gap_is_not_off_while_a_power_session_may_be_open(shown: Box, ledger: Ledger) -> None:
    tell(shown, power(9, 14), gap(20, 21))
    assert drawn(ledger)[-3:] == [(6, 9, UNKNOWN), (9, 14, STANDBY), (14, 30, UNKNOWN)]


def test_heartbeats_tell_what_no_fact_tells_yet(shown: Box, ledger: Ledger) -> None:
    tell(shown, power(9, 14))
    for since_h, activity in ((14, "off"), (25, "standby")):
        live = [{"instrument_id": "炉-1", "activity": activity, "since_ms": since_h * H}]
        shown.beat(boottime_ms=BOOT_NOW_MS, instruments=live)
    assert drawn(ledger) == [(6, 9, UNKNOWN), (9, 14, STANDBY), (14, 25, OFF), (25, 30, STANDBY)]


def test_without_a_sight_of_utc_nothing_is_drawn_from_facts(shown: Box, ledger: Ledger) -> None:
    shown.send(shown.chain(3))
    assert drawn(ledger) == [(6, 30, UNKNOWN)]


def test_paint_leaves_no_hole_and_no_overlap() -> None:
    layers = [Stretch(0, 50, STANDBY), Stretch(10, 20, RUNNING), Stretch(40, 90, OFF), Stretch(95, 200, RUNNING)]
    assert painted(layers, 5, 100) == [
        Stretch(5, 10, STANDBY),
        Stretch(10, 20, RUNNING),
        Stretch(20, 40, STANDBY),
        Stretch(40, 90, OFF),
        Stretch(90, 95, UNKNOWN),
        Stretch(95, 100, RUNNING),
    ]
