"""A bus that hangs makes the agent start itself anew: once, recorded, and not again within the hour of that boot."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_clock import FakeClock

from instrument_agent.buffer.store import Start, Store
from instrument_agent.hung import HungBuses

OTHER_BOOT = "0b5c3b0e-7c1f-4c8e-9d3a-2f6a8f1f2b11"


@pytest.fixture(autouse=True)
def systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[Store]:
    store = Store(tmp_path, "box-1")
    store.begin_epoch(Start(clock.boot_id, clock.boottime_ns(), "1.0", "c0ffee"))
    yield store
    store.close()


def waited_until_due(buses: HungBuses, clock: FakeClock, hung: list[str], at_most_s: int) -> int | None:
    """Return after how many seconds a restart was due."""
    for second in range(at_most_s):
        if buses.restart_due(hung):
            return second
        clock.advance(1)
    return None


def test_a_bus_that_hangs_for_a_minute_is_worth_a_restart_and_that_is_on_record(store: Store, clock: FakeClock) -> None:
    assert waited_until_due(HungBuses(store, clock), clock, ["/dev/ttyUSB0"], 100) == 60
    [(kind, buses)] = store.rows(
        "select json_extract(body, '$.data.kind'), json_extract(body, '$.data.buses') from records where type = 'fault'"
    )
    assert (kind, buses) == ("restart_for_hung_bus", "/dev/ttyUSB0")


def test_a_bus_that_comes_back_within_the_minute_is_forgiven(store: Store, clock: FakeClock) -> None:
    buses = HungBuses(store, clock)
    assert waited_until_due(buses, clock, ["a"], 59) is None
    assert not buses.restart_due([])
    assert waited_until_due(buses, clock, ["a"], 59) is None


def test_the_next_process_leaves_it_alone_for_the_rest_of_the_hour_and_then_tries_again(
    store: Store, clock: FakeClock
) -> None:
    assert waited_until_due(HungBuses(store, clock), clock, ["a"], 100) == 60
    assert waited_until_due(HungBuses(store, clock), clock, ["a", "b"], 4000) == 3600


def test_a_restart_in_another_boot_was_long_ago(store: Store, clock: FakeClock) -> None:
    assert waited_until_due(HungBuses(store, clock), clock, ["a"], 100) == 60
    clock.boot_id = OTHER_BOOT
    assert waited_until_due(HungBuses(store, clock), clock, ["a"], 100) == 60


def test_what_cannot_be_recorded_is_not_done(store: Store, clock: FakeClock) -> None:
    buses = HungBuses(store, clock)
    assert waited_until_due(buses, clock, ["a"], 60) is None
    store.close()
    assert waited_until_due(buses, clock, ["a"], 200) is None


def test_in_the_foreground_of_a_terminal_nobody_would_start_it_again(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET")
    assert waited_until_due(HungBuses(store, clock), clock, ["a"], 200) is None
