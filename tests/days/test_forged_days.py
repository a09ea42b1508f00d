"""Days are proven from their intervals; who changes one and computes every hash after it anew is found out."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from calendar_box import OFF_W, RUN_W, STANDBY_W, Calendar, copied
from forging import forge
from walked_log import walked_without_head

from instrument_agent.buffer.calendar_days import daily_summaries
from instrument_agent.buffer.reader import FILE_NAME
from instrument_agent.buffer.store import Start, Store
from instrument_agent.core.records import Fact, RecordType
from instrument_agent.core.rowsum import row_sum

HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def five_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five days: ordinary ones, a device that is silent, a power cut over midnight, days without power."""
    folder = tmp_path_factory.mktemp("box")
    box = Calendar(folder, "2026-03-01T20:00")
    box.until("2026-03-02T02:00", STANDBY_W)
    box.until("2026-03-02T06:00", RUN_W)
    box.until("2026-03-02T12:00", None)
    box.until("2026-03-02T15:00", STANDBY_W)
    box.boot(box.now_s + 4 * 3600)
    box.until("2026-03-03T01:00", STANDBY_W)
    box.until("2026-03-03T20:00", OFF_W)
    assert len(box.close()) == 2
    box.anchor()
    box.until("2026-03-06T20:00", OFF_W)
    days = box.close()
    assert [day["days_not_powered"] for day in days] == [0, 0, 1, 2, 3]
    assert set(days[0]["unknown_reasons_ms"]) == {"driver_unavailable", "not_polled", "not_watched", "power_loss"}
    box.leave()
    return folder


@pytest.fixture
def state_dir(five_days: Path, tmp_path: Path) -> Path:
    return copied(five_days, tmp_path)


def moved(data: dict[str, Any], source: str, target: str) -> None:
    data[f"{source}_ms"] -= HOUR_MS
    data[f"{target}_ms"] += HOUR_MS
    data["powered_ms"] = data["standby_ms"] + data["running_ms"]
    reasons = data["unknown_reasons_ms"]
    for name, sign in ((source, -1), (target, 1)):
        if name == "unknown":
            reasons["driver_unavailable"] = reasons.get("driver_unavailable", 0) + sign * HOUR_MS


def other_reason(data: dict[str, Any]) -> None:
    data["unknown_reasons_ms"]["driver_unavailable"] -= HOUR_MS
    data["unknown_reasons_ms"]["power_loss"] += HOUR_MS


def no_reason(data: dict[str, Any]) -> None:
    del data["unknown_reasons_ms"]["power_loss"]


def residual(data: dict[str, Any]) -> None:
    data["off_ms"] -= HOUR_MS
    data["clock_residual_ms"] += HOUR_MS


def test_every_day_of_an_honest_box_is_proven(state_dir: Path):
    report = walked_without_head(state_dir)
    assert report.differences == []
    assert (report.proven["days"], report.unproven["days"]) == (5, 0)


FORGED: dict[str, tuple[str, Callable[[dict[str, Any]], None]]] = {
    "another reason": ("2026-03-02", other_reason),
    "no reason": ("2026-03-02", no_reason),
    "silence made running": ("2026-03-02", lambda data: moved(data, "unknown", "running")),
    "silence made off where nothing was off": ("2026-03-02", lambda data: moved(data, "unknown", "off")),
    "off made running where nothing ran": ("2026-03-06", lambda data: moved(data, "off", "running")),
    "off made unknown": ("2026-03-06", lambda data: moved(data, "off", "unknown")),
    "standby made running": ("2026-03-02", lambda data: moved(data, "standby", "running")),
    "running made standby": ("2026-03-02", lambda data: moved(data, "running", "standby")),
    "off made residual": ("2026-03-06", residual),
    "a streak": ("2026-03-06", lambda data: data.update(days_not_powered=180)),
    "unknown days": ("2026-03-06", lambda data: data.update(unknown_days=3)),
    "another day": ("2026-03-04", lambda data: data.update(day="2026-03-02")),
}
"""The days are those of Asia/Shanghai, where 2 March begins at 16:00 UTC on the 1st."""


@pytest.mark.parametrize("forgery", FORGED)
def test_a_forged_day_in_a_forged_chain_is_found(state_dir: Path, forgery: str):
    forge(state_dir, *FORGED[forgery])
    assert any("2026-03" in sentence for sentence in walked_without_head(state_dir).differences)


@pytest.mark.parametrize(
    "columns", [{"next_day": "2026-03-08"}, {"next_day": "2026-03-06"}, {"days_not_powered": 0}, {"unknown_days": 9}]
)
def test_a_forged_next_day_is_found(state_dir: Path, columns: dict[str, Any]):
    with closing(sqlite3.connect(state_dir / FILE_NAME)) as connection:
        names = ("instrument_id", "next_day", "first_epoch_number", "days_not_powered", "unknown_days")
        row = dict(zip(names, connection.execute(f"select {', '.join(names)} from days").fetchone(), strict=True))
        row |= columns
        values = (*row.values(), row_sum(*row.values()))
        connection.execute("insert or replace into days values (?, ?, ?, ?, ?, ?)", values)
        connection.commit()
    assert any("does not follow" in sentence for sentence in walked_without_head(state_dir).differences)


def test_the_command_exits_with_1_on_a_forged_day(state_dir: Path):
    forge(state_dir, *FORGED["another reason"])
    line = [sys.executable, "-m", "instrument_agent.cli.main", "verify", "--database", str(state_dir / FILE_NAME)]
    done = subprocess.run(line, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 1
    assert "2026-03-02: the intervals give other sums" in done.stdout


def tell_of_damage(state_dir: Path) -> None:
    """Let the log tell, as it does after a salvage, that a row was lost."""
    store = Store(state_dir, "box-1")
    store.find({"kind": "database_damaged", "file": "x.damaged", "records_lost": 0, "rows_lost": 1, "lost": []})
    store.begin_epoch(Start("boot-2", daily_summaries(store)[-1]["at_ms"] * 1_000_000, "0", "x"))
    store.close()


def test_a_midnight_that_was_lost_makes_days_unproven_and_not_wrong_if_the_log_tells_of_it(state_dir: Path):
    with closing(sqlite3.connect(state_dir / FILE_NAME)) as connection:
        assert connection.execute("delete from midnights where boot_id = 'boot-2'").rowcount > 2
        connection.commit()
    assert any(
        "where its midnights lie is not there" in sentence for sentence in walked_without_head(state_dir).differences
    )
    tell_of_damage(state_dir)
    report = walked_without_head(state_dir)
    assert report.differences == []
    assert report.unproven["days"] > 0


def test_a_midnight_that_was_put_down_anew_makes_days_unproven_and_not_wrong(state_dir: Path):
    with closing(sqlite3.connect(state_dir / FILE_NAME)) as connection:
        last_id = connection.execute("select max(id) from records").fetchone()[0]
        for row in connection.execute("select * from midnights where boot_id = 'boot-2'").fetchall():
            values = (row[0], row[1], row[2] + 5_000_000_000, last_id)
            connection.execute("insert or replace into midnights values (?, ?, ?, ?, ?)", (*values, row_sum(*values)))
        connection.commit()
    tell_of_damage(state_dir)
    report = walked_without_head(state_dir)
    assert report.differences == []
    assert report.unproven["days"] > 0


def test_a_day_that_is_counted_twice_is_found(state_dir: Path):
    store = Store(state_dir, "box-1")
    record = daily_summaries(store)[2]
    store.begin_epoch(Start("boot-2", record["at_ms"] * 1_000_000, "0", "x"))
    with store.write() as change:
        change.append(Fact(RecordType.DAILY_SUMMARY, "boot-2", record["at_ms"] * 1_000_000, record["data"], "xrd-1"))
    store.close()
    assert any("counted twice" in sentence for sentence in walked_without_head(state_dir).differences)
