"""What an instrument's books are resumed from."""

from dataclasses import replace
from pathlib import Path

import pytest
from stored import BOOT, on_disk, verified_chain

from instrument_agent.buffer.books import (
    anchors,
    intervals,
    run_records,
    save_anchor,
    save_configured,
    save_events,
    save_state,
    states,
    time_spent_ns,
)
from instrument_agent.buffer.reader import Reader
from instrument_agent.buffer.store import Store
from instrument_agent.core.activity import Rules
from instrument_agent.core.anchors import Anchor
from instrument_agent.core.errors import StoreUnavailable
from instrument_agent.core.ledger import Interval
from instrument_agent.core.readings import NS_PER_S, Activity, FailedRead, Observation, UnknownReason
from instrument_agent.core.sessions import RunSession
from instrument_agent.core.step import State, begin, step

RULES = Rules("power_w", 10, 100, 80, 60 * NS_PER_S, 120 * NS_PER_S, 10 * NS_PER_S, 60 * NS_PER_S, 300 * NS_PER_S)


def busy_state() -> State:
    """A state in which as much as possible is open: a run, a pause in it, a silence and its reasons."""
    state = begin(BOOT, 0)
    values = [0.0] * 10 + [500.0] * 100 + [0.1 + 0.2] * 5
    for second, value in enumerate(values):
        state, _events = step(RULES, state, Observation(second * NS_PER_S, {"power_w": value}))
    for second, reason in ((200, UnknownReason.DRIVER_HUNG), (201, UnknownReason.DRIVER_ERROR)):
        state, _events = step(RULES, state, FailedRead(second * NS_PER_S, reason))
    return state


def test_a_state_comes_back_exactly(store: Store, tmp_path: Path):
    state = busy_state()
    assert state.run is not None
    assert state.run.candidate_ns is not None
    assert state.silence
    assert state.open_run is not None
    with store.write() as change:
        save_state(change, "xrd-1", begin(BOOT, 7))
        save_state(change, "xrd-1", state)
        save_state(change, "sem-1", begin(BOOT, 5))
    reader = Reader(tmp_path)
    assert states(reader) == {"xrd-1": state, "sem-1": begin(BOOT, 5)}
    reader.close()


def test_a_flipped_bit_in_a_state_is_noticed(store: Store):
    with store.write() as change:
        save_state(change, "xrd-1", busy_state())
        change.execute("update checkpoints set body = replace(body, 'true', 'false')")
    with pytest.raises(StoreUnavailable, match="checksum"):
        states(store)


def test_intervals_are_kept_and_runs_and_gaps_are_sent(store: Store, tmp_path: Path):
    gap = Interval(5 * NS_PER_S, 9 * NS_PER_S, Activity.UNKNOWN, UnknownReason.NOT_POLLED)
    chain = [Interval(0, 5 * NS_PER_S, Activity.OFF), gap, Interval(9 * NS_PER_S, 12 * NS_PER_S, Activity.RUNNING)]
    run = RunSession(9 * NS_PER_S, 12 * NS_PER_S, 0)
    state = replace(begin(BOOT, 0), latest_ns=13 * NS_PER_S)
    with store.write() as change:
        save_events(change, "xrd-1", state, (*chain, run))
    assert intervals(store, "xrd-1", BOOT) == chain
    assert intervals(store, "sem-1", BOOT) == intervals(store, "xrd-1", "another boot") == []
    assert time_spent_ns(store, "xrd-1", BOOT) == {
        Activity.OFF: 5 * NS_PER_S,
        Activity.STANDBY: 0,
        Activity.RUNNING: 3 * NS_PER_S,
        Activity.UNKNOWN: 4 * NS_PER_S,
    }
    sent = verified_chain(tmp_path)[store.epoch][1:]
    assert [(record["type"], record["instrument_id"], record["at_ms"]) for record in sent] == [
        ("observation_gap", "xrd-1", 13_000),
        ("run_session", "xrd-1", 13_000),
    ]
    assert run_records(store) == run_records(store, "xrd-1") == sent[1:]
    assert run_records(store, "sem-1") == []


def test_state_intervals_and_records_are_kept_together_or_not_at_all(store: Store, tmp_path: Path):
    interval = Interval(0, 5, Activity.UNKNOWN, UnknownReason.NOT_POLLED)

    def fail() -> None:
        with store.write() as change:
            save_state(change, "xrd-1", begin(BOOT, 0))
            save_events(change, "xrd-1", begin(BOOT, 0), (interval,))
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError):
        fail()
    tables = ("checkpoints", "intervals", "records where type <> 'epoch_started'")
    assert [on_disk(tmp_path, f"select count(*) from {table}") for table in tables] == [[(0,)]] * 3


def test_an_instrument_is_announced_when_it_is_watched_differently(store: Store, tmp_path: Path):
    def announce(instrument_id: str, data: dict[str, object]) -> bool:
        with store.write() as change:
            return save_configured(change, instrument_id, BOOT, 8 * NS_PER_S, data)

    assert announce("xrd-1", {"event": "configured", "a": 1})
    assert not announce("xrd-1", {"a": 1, "event": "configured"})
    assert announce("sem-1", {"event": "configured", "a": 1})
    assert announce("xrd-1", {"event": "configured", "a": 2})
    assert not announce("xrd-1", {"event": "configured", "a": 2})
    records = verified_chain(tmp_path)[store.epoch][1:]
    assert [(record["type"], record["instrument_id"], record["data"]["a"]) for record in records] == [
        ("lifecycle_event", "xrd-1", 1),
        ("lifecycle_event", "sem-1", 1),
        ("lifecycle_event", "xrd-1", 2),
    ]
    assert ["replaces" in record["data"] for record in records] == [False, False, True]
    assert records[2]["data"]["replaces"] == {"epoch": store.epoch, "seq": records[0]["seq"]}


def test_anchors_are_kept_by_boot_and_sent(store: Store, tmp_path: Path):
    first = Anchor(BOOT, 5 * NS_PER_S, 1_800_000_000 * NS_PER_S, NS_PER_S, "platform:province")
    second, other = replace(first, boottime_ns=9 * NS_PER_S), replace(first, boot_id="another")
    with store.write() as change:
        for anchor in (second, first, other):
            save_anchor(change, anchor)
    assert anchors(store, BOOT) == [first, second]
    assert anchors(store, "another") == [other]
    assert len(anchors(store)) == 3
    records = verified_chain(tmp_path)[store.epoch][1:]
    assert [(record["type"], record["boot_id"], record["at_ms"]) for record in records] == [
        ("time_anchor", BOOT, 9000),
        ("time_anchor", BOOT, 5000),
        ("time_anchor", "another", 5000),
    ]
