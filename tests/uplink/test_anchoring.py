"""When a platform's reply or the wall clock becomes an anchor of time, and how far that anchor may be off."""

import json
import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from fake_clock import BOOT, BOOTED_UTC_NS, FakeClock

from instrument_agent.buffer.books import save_anchor
from instrument_agent.buffer.store import Start, Store
from instrument_agent.core.anchors import BUILT_UTC_NS, DAY_NS, LATEST_UTC_NS, NTP, Anchor, Quality, Utc
from instrument_agent.core.readings import NS_PER_S
from instrument_agent.uplink.anchoring import ANCHOR_EVERY_NS, STEPPED_EVERY_NS, Anchoring
from instrument_agent.uplink.answers import Reply

HOUR_S = 3600


def reply(utc_ns: int | None, round_trip_s: float = 0.5) -> Reply:
    return Reply({}, round_trip_s, utc_ns)


def utc(anchoring: Anchoring, boottime_ns: int) -> Utc | None:
    return anchoring.utc(BOOT, boottime_ns)


def ntp(clock: FakeClock, shift_s: float = 0) -> Anchor:
    """What the wall clock says now, while a time server vouches for it."""
    return Anchor(BOOT, clock.boottime_ns(), clock.utc_ns() + round(shift_s * NS_PER_S), NS_PER_S, NTP)


def faults(store: Store) -> list[dict[str, object]]:
    return [json.loads(body)["data"] for (body,) in store.rows("select body from records where type = 'fault'")]


def anchored(store: Store) -> list[tuple[int, int, int]]:
    rows = store.rows("select boottime_ns, utc_ns, error_ns from anchors order by boottime_ns")
    return [(boottime_ns, utc_ns, error_ns) for boottime_ns, utc_ns, error_ns in rows]


def test_the_first_reply_is_an_anchor_off_by_half_the_trip_and_a_second(
    store: Store, anchoring: Anchoring, clock: FakeClock
) -> None:
    assert not anchoring.anchored.is_set()
    assert utc(anchoring, clock.boottime_ns()) is None
    anchoring.offer(reply(BOOTED_UTC_NS), "province", 2000 * NS_PER_S)
    assert anchored(store) == [(1_999_750_000_000, BOOTED_UTC_NS, 1_250_000_000)]
    assert anchoring.anchored.is_set()


def test_utc_follows_from_it_with_an_error_that_grows(anchoring: Anchoring) -> None:
    anchoring.offer(reply(BOOTED_UTC_NS, 0.0), "province", 2000 * NS_PER_S)
    later = utc(anchoring, (2000 + 10_000) * NS_PER_S)
    assert later is not None
    assert (later.utc_ns, later.error_ns) == (BOOTED_UTC_NS + 10_000 * NS_PER_S, 2 * NS_PER_S)


def test_another_one_is_written_only_after_six_hours(store: Store, anchoring: Anchoring, clock: FakeClock) -> None:
    for _ in range(24 * 60):
        anchoring.offer(reply(clock.utc_ns(), 0.0), "province", clock.boottime_ns())
        clock.advance(60)
    times_s = [boottime_ns // NS_PER_S for boottime_ns, _utc_ns, _error_ns in anchored(store)]
    assert times_s == [1000, 1000 + 6 * HOUR_S, 1000 + 12 * HOUR_S, 1000 + 18 * HOUR_S]


def test_each_source_is_written_down_for_itself(store: Store, anchoring: Anchoring, clock: FakeClock) -> None:
    for _ in range(12 * 60):
        anchoring.offer(reply(clock.utc_ns(), 0.0), "province", clock.boottime_ns())
        anchoring.offer(reply(clock.utc_ns(), 0.0), "university", clock.boottime_ns())
        anchoring.see(ntp(clock))
        clock.advance(60)
    rows = store.rows("select source, count(*) from anchors group by source order by source")
    assert rows == [("ntp", 2), ("platform:province", 2), ("platform:university", 2)]


def test_a_wall_clock_nobody_vouches_for_is_no_anchor(store: Store, anchoring: Anchoring) -> None:
    anchoring.see(None)
    assert anchored(store) == []
    assert not anchoring.anchored.is_set()


def test_a_synchronized_wall_clock_is_an_anchor_and_lets_delivery_begin(
    store: Store, anchoring: Anchoring, clock: FakeClock
) -> None:
    anchoring.see(ntp(clock))
    assert anchored(store) == [(clock.boottime_ns(), clock.utc_ns(), NS_PER_S)]
    assert anchoring.anchored.is_set()


@pytest.mark.parametrize("step_s", [-130, 130, -10 * 30 * 86_400, 10 * 365 * 86_400])
def test_a_clock_that_was_set_is_written_down_again_but_not_at_each_look(
    store: Store, anchoring: Anchoring, clock: FakeClock, step_s: float
) -> None:
    anchoring.see(ntp(clock))
    for _ in range(3600):
        clock.advance(1)
        anchoring.see(ntp(clock, step_s))
    assert [at_ns for at_ns, _utc_ns, _error_ns in anchored(store)] == [
        1000 * NS_PER_S,
        1000 * NS_PER_S + STEPPED_EVERY_NS,
    ]
    before = utc(anchoring, 1300 * NS_PER_S)
    after = utc(anchoring, clock.boottime_ns())
    assert before is not None
    assert before.quality is Quality.BOUNDED
    assert after is not None
    assert (after.quality, abs(after.utc_ns - clock.utc_ns() - step_s * NS_PER_S) < NS_PER_S) == (Quality.GOOD, True)


def test_sources_more_than_a_minute_apart_are_both_kept_and_one_fault_says_so(
    store: Store, anchoring: Anchoring, clock: FakeClock
) -> None:
    for _ in range(24 * 60):
        anchoring.see(ntp(clock))
        anchoring.offer(reply(clock.utc_ns() + 100 * NS_PER_S, 0.0), "province", clock.boottime_ns())
        clock.advance(60)
    assert len(anchored(store)) == 8
    assert faults(store) == [
        {"kind": "clock_disagreement", "source": "platform:province", "other": "ntp", "apart_ms": 100_000}
    ]
    seen = utc(anchoring, clock.boottime_ns())
    assert seen is not None
    assert seen.utc_ns - seen.error_ns <= clock.utc_ns() - NS_PER_S
    assert clock.utc_ns() + 101 * NS_PER_S <= seen.utc_ns + seen.error_ns


def test_sources_less_than_a_minute_apart_are_no_fault_but_the_error_holds_both(
    store: Store, anchoring: Anchoring, clock: FakeClock
) -> None:
    anchoring.see(ntp(clock))
    anchoring.offer(reply(clock.utc_ns() - 59 * NS_PER_S, 0.0), "province", clock.boottime_ns())
    assert faults(store) == []
    seen = utc(anchoring, clock.boottime_ns())
    assert seen == Utc(clock.utc_ns() - 59 * NS_PER_S // 2, 61 * NS_PER_S // 2)


def test_a_fault_is_not_told_again_by_the_next_agent_but_is_after_the_clocks_agreed(
    store: Store, anchoring: Anchoring, clock: FakeClock
) -> None:
    def hours_apart(agent: Anchoring, shift_s: float) -> None:
        clock.advance(ANCHOR_EVERY_NS / NS_PER_S)
        agent.see(ntp(clock))
        agent.offer(reply(clock.utc_ns() + round(shift_s * NS_PER_S), 0.0), "province", clock.boottime_ns())

    hours_apart(anchoring, -3600)
    again = Anchoring(store, clock)
    hours_apart(again, -3600)
    assert len(faults(store)) == 1
    hours_apart(again, 0)
    hours_apart(again, -3600)
    assert [fault["apart_ms"] for fault in faults(store)] == [-3_600_000, -3_600_000]


def test_ntp_more_than_a_day_ahead_of_the_platform_is_refused(
    store: Store, anchoring: Anchoring, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    anchoring.offer(reply(clock.utc_ns(), 0.0), "province", clock.boottime_ns())
    for _ in range(60):
        clock.advance(60)
        anchoring.see(ntp(clock, DAY_NS / NS_PER_S + 60))
    assert store.rows("select distinct source from anchors") == [("platform:province",)]
    assert [record.message for record in caplog.records if "ntp" in record.message] != []
    assert len([record for record in caplog.records if "ntp" in record.message]) == 1


def test_a_date_in_2120_is_refused_from_ntp_too(store: Store, anchoring: Anchoring, clock: FakeClock) -> None:
    anchoring.see(Anchor(BOOT, clock.boottime_ns(), 4_733_510_400 * NS_PER_S, NS_PER_S, NTP))
    anchoring.see(Anchor(BOOT, clock.boottime_ns(), 5 * NS_PER_S, NS_PER_S, NTP))
    assert anchored(store) == []


def test_a_database_that_cannot_be_written_does_not_stop_the_one_who_looks_at_the_clock(
    store: Store, anchoring: Anchoring, clock: FakeClock, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "buffer.db")) as other:
        other.execute("begin immediate")
        anchoring.see(ntp(clock))
        other.rollback()
    assert anchored(store) == []
    clock.advance(30)
    anchoring.see(ntp(clock))
    assert anchored(store) == []  # left alone for a while
    clock.advance(30)
    anchoring.see(ntp(clock))
    assert len(anchored(store)) == 1


def test_the_anchor_is_stored_as_its_record_says(store: Store, anchoring: Anchoring, clock: FakeClock) -> None:
    anchoring.offer(reply(clock.utc_ns() + 123_456, 0.0123456), "province", clock.boottime_ns() + 777)
    [(body,)] = store.rows("select body from records where type = 'time_anchor'")
    data = json.loads(body)["data"]
    [row] = anchored(store)
    assert row == tuple(data[name] * 1_000_000 for name in ("boottime_ms", "utc_ms", "error_ms"))


def test_an_anchor_is_a_record_in_the_chain(store: Store, anchoring: Anchoring, clock: FakeClock) -> None:
    anchoring.offer(reply(BOOTED_UTC_NS + 1_500_000), "province", 2000 * NS_PER_S)
    [(body,)] = store.rows("select body from records where type = 'time_anchor'")
    record = json.loads(body)
    [(first_hash,)] = store.rows("select hash from records where seq = 1")
    assert (record["seq"], record["prev_hash"], record["boot_id"]) == (2, first_hash, clock.boot_id)
    assert record["data"] == {
        "boottime_ms": 1_999_750,
        "utc_ms": BOOTED_UTC_NS // 1_000_000 + 1,
        "error_ms": 1251,  # the half millisecond that the record cannot say counts as error
        "source": "platform:province",
    }


def test_after_a_restart_in_the_same_boot_the_anchors_stand(
    store: Store, anchoring: Anchoring, clock: FakeClock
) -> None:
    anchoring.offer(reply(clock.utc_ns()), "province", clock.boottime_ns())
    again = Anchoring(store, clock)
    assert again.anchored.is_set()
    assert utc(again, clock.boottime_ns()) == utc(anchoring, clock.boottime_ns())
    another_boot = Anchoring(store, FakeClock(boot_id="0b54c7fb-7c3c-4a83-9d2f-3a1a3f5a2b10"))
    assert not another_boot.anchored.is_set()
    assert another_boot.utc("0b54c7fb-7c3c-4a83-9d2f-3a1a3f5a2b10", clock.boottime_ns()) is None
    assert utc(another_boot, clock.boottime_ns()) == utc(anchoring, clock.boottime_ns())


@pytest.mark.parametrize("utc_ns", [None, 0, BUILT_UTC_NS - 1, LATEST_UTC_NS + 1, -(10**18)])
def test_a_time_that_cannot_be_is_no_anchor_and_is_said_once(
    store: Store, anchoring: Anchoring, clock: FakeClock, caplog: pytest.LogCaptureFixture, utc_ns: int | None
) -> None:
    for _ in range(5):
        anchoring.offer(reply(utc_ns), "province", clock.boottime_ns())
    assert anchored(store) == []
    assert not anchoring.anchored.is_set()
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == (utc_ns is not None)


def test_a_boot_that_never_learned_the_time_is_bounded_as_soon_as_this_one_has(
    tmp_path: Path, clock: FakeClock
) -> None:
    first, second = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
    (tmp_path / "three-boots").mkdir()
    store = Store(tmp_path / "three-boots", "box-1")
    for boot_id in (first, second, BOOT):
        store.begin_epoch(Start(boot_id, 1000 * NS_PER_S, "0.1.0", "0" * 64))
    with store.write() as change:
        save_anchor(change, Anchor(first, 1000 * NS_PER_S, BOOTED_UTC_NS, NS_PER_S, NTP))
    anchoring = Anchoring(store, clock)
    assert anchoring.utc(second, 1000 * NS_PER_S) is None
    anchoring.see(ntp(clock))
    assert anchoring.utc(second, 1000 * NS_PER_S) == Utc(BOOTED_UTC_NS + 500 * NS_PER_S, 501 * NS_PER_S)
    store.close()
