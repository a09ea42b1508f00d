"""Which day comes next, and where midnights lie, survive a card that forgets; what does not fit is never used."""

import random
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlite_utils
from calendar_box import OFF_W, RULES, STANDBY_W, Calendar
from fake_clock import FakeClock

from instrument_agent.buffer.books import last_epoch, save_state, save_stop
from instrument_agent.buffer.calendar_days import daily_summaries, midnight, next_day
from instrument_agent.buffer.migrations import migrations
from instrument_agent.buffer.quarantine import open_books, why_damaged
from instrument_agent.buffer.reader import FILE_NAME
from instrument_agent.buffer.store import Start, Store
from instrument_agent.config import load_config
from instrument_agent.core.readings import Observation
from instrument_agent.core.step import step
from instrument_agent.daybook import Daybook
from instrument_agent.poll.recorder import Recorder, Watched
from instrument_agent.upkeep import Upkeep
from instrument_agent.uplink.anchoring import Anchoring

UTC_NS = 1_772_800_000 * 10**9
COLUMNS = [
    *(("days", name) for name in ("next_day", "first_epoch_number", "days_not_powered", "unknown_days", "row_sum")),
    *(("midnights", name) for name in ("boot_id", "utc_ns", "boottime_ns", "after_id", "row_sum")),
    *(("epochs", name) for name in ("number", "boot_id", "started_ns", "stopped_ns", "row_sum")),
]


def lived(folder: Path) -> Calendar:
    """Live three days, in order, with a power cut, and end in order."""
    box = Calendar(folder, "2026-03-01T20:00")
    box.until("2026-03-02T18:00", STANDBY_W)
    box.boot(box.now_s + 3600)
    box.until("2026-03-04T20:00", OFF_W)
    assert len(box.close()) == 3
    with box.store.write() as change:
        save_state(change, "xrd-1", box.state)
        save_stop(change, box.store.epoch, box._ns())
    return box


@dataclass
class Lived:
    """A state directory with three days in it, where its midnights are, and what it says."""

    folder: Path
    marks: list[tuple[str, int]]
    truth: dict[object, Any]


@pytest.fixture(scope="module")
def three_days(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    folder = tmp_path_factory.mktemp("box")
    store = lived(folder).store
    marks = store.rows("select boot_id, utc_ns from midnights")
    truth = known(store, marks)
    store.close()
    return Lived(folder, marks, truth)


def known(store: Store, marks: list[tuple[str, int]]) -> dict[object, Any]:
    """Return everything these rows say."""
    return {"next": next_day(store, "xrd-1"), "last": last_epoch(store)} | {key: midnight(store, *key) for key in marks}


def flipped(value: int | str, rnd: random.Random) -> int | str:
    if isinstance(value, int):
        return value ^ (1 << rnd.randrange(40))
    place = rnd.randrange(len(value))
    return value[:place] + chr(ord(value[place]) ^ (1 << rnd.randrange(6))) + value[place + 1 :]


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_a_flipped_bit_is_noticed_and_what_was_changed_is_never_used(
    three_days: Lived, tmp_path: Path, table: str, column: str
):
    marks, truth = three_days.marks, three_days.truth
    rnd = random.Random(f"{table}.{column}")
    ignore = shutil.ignore_patterns("ballast")
    state_dir = Path(shutil.copytree(three_days.folder, tmp_path / "flipped", ignore=ignore))
    with closing(sqlite3.connect(state_dir / FILE_NAME)) as connection:
        rowid, value = connection.execute(f"select rowid, {column} from {table} order by rowid desc").fetchone()
        connection.execute(f"update {table} set {column} = ? where rowid = ?", (flipped(value, rnd), rowid))
        connection.commit()
    assert why_damaged(state_dir)
    store = open_books(state_dir, "box-1", UTC_NS)
    found = known(store, marks)
    store.close()
    assert found["next"] is not None
    assert (found["next"].day, found["next"].idle) == (truth["next"].day, truth["next"].idle)
    assert found["next"].first_epoch_number in (0, truth["next"].first_epoch_number)
    assert found["last"].boot_id == truth["last"].boot_id
    assert found["last"].stopped_ns in (None, truth["last"].stopped_ns)
    assert all(found[key] in (None, truth[key]) for key in marks)
    lost = [key for key in ("last", *marks) if found[key] != truth[key]]
    assert len(lost) == (table in ("midnights", "epochs")), lost


def test_days_go_on_after_damage_as_without_it(tmp_path: Path):
    for name in ("whole", "damaged"):
        (tmp_path / name).mkdir()
        box = lived(tmp_path / name)
        box.store.close()
        if name == "damaged":
            with closing(sqlite3.connect(tmp_path / name / FILE_NAME)) as connection:
                connection.execute("update days set next_day = '2026-02-25'")
                connection.commit()
        box.store = open_books(tmp_path / name, "box-1", UTC_NS)
        box.daybook = Daybook(box.store, "Asia/Shanghai", (1, 2, 3))
        box.store.begin_epoch(Start(box.boot_id, box._ns(), "0", "x"))
        box.until("2026-03-06T20:00", OFF_W)
        days = box.close()
        box.store.close()
        if name == "whole":
            expected = days
    assert [day["day"] for day in days] == [f"2026-03-0{number}" for number in (2, 3, 4, 5, 6)]
    assert days == expected


def test_a_database_of_the_version_before_gets_its_checksums_and_is_not_taken_for_damaged(tmp_path: Path):
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        migrations.apply(sqlite_utils.Database(connection), stop_before="m005_checksums_of_days")
        connection.execute("insert into days values ('xrd-1', '2026-03-05', 1, 7, 2)")
        connection.execute("insert into midnights values ('boot-1', 5, 6)")
        connection.commit()
    store = open_books(tmp_path, "box-1", UTC_NS)
    following = next_day(store, "xrd-1")
    assert following is not None
    assert (following.day.isoformat(), following.idle.days_not_powered) == ("2026-03-05", 7)
    assert midnight(store, "boot-1", 5) == 6
    store.close()
    assert not list(tmp_path.glob("*.damaged-*"))


CONFIG = """
[box]
id = "box-1"
state_dir = "."
[[instrument]]
id = "xrd-1"
[instrument.driver]
name = "mock"
script = [1.0]
[instrument.activity]
off_below = 5
run_above = 500
"""


def looked_after(box: Calendar, folder: Path) -> tuple[Upkeep, Recorder, Anchoring, FakeClock]:
    (folder / "box.toml").write_text(CONFIG, encoding="utf-8")
    clock = FakeClock(boottime_s=box._ns() / 1e9, boot_id=box.boot_id)
    recorder = Recorder(box.store, clock, 120)
    recorder.watch("xrd-1", Watched(RULES, box.state))
    recorder.checkpoint()
    return Upkeep(box.store, clock, load_config(folder / "box.toml")), recorder, Anchoring(box.store, clock), clock


def test_a_day_is_closed_from_what_is_written_down_and_nothing_newer(tmp_path: Path):
    """A power cut would take what is newer away again, and the day would say what the books do not."""
    box = lived(tmp_path)
    upkeep, recorder, anchoring, clock = looked_after(box, tmp_path)
    box.now_s += 86_400
    clock.advance(86_400)
    recorder.watch("xrd-1", Watched(RULES, step(RULES, box.state, Observation(box._ns(), {"power_w": OFF_W}))[0]))
    upkeep.do_what_is_due(recorder, anchoring)
    assert len(daily_summaries(box.store)) == 3
    recorder.checkpoint()
    clock.advance(900)
    upkeep.do_what_is_due(recorder, anchoring)
    assert len(daily_summaries(box.store)) == 4
    box.store.close()


def test_an_agent_that_meets_a_damaged_day_asks_for_a_start_that_mends_it(tmp_path: Path):
    box = lived(tmp_path)
    upkeep, recorder, anchoring, clock = looked_after(box, tmp_path)
    upkeep.do_what_is_due(recorder, anchoring)
    assert box.store.damage == ""
    with box.store.write() as change:
        change.execute("update days set next_day = '2026-02-25'")
    clock.advance(900)
    upkeep.do_what_is_due(recorder, anchoring)
    assert "the next day of xrd-1 does not fit its checksum" in box.store.damage
    box.store.close()
