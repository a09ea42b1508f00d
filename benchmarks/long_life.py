"""What years of data cost: restart to READY, `status` and `usage`, each on a box with 50 runs a day."""

import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

from instrument_agent.buffer.books import save_anchor, save_events, save_state
from instrument_agent.buffer.calendar_days import NextDay, save_day
from instrument_agent.buffer.store import Start, Store
from instrument_agent.clock import read_boot_id
from instrument_agent.core.anchors import Anchor
from instrument_agent.core.days import DaySums, Idle, daily_summary
from instrument_agent.core.ledger import Interval
from instrument_agent.core.readings import NS_PER_S, Activity
from instrument_agent.core.sessions import RunSession
from instrument_agent.core.step import begin
from instrument_agent.sandbox.agent_process import AgentProcess

RUNS_A_DAY = 50
DAY_NS = 86_400 * NS_PER_S
OLD_BOOT = "00000000-0000-4000-8000-000000000000"
FIRST = date(2016, 11, 22)
CONFIG = """
[box]
id = "box-1"
state_dir = "state"
runtime_dir = "run"
[[instrument]]
id = "xrd-1"
[instrument.driver]
name = "mock"
script = [800.0]
[instrument.activity]
off_below = 5
run_above = 1600
"""


def live(folder: Path, years: int) -> Path:
    """Write the books of so many years; return the config file of that box."""
    (folder / "state").mkdir(parents=True)
    path = folder / "box.toml"
    path.write_text(CONFIG, encoding="utf-8")
    store = Store(folder / "state", "box-1")
    store.begin_epoch(Start(OLD_BOOT, 0, "0", "0" * 64))
    piece_ns = DAY_NS // (2 * RUNS_A_DAY)
    for number in range(round(365.25 * years)):
        with store.write() as change:
            at_ns = number * DAY_NS
            if number % 7 == 0:
                save_anchor(change, Anchor(OLD_BOOT, at_ns, 1_480_000_000 * NS_PER_S + at_ns, NS_PER_S, "ntp"))
            state = begin(OLD_BOOT, at_ns)
            for run in range(RUNS_A_DAY):
                start_ns = at_ns + 2 * run * piece_ns
                middle_ns, end_ns = start_ns + piece_ns, start_ns + 2 * piece_ns
                events = (
                    Interval(start_ns, middle_ns, Activity.RUNNING),
                    Interval(middle_ns, end_ns, Activity.STANDBY),
                    RunSession(start_ns, middle_ns, 0),
                )
                save_events(change, "xrd-1", state, events)
            sums = DaySums(DAY_NS)
            sums.add(Activity.RUNNING, None, DAY_NS // 2)
            sums.add(Activity.STANDBY, None, DAY_NS - DAY_NS // 2)
            day = FIRST + timedelta(days=number)
            data = daily_summary(day, "Asia/Shanghai", sums, Idle(), (30, 90, 180))
            save_day(change, "xrd-1", (OLD_BOOT, at_ns), data, NextDay(day + timedelta(days=1), 1, Idle()))
            save_state(change, "xrd-1", begin(OLD_BOOT, at_ns + DAY_NS))
    store.close()
    return path


def command_s(*arguments: str) -> float:
    """Return how long a command takes, start of Python included."""
    start_s = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "instrument_agent.cli.main", *arguments], check=True, stdout=subprocess.DEVNULL
    )
    return time.monotonic() - start_s


def main() -> None:
    """Print the table."""
    floor_s = command_s("--version")
    assert read_boot_id() != OLD_BOOT
    for years in (1, 10):
        with tempfile.TemporaryDirectory() as name:
            path = live(Path(name), years)
            size = (Path(name) / "state" / "buffer.db").stat().st_size / 2**20
            start_s = time.monotonic()
            agent = AgentProcess(path, Path(name) / "agent.log")
            ready_s = time.monotonic() - start_s
            status_s = command_s("status", "--config", str(path), "--json")
            agent.stop()
            month_s = command_s("usage", "--config", str(path), "--month")
            print(
                f"{years:2} years, {size:4.0f} MiB: restart to READY {ready_s:.2f} s, status {status_s:.2f} s,"
                f" usage --month {month_s:.2f} s (the bare command: {floor_s:.2f} s)"
            )


if __name__ == "__main__":
    main()
