"""When a platform's reply becomes an anchor of time, and how far that anchor may be off."""

import json
import logging

import pytest
from fake_clock import BOOTED_UTC_NS, FakeClock

from instrument_agent.buffer.store import Store
from instrument_agent.core.readings import NS_PER_S
from instrument_agent.uplink.anchoring import ANCHOR_EVERY_NS, EARLIEST_UTC_NS, LATEST_UTC_NS, Anchoring
from instrument_agent.uplink.http import Reply

HOUR_S = 3600


def reply(utc_ns: int | None, round_trip_s: float = 0.5) -> Reply:
    return Reply({}, round_trip_s, utc_ns)


def anchored(store: Store) -> list[tuple[int, int, int]]:
    rows = store.rows("select boottime_ns, utc_ns, error_ns from anchors order by boottime_ns")
    return [(boottime_ns, utc_ns, error_ns) for boottime_ns, utc_ns, error_ns in rows]


def test_the_first_reply_is_an_anchor_off_by_half_the_trip_and_a_second(
    store: Store, anchoring: Anchoring, clock: FakeClock
) -> None:
    assert not anchoring.anchored.is_set()
    assert anchoring.utc(clock.boottime_ns()) is None
    anchoring.offer(reply(BOOTED_UTC_NS), "province", 2000 * NS_PER_S)
    assert anchored(store) == [(1_999_750_000_000, BOOTED_UTC_NS, 1_250_000_000)]
    assert anchoring.anchored.is_set()


def test_utc_follows_from_it_with_an_error_that_grows(anchoring: Anchoring) -> None:
    anchoring.offer(reply(BOOTED_UTC_NS, 0.0), "province", 2000 * NS_PER_S)
    later = anchoring.utc((2000 + 10_000) * NS_PER_S)
    assert later is not None
    assert (later.utc_ns, later.error_ns) == (BOOTED_UTC_NS + 10_000 * NS_PER_S, 2 * NS_PER_S)


def test_another_one_is_written_only_after_six_hours(store: Store, anchoring: Anchoring, clock: FakeClock) -> None:
    for _ in range(24 * 60):
        anchoring.offer(reply(clock.utc_ns(), 0.0), "province", clock.boottime_ns())
        clock.advance(60)
    times_s = [boottime_ns // NS_PER_S for boottime_ns, _utc_ns, _error_ns in anchored(store)]
    assert times_s == [1000, 1000 + 6 * HOUR_S, 1000 + 12 * HOUR_S, 1000 + 18 * HOUR_S]


def test_all_destinations_share_the_anchors(store: Store, anchoring: Anchoring, clock: FakeClock) -> None:
    anchoring.offer(reply(clock.utc_ns()), "province", clock.boottime_ns())
    anchoring.offer(reply(clock.utc_ns()), "university", clock.boottime_ns() + ANCHOR_EVERY_NS - NS_PER_S)
    assert len(anchored(store)) == 1


def test_an_anchor_is_a_record_in_the_chain(store: Store, anchoring: Anchoring, clock: FakeClock) -> None:
    anchoring.offer(reply(BOOTED_UTC_NS + 1_500_000), "province", 2000 * NS_PER_S)
    [(body,)] = store.rows("select body from records where type = 'time_anchor'")
    record = json.loads(body)
    [(first_hash,)] = store.rows("select hash from records where seq = 1")
    assert (record["seq"], record["prev_hash"], record["boot_id"]) == (2, first_hash, clock.boot_id)
    assert record["data"] == {
        "boottime_ms": 1_999_750,
        "utc_ms": BOOTED_UTC_NS // 1_000_000 + 1,
        "error_ms": 1250,
        "source": "platform:province",
    }


def test_after_a_restart_in_the_same_boot_the_anchors_stand(
    store: Store, anchoring: Anchoring, clock: FakeClock
) -> None:
    anchoring.offer(reply(clock.utc_ns()), "province", clock.boottime_ns())
    again = Anchoring(store, clock)
    assert again.anchored.is_set()
    assert again.utc(clock.boottime_ns()) == anchoring.utc(clock.boottime_ns())
    another_boot = Anchoring(store, FakeClock(boot_id="0b54c7fb-7c3c-4a83-9d2f-3a1a3f5a2b10"))
    assert not another_boot.anchored.is_set()
    assert another_boot.utc(clock.boottime_ns()) is None


@pytest.mark.parametrize("utc_ns", [None, 0, EARLIEST_UTC_NS - 1, LATEST_UTC_NS + 1, -(10**18)])
def test_a_time_that_cannot_be_is_no_anchor_and_is_said_once(
    store: Store, anchoring: Anchoring, clock: FakeClock, caplog: pytest.LogCaptureFixture, utc_ns: int | None
) -> None:
    for _ in range(5):
        anchoring.offer(reply(utc_ns), "province", clock.boottime_ns())
    assert anchored(store) == []
    assert not anchoring.anchored.is_set()
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == (utc_ns is not None)
