"""The clock of the machine, and the fake one the other tests go by."""

import threading
import time
import uuid
from pathlib import Path

import pytest
from fake_clock import FakeClock

from instrument_agent.clock import SystemClock, read_boot_id


def test_boot_time_is_that_of_the_machine_and_utc_its_wall_clock() -> None:
    clock = SystemClock()
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME), time.time_ns()
    now = clock.boottime_ns(), clock.utc_ns()
    after = time.clock_gettime_ns(time.CLOCK_BOOTTIME), time.time_ns()
    assert before[0] <= now[0] <= after[0]
    assert before[1] <= now[1] <= after[1]


def test_the_boot_id_is_the_kernels_with_hyphens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BOOT_ID", raising=False)
    kernel = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    assert read_boot_id() == kernel == SystemClock().boot_id


def test_the_boot_id_of_systemd_comes_first_and_gets_its_hyphens(monkeypatch: pytest.MonkeyPatch) -> None:
    boot_id = uuid.uuid4()
    monkeypatch.setenv("BOOT_ID", boot_id.hex)
    assert read_boot_id() == str(boot_id)


def test_waiting_says_whether_the_event_came() -> None:
    clock, event = SystemClock(), threading.Event()
    assert not clock.wait(event, 0.01)
    assert not clock.wait(event, -1.0)
    event.set()
    assert clock.wait(event, 10.0)


def test_a_fake_clock_wakes_those_whose_time_has_come_and_no_others(clock: FakeClock) -> None:
    event = threading.Event()
    woken: list[tuple[float, bool]] = []

    def sleep(seconds: float) -> None:
        woken.append((seconds, clock.wait(event, seconds)))

    sleepers = [threading.Thread(target=sleep, args=(seconds,)) for seconds in (5.0, 10.0, 99.0)]
    for sleeper in sleepers:
        sleeper.start()
    clock.await_waiting(3)
    clock.advance(4.0)
    clock.await_waiting(3)
    clock.advance(1.0)
    sleepers[0].join(10)
    clock.await_waiting(2)
    clock.advance(5.0)
    sleepers[1].join(10)
    clock.await_waiting(1)
    event.set()
    sleepers[2].join(10)
    assert woken == [(5.0, False), (10.0, False), (99.0, True)]
