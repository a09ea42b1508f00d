"""What a record of a known type must hold, so that time can be summed from it."""

import pytest
from wire_box import Box, ran, sealed

from instrument_agent.receiver import Ledger

DAY = {"day": "2026-11-22", "zone": "Asia/Shanghai", "length_ms": 100, "powered_ms": 30, "clock_residual_ms": -5}
KNOWN = {
    "run_session": ran(1, 5),
    "power_session": {"start_ms": 1, "end_ms": 9, "unseen_ms": 3, "powered_ms": 5},
    "daily_summary": {**DAY, "off_ms": 50, "standby_ms": 10, "running_ms": 20, "unknown_ms": 25},
    "observation_gap": {"start_ms": 1, "end_ms": 5, "reason": "driver_error"},
    "lifecycle_event": {"event": "configured"},
    "time_anchor": {"boottime_ms": 1, "utc_ms": 1_795_334_400_000, "error_ms": 1000, "source": "ntp"},
    "fault": {"kind": "tail_lost"},
    "epoch_started": {},
}


@pytest.mark.parametrize("known", KNOWN)
def test_known_types_are_stored(box: Box, ledger: Ledger, known: str) -> None:
    assert box.send(box.chain(1, type=known, data=KNOWN[known])).json()["rejected"] == []
    assert len(ledger.records(type=known)) == 1


@pytest.mark.parametrize(
    ("known", "member"),
    [(known, member) for known, data in KNOWN.items() for member in data],
)
def test_a_known_type_without_what_it_must_hold_is_rejected(box: Box, ledger: Ledger, known: str, member: str) -> None:
    data = {name: value for name, value in KNOWN[known].items() if name != member}
    [refusal] = box.send(box.chain(1, type=known, data=data)).json()["rejected"]
    assert refusal["reason"].startswith("schema: data: ")
    assert member in refusal["reason"]
    assert ledger.records() == []


@pytest.mark.parametrize(
    ("known", "member"),
    [("run_session", "running_ms"), ("power_session", "end_ms"), ("daily_summary", "off_ms")],
)
def test_times_that_do_not_add_up_are_rejected(box: Box, known: str, member: str) -> None:
    data = {**KNOWN[known], member: KNOWN[known][member] + 1}
    assert box.send(box.chain(1, type=known, data=data)).json()["rejected"] == [{"seq": 1, "reason": "sum_mismatch"}]


def test_a_gap_that_ends_before_it_begins_is_rejected(box: Box) -> None:
    data = {"start_ms": 5, "end_ms": 4, "reason": "driver_error"}
    reply = box.send(box.chain(1, type="observation_gap", data=data)).json()
    assert reply["rejected"] == [{"seq": 1, "reason": "sum_mismatch"}]


@pytest.mark.parametrize("known", ["run_session", "power_session", "daily_summary", "observation_gap"])
def test_time_of_no_instrument_is_rejected(box: Box, known: str) -> None:
    [item] = box.chain(1, type=known, data=KNOWN[known])
    del item["record"]["instrument_id"]
    [refusal] = box.send([sealed(item["record"])]).json()["rejected"]
    assert "instrument_id" in refusal["reason"]
