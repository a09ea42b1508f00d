"""The time from the start of a boot until the agent started: why nothing was seen in it."""

from pathlib import Path

import pytest
from fake_clock import FakeClock
from rich.console import Console

from instrument_agent.buffer.books import intervals
from instrument_agent.buffer.store import Start, Store
from instrument_agent.cli.status import status_view
from instrument_agent.config import load_config
from instrument_agent.core.readings import NS_PER_S, Observation
from instrument_agent.poll.recorder import Recorder
from instrument_agent.resuming import Resuming
from instrument_agent.snapshot import stopped_status

CONFIG = """[box]
id = "box-1"
state_dir = "state"
runtime_dir = "run"
[[instrument]]
id = "xrd-1"
[instrument.driver]
name = "mock"
script = [20.0]
[instrument.activity]
off_below = 5
run_above = 1000
"""


@pytest.mark.parametrize(
    ("started_s", "told"),
    [
        (60, [("power_loss", 0, 61)]),
        (7200, [("power_loss", 0, 600), ("agent_stopped", 600, 7201)]),
    ],
)
def test_a_box_that_is_on_for_long_without_its_agent_is_not_told_to_be_without_power(
    tmp_path: Path, started_s: int, told: list[tuple[str, int, int]]
):
    (tmp_path / "box.toml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "state").mkdir()
    instrument = load_config(tmp_path / "box.toml").instruments[0]
    store = Store(tmp_path / "state", "box-1")
    for boot_id, at_s in (("boot-1", 10), ("boot-2", started_s)):
        clock = FakeClock(at_s, boot_id)
        resuming = Resuming(store, clock, 120)
        store.begin_epoch(Start(boot_id, clock.boottime_ns(), "0", "x"))
        recorder = Recorder(store, clock, 120)
        resuming.take_up(instrument, recorder)
        for second in range(1, 200):
            recorder.take("xrd-1", Observation((at_s + second) * NS_PER_S, {"power_w": 20.0}))
        recorder.checkpoint()
    chain = intervals(store, "xrd-1", "boot-2")
    store.close()
    assert [(item.reason, item.start_ns // NS_PER_S, item.end_ns // NS_PER_S) for item in chain] == told


def test_what_failed_before_the_agent_ended_is_not_told_of_the_time_without_it(tmp_path: Path):
    (tmp_path / "box.toml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "state").mkdir()
    instrument = load_config(tmp_path / "box.toml").instruments[0]
    store = Store(tmp_path / "state", "box-1")
    for started_s, value in ((10, None), (50_000, 20.0)):
        clock = FakeClock(started_s, "boot-1")
        resuming = Resuming(store, clock, 120)
        store.begin_epoch(Start("boot-1", clock.boottime_ns(), "0", "x"))
        recorder = Recorder(store, clock, 120)
        resuming.take_up(instrument, recorder)
        for second in range(1, 600):
            recorder.take("xrd-1", Observation((started_s + second) * NS_PER_S, {"power_w": value}))
        recorder.checkpoint()
    chain = intervals(store, "xrd-1", "boot-1")
    store.close()
    assert [(item.reason, item.start_ns // NS_PER_S, item.end_ns // NS_PER_S) for item in chain] == [
        ("implausible_reading", 10, 609),
        ("agent_crashed", 609, 50_001),
    ]


@pytest.mark.parametrize(
    ("boot_id", "now_s", "reason", "said"),
    [
        ("boot-1", 300, "agent_crashed", "no agent is running"),
        ("boot-2", 300, "power_loss", "no agent is running, and none has run in this boot"),
        ("boot-2", 900, "agent_stopped", "no agent is running, and none has run in this boot"),
    ],
)
def test_a_status_without_an_agent_says_no_more_than_is_known_of_this_boot(
    tmp_path: Path, boot_id: str, now_s: int, reason: str, said: str
):
    (tmp_path / "box.toml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "state").mkdir()
    config = load_config(tmp_path / "box.toml")
    store, clock = Store(tmp_path / "state", "box-1"), FakeClock(10, "boot-1")
    resuming = Resuming(store, clock, 120)
    store.begin_epoch(Start("boot-1", clock.boottime_ns(), "0", "x"))
    recorder = Recorder(store, clock, 120)
    resuming.take_up(config.instruments[0], recorder)
    recorder.checkpoint()
    store.close()
    found = stopped_status(config, FakeClock(now_s, boot_id))
    assert found["instruments"][0]["reason"] == reason
    console = Console(width=160)
    with console.capture() as shown:
        console.print(status_view(found, "Asia/Shanghai"))
    assert said in shown.get()
    assert "had no power" not in shown.get()
    assert ("the agent crashed" in shown.get()) == (reason == "agent_crashed")
