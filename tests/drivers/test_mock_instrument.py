"""The instrument that is not there plays its script, fails on request and repeats a trace."""

import threading
from pathlib import Path

import pytest

from instrument_agent.core.errors import ConfigError, DeviceUnavailable
from instrument_agent.core.readings import Value
from instrument_agent.drivers.mock import FAULTS, MockDriver


class Stage:
    """A mock instrument and the time it goes by."""

    def __init__(self, driver: MockDriver) -> None:
        self.now_s = 500.0
        self.driver = driver
        driver.monotonic = lambda: self.now_s
        driver.open()

    def at(self, seconds: float) -> Value:
        self.now_s = 500.0 + seconds
        return self.driver.read(1.0)["power_w"]


def test_a_script_holds_each_value_for_its_step_and_begins_again() -> None:
    stage = Stage(MockDriver(script=[20.0, 1500.0, 0], step_s=2.0))
    assert [stage.at(seconds) for seconds in (0, 1.9, 2, 3.9, 4, 5.9, 6, 8)] == [20, 20, 1500, 1500, 0, 0, 20, 1500]


def test_each_fault_of_a_script_looks_like_the_device_that_has_it() -> None:
    stage = Stage(MockDriver(script=["unavailable", "nonsense", "absent", "error", 7.0]))
    with pytest.raises(DeviceUnavailable):
        stage.at(0)
    assert stage.at(1) is None
    stage.now_s = 502.0
    assert stage.driver.read(1.0) == {}
    with pytest.raises(RuntimeError):
        stage.at(3)
    assert stage.at(4) == 7.0


def test_a_hanging_instrument_never_returns() -> None:
    stage = Stage(MockDriver(script=["hang"]))
    reader = threading.Thread(target=stage.driver.read, args=(0.01,), daemon=True)
    reader.start()
    reader.join(0.1)
    assert reader.is_alive()


def test_time_goes_on_while_it_is_closed() -> None:
    stage = Stage(MockDriver(script=[1.0, 2.0, 3.0]))
    stage.driver.close()
    stage.now_s += 2.0
    stage.driver.open()
    assert stage.driver.read(1.0) == {"power_w": 3.0}


def test_it_cannot_be_read_before_it_is_opened() -> None:
    with pytest.raises(DeviceUnavailable, match="not open"):
        MockDriver(script=[1.0]).read(1.0)


def test_a_trace_is_played_at_its_own_times_whatever_its_first_time_is(tmp_path: Path) -> None:
    path = tmp_path / "recorded.csv"
    path.write_text("timestamp_s,value\n100,5\n101,6\n103.5,7\n")
    stage = Stage(MockDriver(trace=path))
    assert [stage.at(seconds) for seconds in (0, 0.9, 1, 3.4, 3.5, 4.4, 4.5, 5.5)] == [5, 5, 6, 6, 7, 7, 5, 6]


def test_a_trace_that_is_not_there_says_so_when_it_is_opened(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        MockDriver(trace=tmp_path / "missing.csv").open()


def test_channel_and_unit_are_those_of_the_config() -> None:
    driver = MockDriver(script=[1.0], channel="current_a", unit="A")
    driver.open()
    assert [(channel.name, channel.unit) for channel in driver.channels] == [("current_a", "A")]
    assert driver.read(1.0) == {"current_a": 1.0}


def test_a_number_in_a_recording_without_a_unit_in_its_name_is_a_ratio_and_a_text_a_state(tmp_path: Path) -> None:
    path = tmp_path / "recorded.csv"
    rows = ["0,,,,,driver_unavailable", "1,?,,idle,'5,", "2,1500,0.95,?,?,"]
    path.write_text("\n".join(["timestamp_s,power_w,power_factor,mode,code,failure", *rows, ""]))
    channels = MockDriver(trace=path).channels
    assert {item.name: item.unit for item in channels} == {"power_w": "W", "power_factor": "1", "mode": "", "code": ""}


def test_it_needs_a_script_or_a_trace_and_not_both(tmp_path: Path) -> None:
    for options in ({}, {"script": [1.0], "trace": tmp_path / "t.csv"}):
        with pytest.raises(ConfigError, match="either a script or a trace"):
            MockDriver(**options)


def test_a_fault_it_does_not_know_is_refused_with_those_it_does() -> None:
    with pytest.raises(ConfigError, match="explode") as caught:
        MockDriver(script=[1.0, "explode"])
    assert all(name in caught.value.hint for name in FAULTS)
