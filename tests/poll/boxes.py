"""An instrument on a bus with a real database behind it, for the tests of the poll room."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fake_clock import FakeClock

from instrument_agent.buffer.store import Start, Store
from instrument_agent.core.activity import Rules
from instrument_agent.core.errors import DeviceUnavailable
from instrument_agent.core.readings import NS_PER_S, Channel, Observation, Value
from instrument_agent.core.step import begin
from instrument_agent.poll.recorder import Recorder, Watched

RULES = Rules(
    channel="power_w",
    off_below=5.0,
    run_above=100.0,
    run_below=100.0,
    min_on_ns=2 * NS_PER_S,
    min_off_ns=2 * NS_PER_S,
    off_settle_ns=1 * NS_PER_S,
    gap_ns=60 * NS_PER_S,
    bridge_ns=300 * NS_PER_S,
)
STANDBY_W, RUNNING_W = 20.0, 500.0

Act = Value | BaseException | Mapping[str, Value] | Callable[[], Value]


@dataclass
class Lab:
    """A driver as a third party might write it: it does what ``acts`` say, one after the other, the last for ever.

    ``opened``, ``closed`` and ``read_s`` say what was asked of it.
    """

    acts: list[Act]
    clock: FakeClock
    open_error: BaseException | None = None
    opened: int = 0
    closed: int = 0
    read_s: list[float] = field(default_factory=list)

    @property
    def channels(self) -> Sequence[Channel]:
        return [Channel("power_w", "W", -100.0, 5000.0)]

    def open(self) -> None:
        self.opened += 1
        if self.open_error is not None:
            raise self.open_error

    def read(self, timeout_s: float) -> Mapping[str, Value]:
        self.read_s.append(self.clock.now_s)
        act = self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]
        if isinstance(act, BaseException):
            raise act
        if isinstance(act, Mapping):
            return act
        return {"power_w": act() if callable(act) else act}

    def close(self) -> None:
        self.closed += 1


@dataclass
class Hanging:
    """A read that returns only when the test says so; ``reached`` is set once it hangs."""

    value: float = RUNNING_W
    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def __call__(self) -> float:
        self.reached.set()
        assert self.released.wait(30.0)
        return self.value


def lost() -> DeviceUnavailable:
    return DeviceUnavailable("no answer", "check the cable")


@contextmanager
def opened(state_dir: Path, clock: FakeClock) -> Iterator[Store]:
    store = Store(state_dir, "box-1")
    store.begin_epoch(Start(clock.boot_id, clock.boottime_ns(), "0.1.0", "0" * 64))
    yield store
    store.close()


def watching(store: Store, clock: FakeClock, *names: str, checkpoint_s: float = 120.0) -> Recorder:
    recorder = Recorder(store, clock, checkpoint_s)
    for name in names:
        recorder.watch(name, Watched(RULES, begin(clock.boot_id, clock.boottime_ns())))
    return recorder


def observed(at_s: float, watts: Value) -> Observation:
    return Observation(round(at_s * NS_PER_S), {"power_w": watts})


class Commits:
    """Counts the transactions a store really commits."""

    def __init__(self, store: Store) -> None:
        self.count = 0
        store._connection.set_trace_callback(self._traced)

    def _traced(self, statement: str) -> None:
        self.count += statement.lower() == "commit"
