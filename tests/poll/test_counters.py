"""An energy counter that jumps back is a fault, until it has proved to be another meter's."""

import logging

import pytest
from boxes import Lab
from fake_clock import FakeClock

from instrument_agent.core.readings import Channel, Observation, Value
from instrument_agent.poll.guard import Guard

ENERGY = "energy_import_kwh"


class Meter(Lab):
    """It says what the acts say, for one channel of kilowatt hours."""

    channel = ENERGY
    unit = "kW.h"

    @property
    def channels(self) -> list[Channel]:
        return [Channel(self.channel, self.unit, 0.0, 1e7)]


def read_all(clock: FakeClock, values: list[Value], channel: str = ENERGY, unit: str = "kW.h") -> list[Value]:
    return read_and_guard(clock, values, channel, unit)[0]


def read_and_guard(
    clock: FakeClock, values: list[Value], channel: str = ENERGY, unit: str = "kW.h"
) -> tuple[list[Value], Guard]:
    meter = Meter([{channel: value} for value in values], clock)
    meter.channel, meter.unit = channel, unit
    guard = Guard("xrd-1", meter, clock, 0.5, 1.0)
    seen: list[Value] = []
    for _ in values:
        reading = guard.read()
        assert isinstance(reading, Observation)
        seen.append(reading.values[channel])
    return seen, guard


def test_a_counter_that_counts_up_or_stands_still_is_believed(clock: FakeClock) -> None:
    values: list[Value] = [10.0, 10.0, 10.1, 5000.0, 5000.0]
    seen, guard = read_and_guard(clock, values)
    assert seen == values
    assert guard.health.backwards == 0


@pytest.mark.parametrize("low", [0.0, 99.99, 1.0])
def test_a_value_lower_than_the_last_is_none_and_the_next_good_one_counts(clock: FakeClock, low: float) -> None:
    assert read_all(clock, [100.0, low, 100.0, low, low, 100.1]) == [100.0, None, 100.0, None, None, 100.1]


def test_a_register_stuck_at_zero_is_never_believed(clock: FakeClock) -> None:
    seen, guard = read_and_guard(clock, [100.0, *[0.0] * 50, 101.0])
    assert seen == [100.0, *[None] * 50, 101.0]
    assert guard.health.backwards == 50


def test_a_meter_that_was_replaced_is_believed_once_it_counts_up(clock: FakeClock) -> None:
    assert read_all(clock, [100.0, 0.1, 0.2, 0.3, 0.4]) == [100.0, None, None, 0.3, 0.4]
    assert read_all(clock, [100.0, *[0.1] * 9, 0.2, 0.2]) == [100.0, *[None] * 9, 0.2, 0.2]


def test_values_without_order_prove_nothing(clock: FakeClock) -> None:
    assert read_all(clock, [100.0, 3.0, 2.0, 50.0, 1.0, 4.0, 0.0]) == [100.0, *[None] * 6]


def test_a_read_that_gave_nothing_proves_nothing_either(clock: FakeClock) -> None:
    assert read_all(clock, [100.0, None, 0.1, None, 100.0]) == [100.0, None, None, None, 100.0]


@pytest.mark.parametrize(
    ("channel", "unit", "watched"),
    [
        ("energy_export_kwh", "kW.h", True),
        ("energy_total_kwh", "kW.h", True),
        ("energy_import_l1_kwh", "kW.h", True),
        ("energy_balance_kwh", "kW.h", False),
        ("energy_import_wh", "W.h", False),
        ("power_w", "W", False),
    ],
)
def test_only_energy_counters_are_watched(clock: FakeClock, channel: str, unit: str, watched: bool) -> None:
    assert read_all(clock, [100.0, 1.0], channel, unit) == [100.0, None if watched else 1.0]


def test_going_backwards_is_said_once_and_counting_on_once(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        read_all(clock, [100.0, 0.1, 0.1, 0.1, 0.2, 0.3])
    assert [record.getMessage() for record in caplog.records] == [
        "xrd-1: energy_import_kwh went backwards, from 100.0 to 0.1",
        "xrd-1: energy_import_kwh counts on from 0.2: the meter was replaced or reset",
    ]
