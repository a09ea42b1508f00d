"""Pulses of an energy meter: the time between two is power, and what is no pulse counts for nothing."""

from collections.abc import Iterator

import pytest
from gpiozero.pins.mock import MockFactory
from hypothesis import given, settings
from hypothesis import strategies as st
from pins import WatchedPin, outputs, simulated_pins

from instrument_agent.core.errors import DeviceUnavailable
from instrument_agent.drivers.pulse import PulseDriver
from instrument_agent.drivers.pulse_train import PulseTrain

PULSE_S = 0.03


class Meter:
    """A meter on pin 22 with 1,000 pulses a kilowatt-hour, and the time it goes by."""

    def __init__(self, board: MockFactory) -> None:
        self.now_s = 100.0
        self.pin = board.pin(22)
        self.driver = PulseDriver(pin=22, pulses_per_kwh=1000)
        self.driver.monotonic = lambda: self.now_s
        self.driver.open()

    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    def pulse(self, length_s: float = PULSE_S) -> None:
        self.pin.drive_low()
        self.wait(length_s)
        self.pin.drive_high()

    def pulses(self, count: int, every_s: float) -> None:
        for _pulse in range(count):
            self.wait(every_s - PULSE_S)
            self.pulse()

    def read(self) -> dict[str, object]:
        return dict(self.driver.read(1.0))


@pytest.fixture
def meter() -> Iterator[Meter]:
    with simulated_pins() as board:
        connected = Meter(board)
        yield connected
        connected.driver.close()


def test_the_time_between_two_pulses_is_power(meter: Meter) -> None:
    meter.pulses(2, every_s=2.4)
    assert meter.read() == {"power_w": pytest.approx(1500, rel=1e-3), "counted_kwh": 0.002}
    meter.pulses(1, every_s=1.2)
    assert meter.read() == {"power_w": pytest.approx(3000, rel=1e-3), "counted_kwh": 0.003}


def test_a_pulse_that_is_overdue_makes_the_power_fall_to_what_it_can_be_at_most(meter: Meter) -> None:
    meter.pulses(2, every_s=2.4)
    for quiet_s, power_w in ((2.3, 1500), (4.8, 750), (36, 100), (3600, 1)):
        begun_s = meter.now_s
        meter.now_s = begun_s - PULSE_S + quiet_s
        assert meter.read()["power_w"] == pytest.approx(power_w, rel=1e-3)
        meter.now_s = begun_s


def test_before_the_second_pulse_there_is_no_power_to_tell(meter: Meter) -> None:
    assert meter.read() == {"counted_kwh": 0.0}
    meter.wait(100)
    meter.pulse()
    assert meter.read() == {"counted_kwh": 0.001}


def test_a_silence_that_proves_little_power_is_told_from_the_start(meter: Meter) -> None:
    meter.wait(179)
    assert "power_w" not in meter.read()
    meter.wait(1)
    assert meter.read()["power_w"] == pytest.approx(20.0)


def test_a_chattering_contact_is_one_pulse(meter: Meter) -> None:
    for _pulse in range(2):
        meter.wait(2.0)
        for length_s in (0.001, 0.0005, 0.002, PULSE_S, 0.001, 0.003):
            meter.pulse(length_s)
            meter.wait(0.0005)
    meter.wait(0.1)
    assert meter.read()["counted_kwh"] == 0.002


def test_a_spike_is_no_pulse(meter: Meter) -> None:
    meter.pulses(2, every_s=2.4)
    meter.wait(1.0)
    meter.pulse(0.005)
    meter.wait(0.1)
    assert meter.read() == {"power_w": pytest.approx(1500, rel=1e-3), "counted_kwh": 0.002}


def test_a_pulse_that_has_not_ended_counts_already(meter: Meter) -> None:
    meter.wait(1.0)
    meter.pin.drive_low()
    assert meter.read()["counted_kwh"] == 0.0
    meter.wait(0.02)
    assert meter.read()["counted_kwh"] == 0.001


def test_edges_that_are_told_of_late_keep_their_time(meter: Meter) -> None:
    meter.pulses(1, every_s=2.4)
    meter.wait(2.4 + 0.2)  # both edges of the second pulse reach us 0.2 s late, within a moment of each other
    meter.pin.late_s = 0.2 + PULSE_S
    meter.pin.drive_low()
    meter.pin.late_s = 0.2
    meter.pin.drive_high()
    assert meter.read() == {"power_w": pytest.approx(1500, rel=0.02), "counted_kwh": 0.002}


@pytest.mark.parametrize("late_s", [-1.7e9, 1.7e9])
def test_a_time_stamp_of_another_clock_is_not_believed(meter: Meter, late_s: float) -> None:
    meter.pin.late_s = late_s
    meter.pulses(2, every_s=2.4)
    assert meter.read()["power_w"] == pytest.approx(1500, rel=1e-3)


def test_an_edge_nobody_told_of_is_seen_by_the_level(meter: Meter) -> None:
    meter.wait(1.0)
    meter.pin._state = False
    meter.read()
    meter.wait(PULSE_S)
    assert meter.read()["counted_kwh"] == 0.001


def test_counting_begins_anew_when_the_pin_is_opened_again(meter: Meter) -> None:
    meter.pulses(5, every_s=2.4)
    meter.driver.close()
    meter.pulses(5, every_s=2.4)
    with pytest.raises(DeviceUnavailable, match="not open"):
        meter.read()
    meter.driver.open()
    assert meter.read() == {"counted_kwh": 0.0}
    meter.pulses(1, every_s=2.4)
    assert meter.read() == {"counted_kwh": 0.001}


def test_the_pin_is_an_input_from_open_to_close(meter: Meter) -> None:
    meter.pulses(2, every_s=2.4)
    meter.read()
    meter.driver.close()
    assert WatchedPin.functions
    assert outputs() == set()


@settings(max_examples=50)
@given(lengths=st.lists(st.floats(0.0, 0.1), min_size=1, max_size=60))
def test_as_many_pulses_are_counted_as_levels_lasted_after_a_level_that_lasted(lengths: list[float]) -> None:
    train, now_s, closed = PulseTrain(0.01, 0.0, closed=False), 1.0, False
    times = [now_s]
    for length_s in lengths:
        closed = not closed
        train.edge(now_s, closed=closed)
        now_s += length_s
        times.append(now_s)
    train.settle(now_s)
    lasted = [index % 2 == 0 for index in range(len(lengths)) if times[index + 1] - times[index] >= 0.01]
    expected = sum(level and not before for before, level in zip([False, *lasted], lasted, strict=False))
    assert train.count == expected
