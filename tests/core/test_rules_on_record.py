"""Rules come back from a record as they were put into it."""

import pytest

from instrument_agent.core.activity import Rules
from instrument_agent.core.readings import Activity
from instrument_agent.core.records import rules_data, rules_of

TIMES_NS = tuple(number * 1_000_000 for number in (10_000, 20_000, 5_000, 60_000, 300_000))


@pytest.mark.parametrize(
    "rules",
    [
        Rules("power_w", 5.5, 1000.0, 0.1, *TIMES_NS),
        Rules("power_w", 5.0, 1000.0, 800.0, *TIMES_NS, single_readings=True, standby_level=101.3),
        Rules("state", 0.5, 1.5, 1.5, *TIMES_NS, states={"7": Activity.RUNNING, "idle": Activity.STANDBY}),
    ],
)
def test_rules_are_the_same_after_a_record(rules: Rules) -> None:
    assert rules_of(rules_data(rules)) == rules


def test_without_rules_on_record_nothing_is_judged() -> None:
    assert not rules_of(None).calibrated
