"""What a meter counted in a gap stands in the log beside the gap, costs no commit, and is nothing to ``verify``."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from boxes import Commits, opened
from fake_clock import FakeClock
from walked_log import walked

from instrument_agent.buffer.store import Store
from instrument_agent.config import load_config
from instrument_agent.core.readings import NS_PER_MS, FailedRead, Observation, UnknownReason
from instrument_agent.poll.recorder import Recorder
from instrument_agent.resuming import Resuming

NAME = "xrd-1"
CONFIG = """\
[box]
id = "box-1"
[[instrument]]
id = "xrd-1"
poll_s = 10
[instrument.driver]
name = "mock"
script = [50.0]
[instrument.activity]
off_below = 20
run_above = 1000
run_below = 800
"""


class Line:
    """A meter with a counter of 0.001 kWh on the way to a recorder."""

    def __init__(self, tmp_path: Path, store: Store, clock: FakeClock, *, counts: bool = True) -> None:
        self._path = tmp_path / "config.toml"
        self._path.write_text(CONFIG, encoding="utf-8")
        self.joules = 0.0
        self.counts = counts
        self.start(store, clock)

    def start(self, store: Store, clock: FakeClock) -> None:
        self.clock, self.recorder = clock, Recorder(store, clock, 7200.0)
        Resuming(store, clock, 7200.0).take_up(load_config(self._path).instruments[0], self.recorder)

    def play(self, watts: float, seconds: int, *, answers: bool = True) -> None:
        for _ in range(seconds // 10):
            self.clock.advance(10)
            self.joules += watts * 10
            kwh = {"energy_import_kwh": self.joules // 3600 / 1000} if self.counts else {}
            at_ns = self.clock.boottime_ns()
            seen = Observation(at_ns, {"power_w": watts, **kwh})
            self.recorder.take(NAME, seen if answers else FailedRead(at_ns, UnknownReason.DRIVER_UNAVAILABLE))


@contextmanager
def agent(folder: Path, clock: FakeClock) -> Iterator[Store]:
    (folder / "state").mkdir(parents=True, exist_ok=True)
    with opened(folder / "state", clock) as store:
        yield store


def energies(store: Store) -> list[dict[str, Any]]:
    rows = store.rows("select body from records where type = 'lifecycle_event' order by id")
    records = [json.loads(body) for (body,) in rows]
    return [record for record in records if record["data"]["event"] == "energy_across_gap"]


def differences(tmp_path: Path) -> list[str]:
    return walked(tmp_path / "state").differences


def test_the_energy_of_a_gap_is_the_record_after_it_and_costs_no_commit(tmp_path: Path, clock: FakeClock) -> None:
    spent = []
    for folder, counts in (("with", True), ("without", False)):
        with agent(tmp_path / folder, clock) as store:
            line, commits = Line(tmp_path / folder, store, clock, counts=counts), Commits(store)
            line.play(2000.0, 1500)
            line.play(0.0, 300)
            line.play(2000.0, 3600, answers=False)
            line.play(0.0, 300)
            line.recorder.checkpoint()
            spent.append(commits.count)
            assert differences(tmp_path / folder) == []
            rows = store.rows("select body from records order by id")
            records = [json.loads(body) for (body,) in rows]
        kinds = [record["data"].get("event", record["type"]) for record in records]
        assert kinds.count("energy_across_gap") == int(counts)
        if counts:
            at = kinds.index("energy_across_gap")
            gap, energy = records[at - 1], records[at]
            assert gap["type"] == "observation_gap"
            assert (gap["data"]["start_ms"], gap["data"]["end_ms"]) == (
                energy["data"]["from_ms"],
                energy["data"]["to_ms"],
            )
            assert (energy["data"]["counted_wh"], energy["data"]["verdict"]) == (2000, "something_ran")
    assert spent[0] == spent[1]


def test_an_agent_that_stood_still_and_a_box_without_power_are_told_by_the_next(tmp_path: Path) -> None:
    before, after = FakeClock(), FakeClock(40.0, "00000000-0000-4000-8000-000000000002")
    with agent(tmp_path, before) as store:
        line = Line(tmp_path, store, before)
        line.play(2000.0, 1500)
        line.play(0.0, 300)
        line.recorder.checkpoint()
    before.advance(3600)
    with agent(tmp_path, before) as store:
        line.start(store, before)
        line.play(0.0, 300)
        line.recorder.checkpoint()
    last_ms = before.boottime_ns() // NS_PER_MS
    line.joules += 50_000 * 3600
    with agent(tmp_path, after) as store:
        line.start(store, after)
        line.play(0.0, 300)
        line.recorder.checkpoint()
        first, second = energies(store)
    assert differences(tmp_path) == []
    assert (first["boot_id"], first["data"]["from_boot_id"]) == (before.boot_id, before.boot_id)
    assert (first["data"]["counted_wh"], first["data"]["verdict"]) == (0, "nothing_ran")
    assert first["data"]["to_ms"] - first["data"]["from_ms"] == 3610 * 1000
    assert second["boot_id"] == after.boot_id
    assert second["data"] == {
        "event": "energy_across_gap",
        "from_boot_id": before.boot_id,
        "from_ms": last_ms,
        "to_ms": 50_000,
        "counted_wh": 50_000,
        "verdict": "cannot_tell",
    }
