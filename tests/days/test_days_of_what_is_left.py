"""The day in which watching ends is counted like any other, and the time after it is told to be not watched."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from calendar_box import HOUR_S, adds_up, utc_s
from fake_clock import FakeClock

from instrument_agent.buffer.books import intervals, save_stop
from instrument_agent.buffer.calendar_days import daily_summaries
from instrument_agent.buffer.chain import records_of
from instrument_agent.buffer.outbox import Outbox
from instrument_agent.buffer.store import Store
from instrument_agent.buffer.verify import verify
from instrument_agent.config import load_config
from instrument_agent.core.anchors import Anchor
from instrument_agent.core.readings import NS_PER_S, FailedRead, Observation, UnknownReason
from instrument_agent.core.records import LifecycleWord, RecordType
from instrument_agent.handover import Order
from instrument_agent.poll.recorder import Recorder
from instrument_agent.resuming import Resuming
from instrument_agent.upkeep import Upkeep
from instrument_agent.uplink.anchoring import Anchoring

HOUR_MS = HOUR_S * 1000
BOX = '[box]\nid = "box-1"\nstate_dir = "state"\nruntime_dir = "run"\ntimezone = "Asia/Shanghai"\n'
BOX += '[[destination]]\nname = "province"\nurl = "https://platform.invalid"\n'
INSTRUMENT = """[[instrument]]
id = "{name}"
[instrument.driver]
name = "mock"
script = [20.0]
[instrument.activity]
off_below = 5
run_above = 1000
gap_s = 1200
bridge_s = 3600
"""
RETIRE = Order("xrd-1", LifecycleWord.RETIRED, {"event": "retired", "by": "Li"})


class Box:
    """An agent without its loops: it is started with some instruments, polls each 20 minutes, and closes days."""

    def __init__(self, folder: Path, start: str) -> None:
        self.folder = folder
        (folder / "state").mkdir()
        self.store = Store(folder / "state", "box-1")
        self.now_s = utc_s(start)
        self._boots = 0

    def boot(self, *instruments: str, minutes: int = 0) -> None:
        """Start in a new boot, ``minutes`` from now."""
        self._boots += 1
        self.now_s += 60 * minutes
        self._zero_s = self.now_s - 20
        self.clock = FakeClock(20, f"boot-{self._boots}")
        self.start(*instruments)

    def start(self, *instruments: str, order: Order | None = None) -> None:
        """Start the agent in this boot."""
        text = BOX + "".join(INSTRUMENT.format(name=name) for name in instruments)
        (self.folder / "box.toml").write_text(text, encoding="utf-8")
        config = load_config(self.folder / "box.toml")
        resuming = Resuming(self.store, self.clock, 7200, order)
        self.upkeep = Upkeep(self.store, self.clock, config)
        self.upkeep.begin()
        config = resuming.retire_from(config)
        self.upkeep.count_also(resuming.unwatched(config))
        self.recorder, self.anchoring = Recorder(self.store, self.clock, 86400), Anchoring(self.store, self.clock)
        for instrument in config.instruments:
            resuming.take_up(instrument, self.recorder)
        self.anchor()

    def anchor(self) -> None:
        """Take a sight of UTC from a platform."""
        now_ns = self.clock.boottime_ns()
        self.anchoring.see(Anchor(self.clock.boot_id, now_ns, self.now_s * NS_PER_S, NS_PER_S, "platform:p"))

    def stop(self) -> None:
        self.recorder.checkpoint()
        with self.store.write() as change:
            save_stop(change, self.store.epoch, self.clock.boottime_ns())

    def until(self, text: str, watts: float | None = 2000.0) -> None:
        while self.now_s < utc_s(text):
            self.now_s += 1200
            self.clock.advance(self.now_s - self._zero_s - self.clock.now_s)
            at_ns = self.clock.boottime_ns()
            for name in self.recorder.watched():
                failed = FailedRead(at_ns, UnknownReason.DRIVER_UNAVAILABLE)
                read = failed if watts is None else Observation(at_ns, {"power_w": watts})
                self.recorder.take(name, read)
            if self.now_s % (4 * HOUR_S) == 0:
                self.recorder.checkpoint()
                self.upkeep.do_what_is_due(self.recorder, self.anchoring)

    def days(self, name: str = "xrd-1") -> list[dict]:
        return [record["data"] for record in daily_summaries(self.store, name)]

    def proven(self) -> bool:
        report = verify(self.store, None)
        assert report.differences == []
        return report.proven["days"] == len(daily_summaries(self.store))


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    box = Box(tmp_path, "2026-10-31T16:00")  # midnight in Shanghai
    box.boot("xrd-1")
    yield box
    box.store.close()


def test_the_last_day_of_a_retired_instrument_is_counted_and_no_day_after_it(box: Box) -> None:
    box.until("2026-11-02T02:00")  # ten in the morning of the second day
    box.stop()
    box.start("xrd-1", order=RETIRE)
    box.until("2026-11-05T00:00")
    assert [day["day"] for day in box.days()] == ["2026-11-01", "2026-11-02"]
    last = box.days()[-1]
    assert abs(last["running_ms"] - 10 * HOUR_MS) < 1000
    assert abs(last["unknown_reasons_ms"]["not_watched"] - 14 * HOUR_MS) < 2000
    assert all(adds_up(day) for day in box.days())
    box.stop()
    box.boot("sem-1", minutes=60)
    box.until("2026-11-08T00:00")
    assert len(box.days()) == 2
    assert box.proven()


def test_what_is_taken_out_of_the_config_file_has_its_run_ended_and_its_day_counted(box: Box) -> None:
    box.until("2026-11-02T02:00")
    box.stop()
    box.start("sem-1")
    (run,) = records_of(box.store, RecordType.RUN_SESSION, "xrd-1")
    assert round(run["data"]["running_ms"] / HOUR_MS) == 34
    box.until("2026-11-05T00:00")
    assert [(day["day"], round(day["running_ms"] / HOUR_MS)) for day in box.days()][1:] == [("2026-11-02", 10)]
    assert [day["day"] for day in box.days("sem-1")] == ["2026-11-02", "2026-11-03", "2026-11-04"]
    assert box.proven()


def test_an_instrument_that_is_left_within_a_millisecond_has_no_interval_that_ends_before_it_begins(box: Box) -> None:
    box.until("2026-11-02T02:00")
    box.stop()
    box.clock.advance(0.0001)  # books are closed on the next whole millisecond
    box.start("sem-1")
    for _look in range(2):
        box.upkeep.do_what_is_due(box.recorder, box.anchoring)
    box.until("2026-11-03T00:00")
    chain = intervals(box.store, "xrd-1", "boot-1")
    assert all(item.start_ns < item.end_ns == after.start_ns for item, after in pairwise(chain))
    assert box.proven()


@pytest.mark.parametrize("rebooted", [False, True])
def test_what_is_put_back_was_not_watched_in_between(box: Box, *, rebooted: bool) -> None:
    box.until("2026-11-02T02:00")
    box.stop()
    box.start("sem-1")
    box.until("2026-11-04T02:00")
    box.stop()
    if rebooted:
        box.boot("sem-1", minutes=60)
        box.until("2026-11-04T06:00")
        box.stop()
        box.boot("xrd-1", minutes=60)
    else:
        box.start("xrd-1")
    box.until("2026-11-05T20:00")
    days = box.days()
    assert [day["day"] for day in days] == [f"2026-11-0{day}" for day in range(1, 6)]
    assert all(adds_up(day) and set(day["unknown_reasons_ms"]) <= {"not_watched"} for day in days[1:])
    assert abs(days[2]["unknown_reasons_ms"]["not_watched"] - 24 * HOUR_MS) < 2000
    assert box.proven()


def test_over_reboots_a_day_in_which_watching_ended_is_not_watched_to_its_end(box: Box) -> None:
    box.until("2026-11-02T02:00")
    box.stop()
    box.start("sem-1")
    box.until("2026-11-02T04:00")
    box.boot("sem-1", minutes=60)
    box.until("2026-11-02T08:00")
    box.boot("sem-1", minutes=60)
    box.until("2026-11-03T00:00")
    last = box.days()[-1]
    hours = {reason: round(spent / HOUR_MS) for reason, spent in last["unknown_reasons_ms"].items()}
    assert (last["day"], round(last["running_ms"] / HOUR_MS), adds_up(last)) == ("2026-11-02", 10, True)
    assert hours == {"not_watched": 14}
    assert box.proven()


def test_books_that_could_not_be_closed_are_left_to_the_next_agent(box: Box) -> None:
    box.until("2026-11-02T02:00")
    box.stop()
    (box.folder / "box.toml").write_text(BOX + INSTRUMENT.format(name="sem-1"), encoding="utf-8")
    config, agent = load_config(box.folder / "box.toml"), Resuming(box.store, box.clock, 7200)
    assert agent.unwatched(config) == {}  # its run is open: nothing may be written after it
    agent.retire_from(config)
    assert list(agent.unwatched(config)) == ["xrd-1"]


def test_after_a_year_in_store_the_day_in_which_the_box_was_put_away_is_counted_before_it_is_pruned(box: Box) -> None:
    box.until("2026-11-02T02:00")
    box.until("2026-11-02T06:00", watts=100.0)
    box.anchor()
    box.until("2026-11-02T10:00", watts=100.0)
    box.stop()
    box.boot("xrd-1", minutes=410 * 24 * 60)
    Outbox(box.store, "province").settle(box.store.rows("select max(id) from records")[0][0], {}, box.clock.boot_id, 1)
    box.until("2027-12-18T00:00")
    assert len(box.days()) == 1, "one sight of UTC that leaps by a year closes no day"
    box.anchor()
    box.until("2027-12-19T16:00")
    spent = {name: round(box.days()[1][f"{name}_ms"] / HOUR_MS) for name in ("running", "standby", "unknown")}
    assert spent == {"running": 10, "standby": 8, "unknown": 6}
    kept = box.store.rows("select activity from intervals where boot_id = 'boot-1'")
    assert kept == [("standby",)], "what is old goes all the same"
