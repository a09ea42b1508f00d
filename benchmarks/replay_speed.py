"""Rows a second through the core, against reading the same file and doing nothing."""

import csv
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from instrument_agent.cli.replay import replayed
from instrument_agent.config import ActivityConfig

ROWS = 200_000
RUNS = 3


def write_trace(path: Path) -> None:
    """Write a day and more of readings: standby with noise, a run an hour, in steps of a second."""
    source = random.Random(1)
    with path.open("w", encoding="ascii") as file:
        file.write("timestamp_s,value\n")
        for second in range(ROWS):
            level = 2400 if second % 3600 > 1800 else 800
            file.write(f"{second},{level + source.gauss(0, 15):.1f}\n")


def floor(path: Path) -> None:
    """Read all rows as numbers."""
    with path.open(newline="", encoding="ascii") as file:
        rows = csv.reader(file)
        next(rows)
        for at_s, value in rows:
            float(at_s), float(value)


def seconds(work: Callable[[], object]) -> float:
    """Return the fastest of a few runs."""
    best = float("inf")
    for _run in range(RUNS):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    """Print the table."""
    rules = ActivityConfig(off_below=5, run_above=1600).rules()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.csv"
        write_trace(path)
        read_s = seconds(lambda: floor(path))
        replay_s = seconds(lambda: list(replayed(path, rules)))
    print(f"replay: {ROWS / replay_s:,.0f} rows/s, {replay_s / read_s:.1f} times the time of reading the file")


if __name__ == "__main__":
    main()
