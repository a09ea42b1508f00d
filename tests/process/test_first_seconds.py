"""What `status` says of an instrument that has only just been begun to be watched."""

from pathlib import Path

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


def coverage(config: Config, readings: list[Reading], health: Health) -> float | None:
    """Return what is said after these readings."""
    rules = config.instruments[0].activity.rules()
    state = begin("boot", STARTED_NS)
    for reading in readings:
        state, _events = step(rules, state, reading)
    now = live(rules, state, readings[-1].at_ns)
    found: float | None = instrument_now(config.instruments[0], Watched(rules, state), now, health)["coverage"]
    return found


def test_before_its_first_reading_is_settled_a_good_instrument_has_no_coverage_yet(config: Config) -> None:
    first = Observation(STARTED_NS + NS_PER_S // 5, {"power_w": 100.0})
    assert coverage(config, [first], Health(reads=1)) is None


def test_an_instrument_that_is_read_is_covered_from_its_second_reading_on(config: Config) -> None:
    readings = [Observation(STARTED_NS + second * NS_PER_S, {"power_w": 100.0}) for second in range(1, 11)]
    found = coverage(config, [*readings], Health(reads=10))
    assert found is not None
    assert found > 0.8


def test_an_instrument_that_does_not_answer_is_not_covered_from_the_start(config: Config) -> None:
    readings = [FailedRead(STARTED_NS + second * NS_PER_S, SILENCE) for second in (1, 2)]
    assert coverage(config, [*readings], Health(failures=2, failing=SILENCE)) == 0.0
