"""Two that watch the same instrument: which of their words contradict each other, and after how long that is told."""

from dataclasses import replace

import pytest

from instrument_agent.core.activity import Rules
from instrument_agent.core.readings import NS_PER_S, Activity
from instrument_agent.core.step import Live
from instrument_agent.core.witness import PATIENCE_NS, Pair, Statement, contradicting_since, witness_fault

OFF, STANDBY, RUNNING, UNKNOWN = Activity
CLAMP = Rules("power_w", 5.0, 100.0, 100.0, 60 * NS_PER_S, 120 * NS_PER_S, 10 * NS_PER_S, 60 * NS_PER_S, 300 * NS_PER_S)
LAMP = replace(CLAMP, channel="contact", states={"closed": RUNNING, "open": STANDBY})
RELAY = replace(CLAMP, channel="contact", states={"closed": STANDBY, "open": OFF})
LONG_NS = PATIENCE_NS + 120 * NS_PER_S
"""The longest minimum time of these rules is two minutes."""


def said(rules: Rules, activity: Activity, since_ns: int = 0) -> Statement:
    return Statement(rules, Live(activity, since_ns))


@pytest.mark.parametrize(
    ("other", "one_says", "other_says"),
    [
        (CLAMP, OFF, RUNNING),
        (CLAMP, RUNNING, OFF),
        (RELAY, RUNNING, OFF),
        (LAMP, OFF, RUNNING),
        (LAMP, RUNNING, STANDBY),  # the lamp was asked whether it runs, and is dark
    ],
)
def test_these_contradict_each_other_whichever_is_the_witness(
    other: Rules, one_says: Activity, other_says: Activity
) -> None:
    one, two = said(CLAMP, one_says, 7), said(other, other_says, 9)
    assert contradicting_since(None, one, two, 9 + LONG_NS) == 9
    assert contradicting_since(None, two, one, 9 + LONG_NS) == 9


@pytest.mark.parametrize(
    ("other", "one_says", "other_says"),
    [
        *((CLAMP, activity, activity) for activity in Activity),
        *((CLAMP, activity, STANDBY) for activity in (OFF, RUNNING)),
        *((rules, UNKNOWN, activity) for rules in (CLAMP, LAMP) for activity in Activity),
        (LAMP, OFF, STANDBY),
        (LAMP, STANDBY, RUNNING),
        (RELAY, RUNNING, STANDBY),  # a main switch never says more than "on"
    ],
)
def test_these_do_not(other: Rules, one_says: Activity, other_says: Activity) -> None:
    one, two = said(CLAMP, one_says), said(other, other_says)
    assert contradicting_since(None, one, two, 10 * LONG_NS) is None
    assert contradicting_since(None, two, one, 10 * LONG_NS) is None


def test_it_is_told_only_after_half_an_hour_and_the_longest_minimum_time_of_both() -> None:
    one, other = said(CLAMP, RUNNING, 3), said(LAMP, STANDBY, 5)
    assert contradicting_since(None, one, other, 5 + LONG_NS - 1) is None
    assert contradicting_since(None, one, other, 5 + LONG_NS) == 5
    for limits in ({"min_on_ns": 2 * LONG_NS}, {"min_off_ns": 2 * LONG_NS}, {"off_settle_ns": 2 * LONG_NS}):
        slow = Statement(replace(LAMP, **limits), other.now)
        assert contradicting_since(None, one, slow, 5 + PATIENCE_NS + 2 * LONG_NS - 1) is None
        assert contradicting_since(None, one, slow, 5 + PATIENCE_NS + 2 * LONG_NS) == 5


def test_what_is_known_outlasts_a_silence_and_ends_when_both_are_seen_to_agree() -> None:
    assert contradicting_since(5, said(CLAMP, UNKNOWN, 90), said(LAMP, STANDBY), 100) == 5
    assert contradicting_since(5, said(CLAMP, RUNNING, 95), said(LAMP, STANDBY), 100) == 5
    agreed_ns = 120 * NS_PER_S
    assert contradicting_since(5, said(CLAMP, STANDBY, 95), said(LAMP, STANDBY), 95 + agreed_ns - 1) == 5
    assert contradicting_since(5, said(CLAMP, STANDBY, 95), said(LAMP, STANDBY), 95 + agreed_ns) is None


def test_only_the_beginning_tells_what_the_two_say() -> None:
    pair = Pair("xrd-1", "lamp-1")
    told = {"kind": "witness_disagrees", "since_ms": 5, "instrument": "xrd-1", "witness": "lamp-1"}
    begun = witness_fault(pair, 5_999_999, (RUNNING, OFF))
    assert begun == told | {"phase": "begin", "instrument_says": "running", "witness_says": "off"}
    assert witness_fault(pair, 5_000_000, None) == told | {"phase": "end"}
