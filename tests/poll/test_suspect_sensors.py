"""A sensor in doubt, in the books: its time is unknown, a fault begins and ends, and a restart forgets neither."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from boxes import RULES, STANDBY_W, observed, watching
from fake_clock import FakeClock

from instrument_agent.buffer.books import intervals, states
from instrument_agent.buffer.store import Store
from instrument_agent.config import load_config
from instrument_agent.core.readings import Activity, UnknownReason
from instrument_agent.core.sanity import Doubt
from instrument_agent.poll.recorder import Recorder, Watched
from instrument_agent.resuming import Resuming

NAME = "xrd-1"


def play(recorder: Recorder, clock: FakeClock, watts: float, seconds: int, every_s: int = 10) -> None:
    for _ in range(seconds // every_s):
        clock.advance(every_s)
        recorder.take(NAME, observed(clock.now_s, watts))


def told(store: Store, kind: str) -> list[dict[str, Any]]:
    rows = store.rows("select body from records where type = ? and instrument_id = ? order by id", (kind, NAME))
    return [json.loads(body)["data"] for (body,) in rows]


def test_a_reversed_clamp_is_a_gap_and_a_fault_that_begins_and_ends(store: Store, clock: FakeClock) -> None:
    recorder = watching(store, clock, NAME)
    play(recorder, clock, STANDBY_W, 600)
    play(recorder, clock, -STANDBY_W, 1200)
    assert recorder.live(NAME).reason is UnknownReason.SENSOR_SUSPECT
    last = recorder.watched()[NAME].last
    assert last is not None
    assert last.values == {"power_w": -STANDBY_W}, "what is read can be seen, however little it is believed"
    play(recorder, clock, STANDBY_W, 600)
    recorder.checkpoint()
    gap, since_ms = told(store, "observation_gap")[-1], 1_610_000
    assert gap == {"start_ms": 1_600_000, "end_ms": 2_810_000, "reason": "sensor_suspect"}
    assert told(store, "fault") == [
        {"kind": "sensor_reversed", "phase": "begin", "since_ms": since_ms},
        {"kind": "sensor_reversed", "phase": "end", "since_ms": since_ms},
    ]
    assert Activity.OFF not in {item.activity for item in intervals(store, NAME, clock.boot_id)}


def test_a_doubt_is_in_the_checkpoint(store: Store, clock: FakeClock) -> None:
    recorder = watching(store, clock, NAME)
    play(recorder, clock, -STANDBY_W, 1200)
    recorder.checkpoint()
    resumed = Recorder(store, clock, 120.0)
    resumed.watch(NAME, Watched(RULES, states(store)[NAME]))
    assert [item.doubt for item in resumed.watched()[NAME].state.senses.held] == [Doubt.REVERSED]
    play(resumed, clock, -STANDBY_W, 1200)
    resumed.checkpoint()
    assert [fault["phase"] for fault in told(store, "fault")] == ["begin"]


CONFIG = """\
[box]
id = "box-1"
[[instrument]]
id = "xrd-1"
poll_s = {poll_s}
[instrument.driver]
name = "mock"
script = [50.0]
[instrument.activity]
off_below = 5
run_above = 100
standby_level = 50
"""


def test_thresholds_that_moved_are_told_again_with_rules_that_are_told_again(
    store: Store, clock: FakeClock, tmp_path: Path
) -> None:
    for poll_s in (1, 1, 2):
        path = tmp_path / "config.toml"
        path.write_text(CONFIG.format(poll_s=poll_s), encoding="utf-8")
        recorder = Recorder(store, clock, 7200.0)
        Resuming(store, clock, 7200.0).take_up(load_config(path).instruments[0], recorder)
        play(recorder, clock, 55.0, 25 * 3600, every_s=50)
        recorder.checkpoint()
    events = told(store, "lifecycle_event")
    assert [event["event"] for event in events] == ["configured", "drift", "configured", "drift"]
    assert [event["rules"]["run_above"] for event in events] == ["100.0", "105.0", "100.0", "105.0"]


def test_thresholds_that_follow_standby_are_a_record(store: Store, clock: FakeClock) -> None:
    rules = replace(RULES, standby_level=50.0)
    recorder = watching(store, clock, NAME, checkpoint_s=7200.0)
    recorder.watch(NAME, Watched(rules, recorder.watched()[NAME].state))
    play(recorder, clock, 55.0, 25 * 3600, every_s=50)
    recorder.checkpoint()
    (event,) = told(store, "lifecycle_event")
    assert (event["event"], event["level"], event["rules"]["run_above"]) == ("drift", "55.0", "105.0")
