"""An instrument nobody has explained: observed first, judged once there is no doubt, and never looked back on."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_clock import FakeClock

from instrument_agent.buffer.books import configured_data, intervals
from instrument_agent.buffer.store import Start, Store
from instrument_agent.buffer.verify import verify
from instrument_agent.commission import learning
from instrument_agent.commission.sketch import KEPT_S, Sketch
from instrument_agent.commission.unattended import FIRST_S, Unattended
from instrument_agent.commission.verdict import Proposal
from instrument_agent.config import InstrumentConfig, load_config
from instrument_agent.core.readings import Activity, FailedRead, Observation, UnknownReason
from instrument_agent.poll.recorder import Recorder
from instrument_agent.resuming import Resuming
from instrument_agent.sandbox.loads import bench_loads
from instrument_agent.self_learning import self_learning

CONFIG = """[box]
id = "box-1"
[[instrument]]
id = "ms-1"
[instrument.driver]
name = "mock"
script = [800.0]
[instrument.activity]
"""
EVERY_S = 10
HOUR_S = 3600


@pytest.fixture
def instrument(tmp_path: Path) -> InstrumentConfig:
    (tmp_path / "box.toml").write_text(CONFIG, encoding="utf-8")
    return load_config(tmp_path / "box.toml").instruments[0]


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[Store]:
    store = Store(tmp_path, "box-1")
    store.begin_epoch(Start(clock.boot_id, clock.boottime_ns(), "1", "hash"))
    yield store
    store.close()


class Box:
    """One instrument that stands by for 70 minutes and runs for 50, again and again; its loops are turned by hand."""

    def __init__(self, store: Store, clock: FakeClock, instrument: InstrumentConfig) -> None:
        self.clock = clock
        self.recorder = Recorder(store, clock, checkpoint_s=3600)
        Resuming(store, clock, 3600).take_up(instrument, self.recorder)
        self.learning = self_learning([instrument], self.recorder, clock)
        self._noise = random.Random(7)

    def watts(self) -> float:
        return (800 if self.clock.now_s % 7200 < 4200 else 2400) * (1 + self._noise.gauss(0, 0.01))

    def watch(self, seconds: float) -> None:
        for _turn in range(round(seconds / EVERY_S)):
            self.clock.advance(EVERY_S)
            self.recorder.take("ms-1", Observation(self.clock.boottime_ns(), {"power_w": self.watts()}))
            for loop in self.learning:
                assert isinstance(loop, Unattended)
                loop.look(self.clock.now_s)


def test_it_is_unknown_until_it_is_learned_and_judged_from_then_on(
    store: Store, clock: FakeClock, instrument: InstrumentConfig
) -> None:
    box = Box(store, clock, instrument)
    began_ns = clock.boottime_ns()
    box.watch(FIRST_S - EVERY_S)
    now = box.recorder.live("ms-1")
    assert (now.activity, now.reason) == (Activity.UNKNOWN, UnknownReason.NOT_CALIBRATED)
    assert "rules" not in configured_data(store, "ms-1")

    box.watch(EVERY_S)
    learned_ns = clock.boottime_ns()
    box.watch(4 * HOUR_S)
    box.recorder.checkpoint()
    announced = configured_data(store, "ms-1")
    assert announced["rules_origin"] == "learned"
    assert 800 < float(announced["rules"]["run_below"]) < float(announced["rules"]["run_above"]) < 2400
    first, *others = intervals(store, "ms-1", clock.boot_id)
    assert (first.activity, first.reason) == (Activity.UNKNOWN, UnknownReason.NOT_CALIBRATED)
    assert first.start_ns == began_ns
    assert abs(first.end_ns - learned_ns) <= 2 * EVERY_S * 1e9
    assert {item.activity for item in others} == {Activity.STANDBY, Activity.RUNNING}
    runs = [json.loads(body)["data"] for (body,) in store.rows("select body from records where type = 'run_session'")]
    assert runs
    assert all(run["start_ms"] * 1_000_000 >= first.end_ns for run in runs)
    assert any(abs(run["running_ms"] / 1000 - 3000) < 3 * EVERY_S for run in runs)
    assert verify(store, None).differences == []


def test_what_was_learned_is_kept_over_a_restart_and_not_learned_again(
    store: Store, clock: FakeClock, instrument: InstrumentConfig
) -> None:
    box = Box(store, clock, instrument)
    box.watch(FIRST_S + EVERY_S)
    box.recorder.checkpoint()
    again = Box(store, clock, instrument)
    assert again.learning == []
    assert again.recorder.watched()["ms-1"].rules == box.recorder.watched()["ms-1"].rules
    again.watch(EVERY_S)
    again.recorder.checkpoint()
    (count,) = store.rows("select count(*) from records where type = 'lifecycle_event'")
    assert count == (2,)  # watched without thresholds, and judged by these


def test_a_sensor_that_shows_nothing_is_not_called_uncalibrated(
    store: Store, clock: FakeClock, instrument: InstrumentConfig
) -> None:
    box = Box(store, clock, instrument)
    for _minute in range(5):
        clock.advance(60)
        box.recorder.take("ms-1", FailedRead(clock.boottime_ns(), UnknownReason.DRIVER_UNAVAILABLE))
    assert box.recorder.live("ms-1").reason is UnknownReason.DRIVER_UNAVAILABLE


@pytest.mark.parametrize(
    ("name", "hours", "learned"), [("LCMS-01", 24, True), ("UCF-01", 9, False), ("XRD-01", 12, False)]
)
def test_only_what_is_beyond_doubt_is_taken_up(
    clock: FakeClock, instrument: InstrumentConfig, name: str, hours: int, *, learned: bool
) -> None:
    load = next(load for load in bench_loads(86_400.0) if load.instrument_id == name)
    found: list[Proposal] = []
    start_s = clock.now_s

    def latest(_name: str) -> Observation:
        return Observation(clock.boottime_ns(), {"power_w": load.power_w(clock.now_s - start_s)})

    loop = Unattended(clock, [instrument], latest, lambda _instrument, proposal: found.append(proposal))
    for _turn in range(hours * 360 + 1):
        loop.look(clock.now_s)
        clock.advance(EVERY_S)
    assert bool(found) == learned


def test_a_sketch_keeps_two_days_and_leaves_silences_as_they_are() -> None:
    sketch = Sketch(100.0, 10.0)
    for number in range(20_000):
        if not 500 <= number < 600:
            sketch.put(100.0 + 10 * number, float(number))
    kept = list(sketch)
    assert kept == list(sketch)
    assert len(kept) * 10 <= KEPT_S
    assert kept[-1] == (100.0 + 10 * 19_999, 19_999.0)
    assert all(at_s == 100.0 + 10 * value for at_s, value in kept)
    sketch.put(100.0 + 10 * 20_100, 1.0)
    assert list(sketch)[-1] == (100.0 + 10 * 20_100, 1.0)
    assert list(sketch)[-2] == kept[-1]


def test_a_sketch_begins_anew_after_a_silence_as_long_as_itself() -> None:
    sketch = Sketch(0.0, 10.0)
    sketch.put(0.0, 1.0)
    sketch.put(10.0 * KEPT_S, 2.0)
    assert list(sketch) == [(10.0 * KEPT_S, 2.0)]
    assert sketch.seen_s == 10.0


def test_a_mistake_in_learning_is_told_and_watching_goes_on(
    store: Store,
    clock: FakeClock,
    instrument: InstrumentConfig,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    box = Box(store, clock, instrument)
    with monkeypatch.context() as broken:
        broken.setattr(learning, "LEAST_READINGS", "sixty")  # whatever is wrong with it: it raises TypeError
        box.watch(FIRST_S)
    assert "it is tried again in an hour" in caplog.text
    box.watch(HOUR_S)
    box.recorder.checkpoint()
    assert configured_data(store, "ms-1")["rules_origin"] == "learned"
