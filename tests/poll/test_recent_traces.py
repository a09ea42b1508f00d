"""What is kept of the readings themselves, and when it is given up."""

import sqlite3
from dataclasses import replace

import pytest
from boxes import RULES, RUNNING_W, STANDBY_W, Commits, observed, watching
from fake_clock import FakeClock

from instrument_agent.buffer.store import Store
from instrument_agent.buffer.traces import (
    Bucket,
    Seen,
    load_buckets,
    load_edges,
    make_room,
    prune_traces,
    save_buckets,
    save_edge,
    traced_boots,
)
from instrument_agent.core.errors import StoreDamaged
from instrument_agent.core.readings import NS_PER_S, FailedRead, UnknownReason
from instrument_agent.core.step import begin
from instrument_agent.poll.recorder import Recorder, Watched

NAME = "xrd-1"
START_MS = 1_000_000


@pytest.fixture
def recorder(store: Store, clock: FakeClock) -> Recorder:
    return watching(store, clock, NAME)


def play(recorder: Recorder, clock: FakeClock, watts: float | None, seconds: int, *, every_s: float = 1.0) -> None:
    """Read the instrument for so long; None: it does not answer."""
    for _ in range(round(seconds / every_s)):
        clock.advance(every_s)
        if watts is None:
            recorder.take(NAME, FailedRead(clock.boottime_ns(), UnknownReason.DRIVER_UNAVAILABLE))
        else:
            recorder.take(NAME, observed(clock.now_s, watts))


def edges(store: Store, clock: FakeClock) -> list[list[Seen]]:
    return load_edges(store, NAME, clock.boot_id)


def test_every_ten_seconds_have_their_lowest_mean_and_highest_number(
    store: Store, recorder: Recorder, clock: FakeClock
) -> None:
    for number in range(1500):
        play(recorder, clock, 20.0 + number % 3, 1)
    kept = list(load_buckets(store, NAME, clock.boot_id))
    assert [item.number for item in kept] == list(range(100, 100 + len(kept)))
    assert len(kept) >= 1500 / 10 - 60 - 12 - 1
    for item in kept[1:]:
        assert (item.low, item.high, item.count) == (20.0, 22.0, 10)
        assert 20.9 <= item.mean <= 21.1
    assert traced_boots(store, NAME) == [clock.boot_id]


def test_traces_cost_no_commit_of_their_own(store: Store, recorder: Recorder, clock: FakeClock) -> None:
    play(recorder, clock, STANDBY_W, 10)
    commits = Commits(store)
    play(recorder, clock, STANDBY_W, 3600)
    assert commits.count == 30


def test_all_readings_within_two_minutes_of_both_edges_of_a_run_are_kept(
    store: Store, recorder: Recorder, clock: FakeClock
) -> None:
    play(recorder, clock, STANDBY_W, 600)
    play(recorder, clock, RUNNING_W, 600)
    play(recorder, clock, STANDBY_W, 600)
    start, end = edges(store, clock)
    assert [at_ms for at_ms, _value in start] == list(range(START_MS + 481_000, START_MS + 722_000, 1000))
    assert [at_ms for at_ms, _value in end] == list(range(START_MS + 1_081_000, START_MS + 1_322_000, 1000))
    assert [value for _at, value in start] == [STANDBY_W] * 120 + [RUNNING_W] * 121


def test_the_edge_of_a_run_that_is_proven_late_is_kept_as_it_was(store: Store, clock: FakeClock) -> None:
    slow = replace(RULES, min_on_ns=300 * NS_PER_S, min_off_ns=400 * NS_PER_S)
    recorder = Recorder(store, clock, 120.0)
    recorder.watch(NAME, Watched(slow, begin(clock.boot_id, clock.boottime_ns())))
    play(recorder, clock, STANDBY_W, 600)
    play(recorder, clock, RUNNING_W, 600)
    play(recorder, clock, STANDBY_W, 600)
    start, end = edges(store, clock)
    assert (start[0][0], start[-1][0]) == (START_MS + 481_000, START_MS + 721_000)
    assert (end[0][0], end[-1][0]) == (START_MS + 1_081_000, START_MS + 1_321_000)


def test_a_pulse_that_is_no_run_leaves_no_single_readings(store: Store, clock: FakeClock) -> None:
    recorder = Recorder(store, clock, 120.0)
    recorder.watch(NAME, Watched(replace(RULES, min_on_ns=60 * NS_PER_S), begin(clock.boot_id, clock.boottime_ns())))
    for _ in range(10):
        play(recorder, clock, STANDBY_W, 60)
        play(recorder, clock, RUNNING_W, 30)
    recorder.checkpoint()
    assert edges(store, clock) == []
    assert max(item.high for item in load_buckets(store, NAME, clock.boot_id)) == RUNNING_W


def test_a_run_that_ends_in_a_silence_keeps_its_last_readings_and_why_there_are_no_more(
    store: Store, recorder: Recorder, clock: FakeClock
) -> None:
    play(recorder, clock, STANDBY_W, 300)
    play(recorder, clock, RUNNING_W, 600)
    play(recorder, clock, None, 1200)
    _start, end = edges(store, clock)
    assert end[0] == (START_MS + 780_000, RUNNING_W)
    assert end[-2:] == [(START_MS + 900_000, RUNNING_W), (START_MS + 901_000, UnknownReason.DRIVER_UNAVAILABLE)]


def test_an_instrument_read_often_keeps_a_bounded_number_of_readings(
    store: Store, recorder: Recorder, clock: FakeClock
) -> None:
    play(recorder, clock, STANDBY_W, 150, every_s=0.05)
    play(recorder, clock, RUNNING_W, 150, every_s=0.05)
    recorder.checkpoint()
    (start,) = edges(store, clock)
    assert len(start) == 1200
    assert 29_000 < START_MS + 150_000 - start[0][0] <= 30_100


@pytest.mark.parametrize("ran_s", [60, 400])
def test_a_restart_of_the_agent_leaves_the_readings_around_a_start_as_they_would_have_been(
    store: Store, recorder: Recorder, clock: FakeClock, ran_s: int
) -> None:
    play(recorder, clock, STANDBY_W, 200)
    play(recorder, clock, RUNNING_W, ran_s)
    recorder.checkpoint()
    again = Recorder(store, clock, 120.0)
    again.watch(NAME, recorder.watched()[NAME])
    play(again, clock, RUNNING_W, 400)
    again.checkpoint()
    kept = [at_ms for stretch in edges(store, clock) for at_ms, _value in stretch]
    assert kept == list(range(START_MS + 81_000, START_MS + 322_000, 1000))


def test_what_could_not_be_written_does_not_pile_up(store: Store, recorder: Recorder, clock: FakeClock) -> None:
    store._connection.execute("pragma query_only=1")
    for _ in range(4):
        play(recorder, clock, STANDBY_W, 200)
        play(recorder, clock, RUNNING_W, 200)
    tracer = recorder._tracers[NAME]
    assert recorder.storage_error
    assert len(tracer._buckets) <= 60 + 12
    assert len(tracer._edges) <= 2
    store._connection.execute("pragma query_only=0")
    play(recorder, clock, STANDBY_W, 800)
    assert list(load_buckets(store, NAME, clock.boot_id)), "it goes on as soon as the disk takes something"


def test_the_oldest_rows_over_the_cap_go(store: Store, recorder: Recorder, clock: FakeClock) -> None:
    for _ in range(10):
        play(recorder, clock, STANDBY_W, 300)
        play(recorder, clock, RUNNING_W, 300)
    whole = list(load_buckets(store, NAME, clock.boot_id))
    rows = store.rows("select count(*) from buckets")[0][0]
    assert prune_traces(store, bucket_rows=5, edge_rows=3) == rows - 5 + 20 - 3 - 1
    kept = list(load_buckets(store, NAME, clock.boot_id))
    assert kept == whole[-len(kept) :]
    assert len(edges(store, clock)) == 3
    assert prune_traces(store, bucket_rows=5, edge_rows=3) == 0
    assert prune_traces(store, bucket_rows=4, edge_rows=3) == 1


def test_on_a_full_disk_the_oldest_traces_make_way_until_facts_have_room(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("instrument_agent.buffer.traces.SPARE_PAGES", 8)
    monkeypatch.setattr("instrument_agent.buffer.traces.AT_ONCE", 20)
    with store.write() as change:
        for number in range(400):
            buckets = [Bucket(12 * number + item, number / 7, number / 3, item / 9, 10) for item in range(12)]
            save_buckets(change, NAME, clock.boot_id, buckets)
            if number % 20 == 0:
                save_edge(change, NAME, clock.boot_id, [(120_000 * number, 1.0), (120_000 * number + 1000, 2.0)])
    records = store.rows("select count(*) from records")
    gone = make_room(store)
    assert 20 <= gone < 400
    assert store.rows("pragma freelist_count")[0][0] >= 8
    assert store.rows("select count(*) from records") == records
    kept = list(load_buckets(store, NAME, clock.boot_id))
    assert (kept[0].number, kept[-1].number) == (12 * gone, 12 * 400 - 1)
    assert len(edges(store, clock)) == 20, "single readings go last"
    assert make_room(store) == 0


def test_a_trace_that_is_not_as_it_was_written_is_not_believed(
    store: Store, recorder: Recorder, clock: FakeClock
) -> None:
    play(recorder, clock, STANDBY_W, 800)
    with sqlite3.connect(store.path) as other:
        body = bytearray(other.execute("select body from buckets limit 1").fetchone()[0])
        body[len(body) // 2] ^= 1
        other.execute("update buckets set body = ?", (bytes(body),))
    other.close()
    with pytest.raises(StoreDamaged):
        list(load_buckets(store, NAME, clock.boot_id))
