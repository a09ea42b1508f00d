"""An instrument that tells its state itself: what its words mean stands in the activity table."""

from pathlib import Path

import pytest
from written import loaded, mistakes_in

from instrument_agent.config import InstrumentConfig, InvalidConfig
from instrument_agent.core.readings import Activity

BOX = """\
[box]
id = "box-1"
[[instrument]]
id = "laser-1"
driver = { name = "mock", script = [1], channel = "lamp" }
[instrument.activity]
channel = "lamp"
"""


def laser(tmp_path: Path, activity: str) -> InstrumentConfig:
    [instrument] = loaded(tmp_path, BOX + activity).instruments
    return instrument


def mistakes(tmp_path: Path, activity: str) -> list[tuple[str, str]]:
    found = mistakes_in(tmp_path, BOX + activity)
    return [(mistake.key.removeprefix("instrument[1].activity."), mistake.problem) for mistake in found]


def test_words_get_their_meaning(tmp_path: Path):
    rules = laser(tmp_path, 'states = { closed = "running", open = "standby" }').activity.rules()
    assert rules.states == {"closed": Activity.RUNNING, "open": Activity.STANDBY}


def test_states_and_thresholds_exclude_each_other(tmp_path: Path):
    text = 'states = { closed = "running" }\noff_below = 1\nrun_above = 2'
    assert [key for key, _problem in mistakes(tmp_path, text)] == ["off_below", "run_above"]


def test_with_neither_states_nor_thresholds_there_is_nothing_to_judge_by(tmp_path: Path):
    activity = laser(tmp_path, "min_on_s = 5").activity
    assert (activity.told, activity.rules().calibrated) == (False, False)
    assert laser(tmp_path, "off_below = 5\nrun_above = 50").activity.rules().calibrated
    assert laser(tmp_path, 'states = { closed = "running" }').activity.rules().calibrated


def test_without_an_activity_table_the_agent_learns_by_the_usual_channel(tmp_path: Path):
    bare = BOX.partition("[instrument.activity]")[0]
    [instrument] = loaded(tmp_path, bare.replace(', channel = "lamp"', "")).instruments
    assert (instrument.activity.channel, instrument.activity.told) == ("power_w", False)
    with pytest.raises(InvalidConfig, match="does not read this channel"):
        loaded(tmp_path, bare)


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ("off_below", ["run_above"]),
        ("run_above", ["off_below"]),
        ("run_below", ["off_below", "run_above"]),
        ("standby_level", ["off_below", "run_above"]),
    ],
)
def test_thresholds_that_are_given_by_halves_are_a_mistake(tmp_path: Path, given: str, missing: list[str]):
    assert mistakes(tmp_path, f"{given} = 5") == [(key, "this key is required") for key in missing]


@pytest.mark.parametrize("states", ["{}", "3", '{ closed = "runing" }', "{ closed = 1 }", '["running"]'])
def test_states_that_mean_nothing_are_a_mistake_of_their_own(tmp_path: Path, states: str):
    [(key, problem)] = mistakes(tmp_path, f"states = {states}")
    assert key == "states"
    assert "state" in problem


REGISTER = """\
[box]
id = "box-1"
[[instrument]]
id = "laser-1"
[instrument.driver]
name = "modbus"
host = "192.0.2.10"
[[instrument.driver.registers]]
channel = "state"
function = 3
address = 16
type = "uint16"
states = { 0 = "idle", 1 = "measuring" }
[instrument.activity]
channel = "state"
"""


def told(tmp_path: Path, activity: str) -> list[tuple[int | None, str, str]]:
    return [(mistake.line, mistake.problem, mistake.hint) for mistake in mistakes_in(tmp_path, REGISTER + activity)]


def test_thresholds_for_a_channel_that_tells_states_are_a_mistake(tmp_path: Path):
    [(line, problem, hint)] = told(tmp_path, "off_below = 5\nrun_above = 10")
    assert (line, problem) == (15, "this channel tells states, not numbers")
    assert 'states = { idle = "running", measuring = "running" }' in hint


def test_a_state_that_the_driver_never_tells_is_a_mistake_with_the_nearest_one(tmp_path: Path):
    [(line, problem, hint)] = told(tmp_path, 'states = { idle = "standby", mesuring = "running" }')
    assert (line, problem, hint) == (16, "the driver never tells this state", "did you mean measuring?")


def test_a_code_without_a_text_may_be_given_a_meaning(tmp_path: Path):
    text = REGISTER + 'states = { idle = "standby", measuring = "running", 7 = "off" }'
    assert loaded(tmp_path, text).instruments[0].activity.rules().states is not None
