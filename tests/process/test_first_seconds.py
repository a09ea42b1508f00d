"""What `status` says of an instrument that has only just been begun to be watched."""

from pathlib import Path
from typing import Any

import pytest

from instrument_agent.config import Config, load_config
from instrument_agent.core.readings import NS_PER_S, FailedRead, Observation, Reading, UnknownReason
from instrument_agent.core.step import begin, live, step
from instrument_agent.poll.guard import Health
from instrument_agent.poll.recorder import Watched
from instrument_agent.snapshot import instrument_now

CONFIG = """
[box]
id = "box-1"
[[instrument]]
id = "xrd-1"
driver = { name = "mock", script = [1.0] }
activity = { off_below = 5, run_above = 500 }
"""
STARTED_NS = 1000 * NS_PER_S
SILENCE = UnknownReason.DRIVER_UNAVAILABLE


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "config.toml").write_text(CONFIG, encoding="utf-8")
    return load_config(tmp_path / "config.toml")


def told(config: Config, readings: list[Reading], health: Health) -> dict[str, Any]:
    """Return what is said after these readings."""
    rules = config.instruments[0].activity.rules()
    state = begin("boot", STARTED_NS)
    for reading in readings:
        state, _events = step(rules, state, reading)
    now = live(rules, state, readings[-1].at_ns)
    last = next((item for item in reversed(readings) if isinstance(item, Observation)), None)
    return instrument_now(config.instruments[0], Watched(rules, state, last), now, health)


def test_before_its_first_reading_is_settled_a_good_instrument_has_no_coverage_yet(config: Config) -> None:
    first = Observation(STARTED_NS + NS_PER_S // 5, {"power_w": 100.0})
    assert told(config, [first], Health(reads=1))["coverage"] is None


def test_an_instrument_that_is_read_is_covered_from_its_second_reading_on(config: Config) -> None:
    readings = [Observation(STARTED_NS + second * NS_PER_S, {"power_w": 100.0}) for second in range(1, 11)]
    found = told(config, [*readings], Health(reads=10))
    assert found["coverage"] > 0.8
    assert found["driver"]["error"] == ""


def test_an_instrument_that_does_not_answer_is_not_covered_from_the_start(config: Config) -> None:
    readings = [FailedRead(STARTED_NS + second * NS_PER_S, SILENCE) for second in (1, 2)]
    assert told(config, [*readings], Health(failures=2, failing=SILENCE))["coverage"] == 0.0


def test_an_instrument_that_answers_without_what_is_judged_has_a_problem(config: Config) -> None:
    readings = [Observation(STARTED_NS + second * NS_PER_S, {"voltage_v": 230.0}) for second in range(1, 11)]
    driver = told(config, [*readings], Health(reads=10))["driver"]
    assert "without power_w" in driver["error"]
    assert "profile" in driver["hint"]
