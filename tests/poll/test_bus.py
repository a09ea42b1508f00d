"""Schedules without drift, late polls left out, and a hung device that holds up nobody but its own bus."""

import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from boxes import RUNNING_W, STANDBY_W, Act, Hanging, Lab, lost, watching
from fake_clock import FakeClock

from instrument_agent.buffer.books import intervals
from instrument_agent.buffer.store import Store
from instrument_agent.core.errors import StoreUnavailable
from instrument_agent.core.readings import NS_PER_S, Activity, UnknownReason
from instrument_agent.poll.bus import Bus, Station
from instrument_agent.poll.guard import Guard
from instrument_agent.poll.recorder import Recorder

STUCK_AFTER_S = 0.05


@pytest.fixture
def recorder(store: Store, clock: FakeClock) -> Recorder:
    return watching(store, clock, "A", "B", "C")


Buses = Callable[..., Bus]


@pytest.fixture
def bus_of(recorder: Recorder, clock: FakeClock) -> Iterator[Buses]:
    """Make buses of instruments that are polled once a second, and stop them in the end."""
    made: list[Bus] = []

    def make(labs: dict[str, Lab], poll_s: float = 1.0) -> Bus:
        bus = Bus("-".join(labs), clock, recorder, STUCK_AFTER_S)
        for name, lab in labs.items():
            bus.add(Station(name, Guard(name, lab, clock, 0.5, poll_s), round(poll_s * NS_PER_S)))
        made.append(bus)
        return bus

    yield make
    for bus in made:
        bus.stop()
        if bus.ident is not None:
            bus.join(10)
            assert not bus.is_alive()


def lab(clock: FakeClock, *acts: Act) -> Lab:
    return Lab(list(acts), clock)


def slow(clock: FakeClock, seconds: float) -> Callable[[], float]:
    def read() -> float:
        clock.advance(seconds)
        return STANDBY_W

    return read


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for something that only real time brings about."""
    end_s = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end_s
        threading.Event().wait(0.01)


def test_polls_keep_to_their_schedule_however_long_a_read_takes(clock: FakeClock, bus_of: Buses) -> None:
    quick, lame = lab(clock, STANDBY_W), lab(clock, slow(clock, 0.3))
    bus_of({"A": quick}).start()
    clock.run(10)
    assert quick.read_s == [1000.0 + second for second in range(11)]
    bus_of({"B": lame}).start()
    clock.run(20, threads=2)
    assert lame.read_s == [1010.0 + second for second in range(21)]


def test_late_polls_are_left_out_and_not_made_up_for(clock: FakeClock, bus_of: Buses) -> None:
    device = lab(clock, STANDBY_W, slow(clock, 3.4), STANDBY_W)
    bus_of({"A": device}).start()
    clock.run(8)
    assert device.read_s == [1000.0, 1001.0, 1005.0, 1006.0, 1007.0, 1008.0]


def test_a_read_that_ends_exactly_when_the_next_is_due_leaves_that_one_out(clock: FakeClock, bus_of: Buses) -> None:
    device = lab(clock, slow(clock, 1.0), STANDBY_W)
    bus_of({"A": device}).start()
    clock.run(3)
    assert device.read_s == [1000.0, 1002.0, 1003.0, 1004.0]


def test_on_a_bus_that_is_too_slow_for_its_instruments_none_is_left_out(clock: FakeClock, bus_of: Buses) -> None:
    labs = {name: lab(clock, slow(clock, 0.7)) for name in "ABC"}
    bus = bus_of(labs)

    def last() -> float:
        bus.stop()
        return STANDBY_W

    labs["C"].acts = [*[slow(clock, 0.7)] * 20, last]
    bus.start()
    bus.join(10)
    for device in labs.values():
        pauses_s = [after - before for before, after in zip(device.read_s, device.read_s[1:], strict=False)]
        assert max(pauses_s) <= 1.0 + 3 * 0.7
        assert len(pauses_s) >= 20


def test_a_lost_instrument_does_not_cost_its_neighbours_a_poll(
    clock: FakeClock, bus_of: Buses, recorder: Recorder
) -> None:
    def silent() -> float:
        clock.advance(0.5)
        raise lost()

    dead, alive = lab(clock, silent), lab(clock, STANDBY_W)
    bus = bus_of({"A": dead, "B": alive})
    bus.start()
    clock.run(120)
    assert len(alive.read_s) == 121
    assert len(dead.read_s) < 15
    assert recorder.live("A").reason is UnknownReason.DRIVER_UNAVAILABLE
    assert recorder.live("B").activity is Activity.STANDBY
    health = bus.health()
    assert health["A"].failing is UnknownReason.DRIVER_UNAVAILABLE
    assert health["B"].failing is None


def test_a_hung_bus_never_delays_another(clock: FakeClock, bus_of: Buses, recorder: Recorder) -> None:
    hanging = Hanging()
    hung, well = bus_of({"A": lab(clock, hanging)}), bus_of({"B": lab(clock, STANDBY_W)})
    hung.start()
    assert hanging.reached.wait(10)
    well.start()
    clock.run(30)
    assert [health.reads for health in well.health().values()] == [31]
    eventually(lambda: hung.stuck)
    clock.run(1)
    assert not well.stuck
    hanging.released.set()
    clock.run(3, threads=2)
    assert not hung.stuck
    assert recorder.live("A").activity is not Activity.UNKNOWN


def test_a_hung_bus_is_told_and_its_late_answer_is_taken(
    clock: FakeClock, bus_of: Buses, recorder: Recorder, store: Store
) -> None:
    hanging = Hanging(value=STANDBY_W)
    bus = bus_of({"A": lab(clock, RUNNING_W, RUNNING_W, RUNNING_W, RUNNING_W, hanging, STANDBY_W)})
    bus.start()
    clock.run(3)
    clock.advance(1)
    assert hanging.reached.wait(10)
    for _ in range(400):
        clock.advance(1)
        bus.tell_hung()
    now = recorder.live("A")
    assert (now.activity, now.reason) == (Activity.UNKNOWN, UnknownReason.DRIVER_HUNG)
    hanging.released.set()
    clock.run(5)
    assert recorder.live("A").activity is Activity.STANDBY
    closed = intervals(store, "A", clock.boot_id)
    assert [(item.activity, item.reason) for item in closed] == [
        (Activity.RUNNING, None),
        (Activity.UNKNOWN, UnknownReason.DRIVER_HUNG),
    ]
    assert closed[-1].end_ns - closed[-1].start_ns == pytest.approx(401 * NS_PER_S, abs=2 * NS_PER_S)
    assert all(after.start_ns == before.end_ns for before, after in pairwise(closed))


def test_stopping_ends_the_loop_at_once_and_closes_the_ports(clock: FakeClock, bus_of: Buses) -> None:
    labs = {"A": lab(clock, STANDBY_W), "B": lab(clock, STANDBY_W)}
    bus = bus_of(labs, poll_s=3600.0)
    bus.start()
    clock.await_waiting()
    bus.stop()
    bus.join(5)
    assert not bus.is_alive()
    assert [device.closed for device in labs.values()] == [1, 1]


def test_sensing_goes_on_while_the_database_cannot_be_written(
    clock: FakeClock, bus_of: Buses, recorder: Recorder, store: Store
) -> None:
    store._connection.execute("pragma query_only=1")
    device = lab(clock, *[STANDBY_W] * 30, RUNNING_W)
    bus = bus_of({"A": device})
    bus.start()
    clock.run(300)
    assert len(device.read_s) == 301
    assert recorder.storage_error
    assert recorder.live("A").activity is Activity.RUNNING
    store._connection.execute("pragma query_only=0")
    clock.run(20)
    assert recorder.storage_error == ""
    assert [item.activity for item in intervals(store, "A", clock.boot_id)] == [Activity.STANDBY]


def test_a_bug_in_the_books_ends_the_bus_and_is_noticed(clock: FakeClock, bus_of: Buses, recorder: Recorder) -> None:
    died = threading.Event()

    def fail() -> None:
        raise StoreUnavailable("a listener must not raise")

    recorder.on_change(fail)
    device = lab(clock, STANDBY_W)
    bus = bus_of({"A": device})
    bus.on_death = died.set
    bus.start()
    clock.await_waiting()
    clock.advance(1)
    assert died.wait(10)
    bus.join(10)
    assert device.closed == 1
