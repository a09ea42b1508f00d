"""A person may have registers read while the agent polls: on the bus's own thread, and without holding a poll up."""

import math
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from boxes import RUNNING_W, Hanging, Lab, lost, opened, watching
from fake_clock import FakeClock

from instrument_agent.config import load_config
from instrument_agent.control import ControlServer, ask
from instrument_agent.core.errors import AgentError, DeviceUnavailable
from instrument_agent.core.readings import NS_PER_S, Channel
from instrument_agent.field.access import sources
from instrument_agent.poll import watching as watching_module
from instrument_agent.poll.bus import Bus, Station
from instrument_agent.poll.guard import Guard
from instrument_agent.poll.watching import watching as answers_of

CONFIG = """
[box]
id = "box-1"
state_dir = "state"
runtime_dir = "run"
[[instrument]]
id = "A"
driver = { name = "mock", script = [1.0] }
activity = { off_below = 5, run_above = 500 }
"""


@dataclass
class WordLab(Lab):
    """A driver with registers; ``asked_by`` are the threads that read them."""

    words_error: Exception | None = None
    asked_by: list[str] = field(default_factory=list)

    def read_words(self, timeout_s: float) -> Mapping[tuple[int, int], int]:
        self.asked_by.append(threading.current_thread().name)
        if self.words_error is not None:
            raise self.words_error
        return {(4, 1): 0x1234, (4, 0): 0x4366}


@pytest.fixture
def lab(clock: FakeClock) -> WordLab:
    return WordLab([RUNNING_W], clock)


@pytest.fixture
def bus(tmp_path: Path, clock: FakeClock, lab: WordLab) -> Iterator[Bus]:
    with opened(tmp_path, clock) as store:
        bus = Bus("A", clock, watching(store, clock, "A"), stuck_after_s=30.0)
        bus.add(Station("A", Guard("A", lab, clock, 0.5, 1.0), NS_PER_S))
        yield bus
        bus.stop()
        if bus.ident is not None:
            bus.join(10)
            assert not bus.is_alive()


def test_the_bus_thread_reads_them_between_polls(bus: Bus, lab: WordLab, clock: FakeClock):
    bus.start()
    clock.await_waiting()
    assert bus.words("A", 10.0) == {(4, 0): 0x4366, (4, 1): 0x1234}
    assert lab.asked_by == ["bus A"]
    clock.run(3.0)
    assert lab.read_s == [1000.0, 1001.0, 1002.0, 1003.0]


def test_however_much_is_asked_what_is_due_is_read(bus: Bus, lab: WordLab, clock: FakeClock):
    bus.start()
    clock.await_waiting()
    for _second in range(3):
        clock.advance(1.0)
        bus.words("A", 10.0)
    clock.await_waiting()
    bus.words("A", 10.0)
    assert lab.read_s == [1000.0, 1001.0, 1002.0, 1003.0]


def test_a_device_that_does_not_answer_is_told_to_the_asker_and_harms_no_poll(bus: Bus, lab: WordLab, clock: FakeClock):
    lab.words_error = lost()
    bus.start()
    clock.await_waiting()
    with pytest.raises(DeviceUnavailable, match="no answer"):
        bus.words("A", 10.0)
    assert lab.closed == 1
    clock.run(1.0)
    assert (lab.opened, len(lab.read_s)) == (2, 2)


def test_a_driver_without_registers_has_none(tmp_path: Path, clock: FakeClock):
    guard = Guard("A", Lab([RUNNING_W], clock), clock, 0.5, 1.0)
    assert guard.words() is None


def test_a_hung_bus_keeps_nobody_waiting_for_ever(
    bus: Bus, lab: WordLab, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(watching_module, "RAW_WITHIN_S", 0.05)
    hanging = Hanging()
    lab.acts = [hanging]
    bus.start()
    assert hanging.reached.wait(10)
    answers = answers_of({"A": bus}, bus._recorder, clock)
    with pytest.raises(AgentError, match="busy or hangs"):
        answers["read_raw"]({"instrument": "A"})
    hanging.released.set()
    clock.await_waiting()
    assert bus.words("A", 10.0) is not None
    assert len(lab.asked_by) == 1  # what nobody waits for any more is not asked


@pytest.mark.parametrize("endless", [math.inf, math.nan])
def test_a_channel_without_a_range_is_told_in_strict_json_and_understood(
    tmp_path: Path, bus: Bus, lab: WordLab, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, endless: float
):
    state = Channel("mode", "", -endless, endless, ("idle", "busy"))
    monkeypatch.setattr(WordLab, "channels", [state])
    config = tmp_path / "box.toml"
    config.write_text(CONFIG, encoding="utf-8")
    server = ControlServer(tmp_path / "run", answers_of({"A": bus}, bus._recorder, clock))
    try:
        told = ask(tmp_path / "run", {"do": "watch", "instrument": "A"})["channels"]
        box = load_config(config)
        with sources(box, box.instruments, clock) as (source,):
            understood = source.channels
    finally:
        server.close()
    assert told == [{"name": "mode", "unit": "", "low": None, "high": None, "states": ["idle", "busy"]}]
    assert understood == [Channel("mode", "", -math.inf, math.inf, ["idle", "busy"])]


def test_watch_tells_the_last_reading_the_channels_and_how_reading_goes(bus: Bus, clock: FakeClock):
    answers = answers_of({"A": bus}, bus._recorder, clock)
    assert answers["watch"]({"instrument": "A"})["last"] is None
    bus.start()
    clock.await_waiting()
    found = answers["watch"]({"instrument": "A"})
    assert found["last"] == {"at_ns": clock.boottime_ns(), "values": {"power_w": RUNNING_W}}
    assert found["channels"] == [{"name": "power_w", "unit": "W", "low": -100.0, "high": 5000.0, "states": ()}]
    assert (found["health"]["reads"], found["boottime_ns"]) == (1, clock.boottime_ns())
    assert answers["read_raw"]({"instrument": "A"}) == {"words": [[4, 0, 0x4366], [4, 1, 0x1234]]}
    with pytest.raises(AgentError, match="no instrument B"):
        answers["watch"]({"instrument": "B"})
