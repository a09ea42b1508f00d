"""Facts as they go to the platform."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from played import RULES

from instrument_agent.core.anchors import Anchor
from instrument_agent.core.canonical import NO_HASH, canonical, record_hash
from instrument_agent.core.ledger import Interval
from instrument_agent.core.readings import NS_PER_MS, NS_PER_S, Activity, UnknownReason
from instrument_agent.core.records import (
    Fact,
    Link,
    RecordType,
    configured,
    event_facts,
    observation_gap,
    run_session,
    sealed,
    time_anchor,
)
from instrument_agent.core.sessions import RunSession

BOOT = "11111111-1111-4111-8111-111111111111"
EPOCH = "22222222-2222-4222-8222-222222222222"
RUN = RunSession(1_000_999_999, 101_000_000_000, 30 * NS_PER_S)


def fact(number: int) -> Fact:
    return Fact(RecordType.FAULT, BOOT, number * NS_PER_S, {"number": number})


def test_a_record_has_exactly_these_bytes():
    """What stands on the wire and under a signature must not change by accident."""
    link = Link("box-1", EPOCH, 7, NO_HASH)
    record, digest = sealed(link, Fact(RecordType.RUN_SESSION, BOOT, 102_345_678_901, run_session(RUN), "xrd-1"))
    assert canonical(record) == (
        b'{"at_ms":102345,"boot_id":"11111111-1111-4111-8111-111111111111","box_id":"box-1",'
        b'"data":{"end_ms":101000,"running_ms":70000,"start_ms":1000,"unseen_ms":30000},'
        b'"epoch":"22222222-2222-4222-8222-222222222222","instrument_id":"xrd-1",'
        b'"prev_hash":"0000000000000000000000000000000000000000000000000000000000000000",'
        b'"seq":7,"type":"run_session"}'
    )
    assert digest == "bc290794d2fd8513c2ad6c7751d97a8aeb7d936ff24aea555aacefe90340d5bd"


def test_a_record_of_the_box_names_no_instrument():
    record, _digest = sealed(Link("box-1", EPOCH, 1, NO_HASH), fact(1))
    assert "instrument_id" not in record


def chained(facts: list[Fact]) -> list[tuple[dict[str, object], str]]:
    found: list[tuple[dict[str, object], str]] = []
    digest = NO_HASH
    for seq, item in enumerate(facts, start=1):
        record, digest = sealed(Link("box-1", EPOCH, seq, digest), item)
        found.append((record, digest))
    return found


def test_each_record_carries_the_hash_of_the_one_before():
    records = chained([fact(number) for number in range(5)])
    assert records[0][0]["prev_hash"] == NO_HASH
    for (before, digest), (after, _digest) in pairwise(records):
        assert record_hash(before) == digest == after["prev_hash"]


@pytest.mark.parametrize("change", [{"at_ms": 1}, {"data": {"number": 9}}, {"seq": 3}, {"instrument_id": "xrd-1"}])
def test_any_change_of_a_record_breaks_the_chain(change: dict[str, object]):
    (first, digest), (second, _digest) = chained([fact(1), fact(2)])
    assert record_hash(first | change) != digest == second["prev_hash"]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(0, 10**15), st.integers(0, 10**13), st.integers(0, 10**12))
def test_running_ms_is_end_less_start_less_unseen_and_never_negative(start_ns: int, running_ns: int, unseen_ns: int):
    data = run_session(RunSession(start_ns, start_ns + running_ns + unseen_ns, unseen_ns))
    assert data["running_ms"] == data["end_ms"] - data["start_ms"] - data["unseen_ms"]
    assert data["running_ms"] >= 0
    assert abs(data["running_ms"] * NS_PER_MS - running_ns) < 2 * NS_PER_MS


def test_of_what_became_certain_runs_and_gaps_are_sent_in_their_order():
    gap = Interval(5 * NS_PER_S, 9 * NS_PER_S, Activity.UNKNOWN, UnknownReason.DRIVER_HUNG)
    events = (Interval(0, 5 * NS_PER_S, Activity.OFF), gap, Interval(9, 10, Activity.STANDBY), RUN)
    facts = event_facts(BOOT, "xrd-1", 11 * NS_PER_S, events)
    assert [(item.type, item.at_ns, item.instrument_id) for item in facts] == [
        (RecordType.OBSERVATION_GAP, 11 * NS_PER_S, "xrd-1"),
        (RecordType.RUN_SESSION, 11 * NS_PER_S, "xrd-1"),
    ]
    assert facts[0].data == {"start_ms": 5000, "end_ms": 9000, "reason": "driver_hung"}
    assert observation_gap(gap) == facts[0].data


def test_touching_intervals_touch_in_milliseconds_too():
    edge_ns = 1_234_567
    before = observation_gap(Interval(0, edge_ns, Activity.UNKNOWN, UnknownReason.DRIVER_HUNG))
    after = observation_gap(Interval(edge_ns, 10**9, Activity.UNKNOWN, UnknownReason.DRIVER_ERROR))
    assert before["end_ms"] == after["start_ms"]


def test_the_error_of_an_anchor_is_rounded_up():
    data = time_anchor(Anchor(BOOT, 1_999_999, 1_800_000_000_000_999_999, 1_000_001, "platform:province"))
    assert data == {"boottime_ms": 1, "utc_ms": 1_800_000_000_000, "error_ms": 2, "source": "platform:province"}


def test_how_an_instrument_is_judged_can_be_read_back_from_its_record():
    data = configured({"asset_code": "2026-7"}, "modbus", RULES, 1000)
    assert canonical(data)  # no floats
    assert data["identity"] == {"asset_code": "2026-7"}
    assert (data["event"], data["driver"], data["poll_ms"]) == ("configured", "modbus", 1000)
    assert data["rules"] == {
        "channel": "power_w",
        "off_below": "10.0",
        "run_above": "100.0",
        "run_below": "80.0",
        "min_on_ms": 60_000,
        "min_off_ms": 120_000,
        "off_settle_ms": 10_000,
        "gap_ms": 60_000,
        "bridge_ms": 300_000,
    }
