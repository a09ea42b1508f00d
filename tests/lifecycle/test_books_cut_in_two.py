"""Whatever was read before, books that are cut at an instant have nothing that lies on both sides of it."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instrument_agent.core.activity import Rules
from instrument_agent.core.ledger import Interval
from instrument_agent.core.observing import cut, ended, observe
from instrument_agent.core.readings import NS_PER_S, Activity, FailedRead, Observation, UnknownReason
from instrument_agent.core.records import LifecycleWord
from instrument_agent.core.sessions import PowerSession, RunSession
from instrument_agent.core.step import begin
from instrument_agent.handover import Order, owner_changed, transferred

RULES = Rules("power_w", 5, 1000, 800, 10 * NS_PER_S, 20 * NS_PER_S, 5 * NS_PER_S, 8 * NS_PER_S, 60 * NS_PER_S)
WATTS = st.sampled_from([0.0, 100.0, 2000.0, None])
READINGS = st.lists(st.tuples(st.integers(1, 40), WATTS), max_size=40)


def reading(at_ns: int, watts: float | None) -> Observation | FailedRead:
    if watts is None:
        return FailedRead(at_ns, UnknownReason.DRIVER_UNAVAILABLE)
    return Observation(at_ns, {"power_w": watts})


@given(READINGS, READINGS, st.integers(0, 20))
def test_no_session_and_no_interval_lies_on_both_sides_and_no_second_is_lost(before, after, later_s):
    state, told, at_ns = begin("boot", 0), [], 0
    for wait_s, watts in before:
        at_ns += wait_s * NS_PER_S
        state, events = observe(RULES, state, reading(at_ns, watts))
        told += events
    at_ns += later_s * NS_PER_S
    edge_ns = at_ns
    state, events = cut(RULES, state, edge_ns)
    told += events
    assert (state.open_run, state.open_power, state.line.settled_ns) == (None, None, edge_ns)
    for wait_s, watts in after:
        at_ns += wait_s * NS_PER_S
        state, events = observe(RULES, state, reading(at_ns, watts))
        told += events
    state, events = ended(RULES, state)
    told += events
    spans = [item for item in told if isinstance(item, (Interval, RunSession, PowerSession))]
    assert [item for item in spans if item.start_ns < edge_ns < item.end_ns] == []
    chain = [item for item in told if isinstance(item, Interval)]
    assert all(a.end_ns == b.start_ns for a, b in pairwise(chain))
    assert [item.start_ns for item in chain[:1]] in ([], [0])
    running_ns = sum(item.end_ns - item.start_ns for item in chain if item.activity is Activity.RUNNING)
    runs_ns = sum(item.end_ns - item.start_ns - item.unseen_ns for item in told if isinstance(item, RunSession))
    assert runs_ns == running_ns


def test_a_silence_before_the_cut_keeps_its_reason():
    state = begin("boot", 0)
    for second in range(0, 60, 2):
        state, _events = observe(RULES, state, reading(second * NS_PER_S, 2000.0))
    state, _events = observe(RULES, state, reading(60 * NS_PER_S, None))
    _state, told = cut(RULES, state, 62 * NS_PER_S)
    gap = Interval(58 * NS_PER_S, 62 * NS_PER_S, Activity.UNKNOWN, UnknownReason.DRIVER_UNAVAILABLE)
    assert told[-1] == gap


def test_books_cannot_be_cut_where_they_have_been_written_already():
    state, _events = observe(RULES, begin("boot", 0), reading(60 * NS_PER_S, 2000.0))
    with pytest.raises(ValueError, match="beyond"):
        cut(RULES, state, 59 * NS_PER_S)


@pytest.mark.parametrize(
    ("before", "now", "other"),
    [
        (("A", "1"), ("B", "2"), True),
        (("A", "1"), ("A", "2"), True),
        (("A", ""), ("B", "2"), True),
        (("A", "1"), ("B", ""), True),
        (("A", "1"), ("A corrected", "1"), False),
        (("A", ""), ("A", "1"), False),
        (("", ""), ("A", "1"), False),
        (("A", "1"), ("", ""), False),
    ],
)
def test_an_owner_is_another_by_code_or_where_one_has_none_by_name(before, now, other):
    sides = [dict(zip(("org_name", "org_uscc"), side, strict=True)) for side in (before, now)]
    assert owner_changed(*sides) == other


def test_the_record_of_a_transfer_names_both_sides():
    order = Order("xrd-1", LifecycleWord.TRANSFERRED, {"event": "transferred", "by": "Li"})
    told = transferred({"org_name": "A", "model": "X"}, {"org_name": "B", "asset_code": "7"}, order)
    nothing = {"org_uscc": "", "platform_code": ""}
    assert told == {
        "event": "transferred",
        "by": "Li",
        "from": {"org_name": "A", "asset_code": ""} | nothing,
        "to": {"org_name": "B", "asset_code": "7"} | nothing,
    }
