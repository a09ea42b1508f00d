"""A box that has watched one instrument for an hour or more: its database, its config file, and no agent."""

import random
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from fake_clock import FakeClock

from instrument_agent.buffer.books import save_anchor, save_configured
from instrument_agent.buffer.store import Start, Store, Transaction
from instrument_agent.config import load_config
from instrument_agent.core.activity import Rules
from instrument_agent.core.anchors import Anchor
from instrument_agent.core.readings import NS_PER_S, FailedRead, Observation, UnknownReason
from instrument_agent.core.records import configured
from instrument_agent.core.step import begin
from instrument_agent.poll.recorder import Recorder, Watched

NAME = "xrd-1"
START_UTC_NS = 1_795_334_400 * NS_PER_S  # 2026-11-22T08:00:00Z, 16:00 in Shanghai
CONFIG = """[box]
id = "box-1"
state_dir = "{folder}"
timezone = "{zone}"

[[instrument]]
id = "xrd-1"  # in the cellar

[instrument.driver]
name = "mock"
script = [20.0]

[instrument.activity]
# found by Li, 2026
off_below = 5.0
run_above = 1600.0
run_below = 1400.0
"""

Stretch = tuple[float | str | Rules | None, int]
"""The level in watts, or a state, or None if it does not answer, and for how many seconds; or rules from then on."""
DAY: Sequence[Stretch] = (
    (800, 600),
    (2400, 900),
    (None, 100),
    (2400, 300),
    (800, 600),
    (2400, 500),
    (None, 400),
    (800, 300),
)


class TracedBox:
    """One box in a folder."""

    def __init__(self, folder: Path, shape: Sequence[Stretch] = DAY, zone: str = "Asia/Shanghai") -> None:
        folder.mkdir(exist_ok=True)
        self.config_path = folder / "config.toml"
        self.config_path.write_text(CONFIG.format(folder=folder, zone=zone), encoding="utf-8")
        self.database = folder / "buffer.db"
        self.clock = FakeClock()
        self.epoch = ""
        self._noise = random.Random(2)
        self._live(folder, shape)

    def _live(self, folder: Path, shape: Sequence[Stretch]) -> None:
        clock, rules = self.clock, load_config(self.config_path).instruments[0].activity.rules()
        store = Store(folder, "box-1")
        self.epoch = store.begin_epoch(Start(clock.boot_id, clock.boottime_ns(), "0.1.0", "c" * 64))

        def first(change: Transaction) -> None:
            data = configured({}, "mock", rules, 1000)
            save_configured(change, NAME, clock.boot_id, clock.boottime_ns(), data)
            save_anchor(change, Anchor(clock.boot_id, clock.boottime_ns(), START_UTC_NS, NS_PER_S, "ntp"))

        recorder = Recorder(store, clock, 120)
        recorder.watch(NAME, Watched(rules, begin(clock.boot_id, clock.boottime_ns())), first)
        for level, seconds in shape:
            if isinstance(level, Rules):
                data = configured({}, "mock", level, 1000)
                at = {"instrument_id": NAME, "boot_id": clock.boot_id, "at_ns": clock.boottime_ns()}
                recorder.judge_by(NAME, level, partial(save_configured, **at, data=data))
                continue
            for _ in range(seconds):
                clock.advance(1)
                if level is None:
                    recorder.take(NAME, FailedRead(clock.boottime_ns(), UnknownReason.DRIVER_UNAVAILABLE))
                elif isinstance(level, str):
                    recorder.take(NAME, Observation(clock.boottime_ns(), {"power_w": level}))
                else:
                    watts = round(level + self._noise.gauss(0, 15), 1)
                    recorder.take(NAME, Observation(clock.boottime_ns(), {"power_w": watts}))
        recorder.checkpoint()
        store.close()
