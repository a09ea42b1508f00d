"""What is written down, when, and what happens while nothing can be written."""

import json
import sqlite3
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from boxes import RULES, RUNNING_W, STANDBY_W, Commits, observed, watching
from fake_clock import FakeClock

from instrument_agent.buffer.books import intervals, states
from instrument_agent.buffer.store import Store
from instrument_agent.core.ledger import joined, totals_ns
from instrument_agent.core.readings import NS_PER_S, Activity, FailedRead, UnknownReason
from instrument_agent.core.step import live
from instrument_agent.poll.recorder import RETRY_NS, Recorder

NAME = "xrd-1"


@pytest.fixture(autouse=True)
def impatient(store: Store) -> None:
    """Let a database that is busy be so at once."""
    store._connection.execute("pragma busy_timeout=20")


@pytest.fixture
def recorder(store: Store, clock: FakeClock) -> Recorder:
    return watching(store, clock, NAME)


def play(recorder: Recorder, clock: FakeClock, watts: float, seconds: int) -> None:
    """Let the instrument draw ``watts``, read once a second."""
    for _ in range(seconds):
        clock.advance(1)
        recorder.take(NAME, observed(clock.now_s, watts))


def chain(store: Store, clock: FakeClock) -> list[tuple[Activity, float]]:
    """Return the closed intervals as (activity, seconds)."""
    closed = intervals(store, NAME, clock.boot_id)
    return [(item.activity, (item.end_ns - item.start_ns) / NS_PER_S) for item in closed]


def runs(store: Store) -> list[dict[str, Any]]:
    rows = store.rows("select body from records where type = 'run_session' order by id")
    return [json.loads(body)["data"] for (body,) in rows]


def test_while_nothing_changes_there_is_one_checkpoint_each_120_s(
    store: Store, recorder: Recorder, clock: FakeClock
) -> None:
    play(recorder, clock, STANDBY_W, 10)
    commits = Commits(store)
    play(recorder, clock, STANDBY_W, 3600)
    assert commits.count == 30


def test_all_instruments_share_one_checkpoint(store: Store, clock: FakeClock) -> None:
    names = [f"xrd-{number}" for number in range(5)]
    recorder = watching(store, clock, *names)
    commits = Commits(store)
    for _ in range(1200):
        clock.advance(1)
        for name in names:
            recorder.take(name, observed(clock.now_s, 0.0))
    first = len(names)  # each instrument's first reading ends its "not polled"
    assert commits.count <= 1200 // 120 + first
    assert all(state.latest_ns >= 2080 * NS_PER_S for state in states(store).values())


def test_a_transition_is_on_the_disk_at_once(store: Store, recorder: Recorder, clock: FakeClock) -> None:
    play(recorder, clock, STANDBY_W, 10)
    commits = Commits(store)
    play(recorder, clock, RUNNING_W, 2)
    assert commits.count == 0
    play(recorder, clock, RUNNING_W, 3)
    assert commits.count == 1
    assert chain(store, clock)[-1] == (Activity.STANDBY, 10.0)
    play(recorder, clock, STANDBY_W, 4)
    assert commits.count == 2
    assert runs(store) == [{"start_ms": 1_011_000, "end_ms": 1_016_000, "unseen_ms": 0, "running_ms": 5_000}]


def test_a_checkpoint_can_be_asked_for(store: Store, recorder: Recorder, clock: FakeClock) -> None:
    play(recorder, clock, STANDBY_W, 30)
    assert states(store)[NAME].latest_ns < 1030 * NS_PER_S
    recorder.checkpoint()
    assert states(store)[NAME] == recorder.watched()[NAME].state


def test_the_last_reading_is_kept_through_failed_reads(recorder: Recorder, clock: FakeClock) -> None:
    play(recorder, clock, STANDBY_W, 3)
    recorder.take(NAME, FailedRead(1004 * NS_PER_S, UnknownReason.DRIVER_ERROR))
    assert recorder.watched()[NAME].last == observed(1003.0, STANDBY_W)


def test_listeners_hear_of_a_change_of_activity_and_of_nothing_else(recorder: Recorder, clock: FakeClock) -> None:
    heard: list[Activity] = []
    recorder.on_change(lambda: heard.append(recorder.live(NAME).activity))
    play(recorder, clock, STANDBY_W, 10)
    play(recorder, clock, RUNNING_W, 10)
    play(recorder, clock, STANDBY_W, 200)
    play(recorder, clock, 0.0, 10)
    assert heard == [Activity.STANDBY, Activity.RUNNING, Activity.STANDBY, Activity.OFF]
    for _ in range(100):
        clock.advance(1)
        recorder.take(NAME, FailedRead(clock.boottime_ns(), UnknownReason.DRIVER_UNAVAILABLE))
    assert heard[4:] == [Activity.UNKNOWN]


def test_a_listener_may_ask_the_recorder(recorder: Recorder, clock: FakeClock) -> None:
    recorder.on_change(lambda: seen.append(len(recorder.watched())))
    seen: list[int] = []
    play(recorder, clock, STANDBY_W, 5)
    assert seen == [1]


def test_a_reading_older_than_what_was_noted_meanwhile_is_taken_at_that_time(
    recorder: Recorder, clock: FakeClock
) -> None:
    play(recorder, clock, STANDBY_W, 5)
    clock.advance(100)
    recorder.take(NAME, FailedRead(clock.boottime_ns(), UnknownReason.DRIVER_HUNG))
    assert recorder.live(NAME).reason is UnknownReason.DRIVER_HUNG
    recorder.take(NAME, observed(1055.0, RUNNING_W))
    assert recorder.watched()[NAME].state.last_seen_ns == 1105 * NS_PER_S
    play(recorder, clock, RUNNING_W, 5)
    assert recorder.live(NAME).activity is Activity.RUNNING


def locked(store: Store) -> Callable[[], None]:
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("begin immediate")
    return other.close


def read_only(store: Store) -> Callable[[], None]:
    store._connection.execute("pragma query_only=1")
    return lambda: store._connection.execute("pragma query_only=0") and None


def half_broken(store: Store) -> Callable[[], None]:
    """Take intervals and records but no checkpoints, so that a transaction fails in its middle."""

    def authorize(action: int, table: str | None, *_more: str | None) -> int:
        changed = action in (sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE) and table == "checkpoints"
        return sqlite3.SQLITE_DENY if changed else sqlite3.SQLITE_OK

    store._connection.set_authorizer(authorize)
    return lambda: store._connection.set_authorizer(None)


@pytest.mark.parametrize("broken", [locked, read_only, half_broken])
def test_what_cannot_be_written_is_kept_and_written_later_in_order_and_once(
    store: Store,
    recorder: Recorder,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    broken: Callable[[Store], Callable[[], None]],
) -> None:
    play(recorder, clock, STANDBY_W, 10)
    before = chain(store, clock)
    mend = broken(store)
    for _ in range(3):
        play(recorder, clock, RUNNING_W, 60)
        play(recorder, clock, STANDBY_W, 60)
    assert recorder.storage_error
    assert recorder.live(NAME).activity is Activity.STANDBY, "watching goes on"
    assert chain(store, clock) == before, "a transaction is kept whole or not at all"
    mend()
    play(recorder, clock, STANDBY_W, RETRY_NS // NS_PER_S)
    assert recorder.storage_error == ""
    assert chain(store, clock)[len(before) :] == [
        (Activity.STANDBY, 10.0),
        *[(Activity.RUNNING, 60.0), (Activity.STANDBY, 60.0)] * 2,
        (Activity.RUNNING, 60.0),
    ]
    assert [run["running_ms"] for run in runs(store)] == [60_000] * 3
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"], (
        "said once, and once when it is over"
    )


def test_every_second_is_in_the_books_after_a_time_without_them(
    store: Store, recorder: Recorder, clock: FakeClock
) -> None:
    mend = half_broken(store)
    play(recorder, clock, RUNNING_W, 500)
    play(recorder, clock, 0.0, 500)
    mend()
    play(recorder, clock, 0.0, 20)
    state = states(store)[NAME]
    spent = totals_ns([*intervals(store, NAME, clock.boot_id), state.line.open])
    assert sum(spent.values()) == state.line.settled_ns - 1000 * NS_PER_S
    assert live(RULES, state, state.latest_ns).activity is Activity.OFF


def test_a_database_that_fails_is_left_alone_for_a_while(
    store: Store, recorder: Recorder, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[float] = []
    play(recorder, clock, STANDBY_W, 10)
    mend = half_broken(store)
    store._connection.set_trace_callback(lambda sql: tries.append(clock.now_s) if sql == "begin immediate" else None)
    play(recorder, clock, RUNNING_W, 100)
    store._connection.set_trace_callback(None)
    assert all(after - before >= RETRY_NS / NS_PER_S for before, after in pairwise(tries))
    assert len(tries) <= 10
    mend()
    recorder.checkpoint()
    assert recorder.storage_error == ""


def test_memory_is_bounded_and_time_beyond_it_is_unknown_while_nothing_can_be_written(
    store: Store, recorder: Recorder, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("instrument_agent.poll.recorder.UNSAVED_LIMIT", 6)
    play(recorder, clock, STANDBY_W, 10)
    mend = half_broken(store)
    for _ in range(10):
        play(recorder, clock, RUNNING_W, 60)
        play(recorder, clock, STANDBY_W, 60)
    assert len(recorder._unsaved) <= 6 + 2
    assert recorder.live(NAME).reason is UnknownReason.STORAGE_FAULT
    mend()
    play(recorder, clock, STANDBY_W, 120)
    found = intervals(store, NAME, clock.boot_id)
    assert UnknownReason.STORAGE_FAULT in {item.reason for item in found}
    joined([*found, states(store)[NAME].line.open])
    assert recorder.live(NAME).activity is Activity.STANDBY
