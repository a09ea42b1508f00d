"""A clamp and its witness in the books: a contradiction begins and ends there once, whatever happens in between."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fake_clock import FakeClock

from instrument_agent.buffer.faults import told
from instrument_agent.buffer.store import Start, Store
from instrument_agent.buffer.verify import verify
from instrument_agent.config import Config, load_config
from instrument_agent.core.readings import NS_PER_S, FailedRead, Observation, UnknownReason
from instrument_agent.core.step import begin
from instrument_agent.poll.recorder import Recorder, Watched
from instrument_agent.receiver.wire_schemas import whole
from instrument_agent.witnesses import Witnesses

CONFIG = """[box]
id = "box-1"
[[instrument]]
id = "xrd-1"
[instrument.driver]
name = "mock"
script = [600.0]
[instrument.activity]
off_below = 5
run_above = 500
witness = "lamp-1"
[[instrument]]
id = "lamp-1"
[instrument.driver]
name = "mock"
script = [0]
channel = "lamp"
[instrument.activity]
channel = "lamp"
states = { 1 = "running", 0 = "standby" }
"""
OTHER_BOOT = "0b5c3b0e-7c1f-4c8e-9d3a-2f6a8f1f2b11"
DARK, LIT, OFF_W, RUNNING_W = 0.0, 1.0, 0.0, 600.0
EVERY_S = 30


@pytest.fixture
def config(tmp_path: Path) -> Config:
    path = tmp_path / "box.toml"
    path.write_text(CONFIG, encoding="utf-8")
    return load_config(path)


@dataclass
class Box:
    """Two instruments, read by hand; ``start`` is a start of the agent."""

    store: Store
    clock: FakeClock
    config: Config
    recorder: Recorder = field(init=False)
    witnesses: Witnesses = field(init=False)

    def start(self) -> None:
        self.recorder = Recorder(self.store, self.clock, 3600.0)
        for item in self.config.instruments:
            state = begin(self.clock.boot_id, self.clock.boottime_ns())
            self.recorder.watch(item.id, Watched(item.activity.rules(), state))
        self.witnesses = Witnesses(self.store, self.clock, self.recorder, self.config)

    def play(self, watts: float | None, lamp: float | None, minutes: float) -> None:
        for _ in range(round(minutes * 60 / EVERY_S)):
            self.clock.advance(EVERY_S)
            for name, channel, value in (("xrd-1", "power_w", watts), ("lamp-1", "lamp", lamp)):
                at_ns = self.clock.boottime_ns()
                lost = FailedRead(at_ns, UnknownReason.DRIVER_UNAVAILABLE)
                self.recorder.take(name, lost if value is None else Observation(at_ns, {channel: value}))
            self.witnesses.compare_if_due()

    def faults(self) -> list[dict[str, Any]]:
        rows = self.store.rows("select body from records where type = 'fault' and instrument_id = 'xrd-1' order by id")
        return [json.loads(body)["data"] for (body,) in rows]

    def phases(self) -> list[str]:
        return [fault["phase"] for fault in self.faults()]


@pytest.fixture
def box(tmp_path: Path, clock: FakeClock, config: Config) -> Iterator[Box]:
    store = Store(tmp_path, "box-1")
    store.begin_epoch(Start(clock.boot_id, clock.boottime_ns(), "1.0", "c0ffee"))
    box = Box(store, clock, config)
    box.start()
    yield box
    store.close()


def test_a_lamp_that_stays_dark_while_the_clamp_runs_is_told_and_so_is_its_end(box: Box) -> None:
    box.play(RUNNING_W, DARK, 30)
    assert (box.faults(), box.witnesses.now("xrd-1")) == ([], {"contradicted_by": None})
    box.play(RUNNING_W, DARK, 30)
    assert box.witnesses.now("xrd-1") == {"contradicted_by": "lamp-1"}
    assert box.witnesses.now("lamp-1") == {"contradicted_by": None}
    box.play(RUNNING_W, LIT, 10)
    pair = {"kind": "witness_disagrees", "since_ms": 1_030_000, "instrument": "xrd-1", "witness": "lamp-1"}
    says = {"instrument_says": "running", "witness_says": "standby"}
    assert box.faults() == [pair | {"phase": "begin"} | says, pair | {"phase": "end"}]
    assert box.witnesses.now("xrd-1") == {"contradicted_by": None}
    properties = whole("fault")["properties"]["data"]["properties"]
    assert set(box.faults()[0]) <= set(properties), "a platform can look up what it means"
    assert len({told(fault) for fault in box.faults()}) == 2
    assert not verify(box.store, None).count


def test_no_time_is_taken_away_for_it(box: Box) -> None:
    box.play(RUNNING_W, DARK, 90)
    assert box.phases() == ["begin"]
    live = [box.recorder.live(name) for name in ("xrd-1", "lamp-1")]
    assert [(item.activity.value, item.since_ns) for item in live] == [
        ("running", 1_030 * NS_PER_S),
        ("standby", 1_030 * NS_PER_S),
    ]


def test_runs_shorter_than_that_and_silences_say_nothing(box: Box) -> None:
    for _ in range(2):
        box.play(RUNNING_W, DARK, 25)
        box.play(OFF_W, DARK, 10)
    for _ in range(2):
        box.play(RUNNING_W, DARK, 25)
        box.play(RUNNING_W, None, 10)
    assert box.faults() == []


def test_a_silence_does_not_end_it(box: Box) -> None:
    box.play(RUNNING_W, DARK, 60)
    box.play(None, DARK, 60)
    assert box.phases() == ["begin"]
    box.play(OFF_W, DARK, 10)
    assert box.phases() == ["begin", "end"]


@pytest.mark.parametrize(("boot_id", "since_ms"), [(None, 1_030_000), (OTHER_BOOT, 0)])
def test_a_restart_tells_nothing_twice_and_forgets_nothing(box: Box, boot_id: str | None, since_ms: int) -> None:
    box.play(RUNNING_W, DARK, 60)
    box.clock.boot_id = boot_id or box.clock.boot_id
    box.start()
    assert box.witnesses.now("xrd-1") == {"contradicted_by": "lamp-1"}
    box.play(RUNNING_W, DARK, 60)
    assert box.phases() == ["begin"]
    box.play(RUNNING_W, LIT, 10)
    assert [(fault["phase"], fault["since_ms"]) for fault in box.faults()] == [("begin", 1_030_000), ("end", since_ms)]
    box.start()
    box.play(RUNNING_W, LIT, 60)
    assert box.phases() == ["begin", "end"]


def test_a_witness_that_is_out_of_use_says_nothing_any_more(box: Box, config: Config) -> None:
    box.config = Config(config.path, config.hash, config.box, config.destinations, config.instruments[:1])
    box.start()
    box.witnesses.compare_if_due()
    box.clock.advance(3600)
    box.witnesses.compare_if_due()
    assert box.witnesses.now("xrd-1") == {"contradicted_by": None}
