"""Rows a second of ``replay``, with given and with learned rules, against reading the same file; and peak memory.

Times are CPU times, so that whatever else the machine does counts little. `replay_speed.py 10000000` takes minutes.
"""

import csv
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROWS = 1_000_000
GIVEN = ("--off-below", "5", "--run-above", "1600")


def write_trace(path: Path, rows: int) -> None:
    """Write readings in steps of a second: standby with noise, a run an hour."""
    source = random.Random(1)
    with path.open("w", encoding="ascii") as file:
        file.write("timestamp_s,value\n")
        for second in range(rows):
            level = 2400 if second % 3600 > 1800 else 800
            file.write(f"{second},{level + source.gauss(0, 15):.1f}\n")


def floor_s(path: Path) -> float:
    """Read all rows as numbers; return the seconds it took."""
    start_s = time.process_time()
    with path.open(newline="", encoding="ascii") as file:
        rows = csv.reader(file)
        next(rows)
        for at_s, value in rows:
            float(at_s), float(value)
    return time.process_time() - start_s


def replay(path: Path, *arguments: str) -> tuple[float, float, int]:
    """Run the command; return its CPU seconds, its peak memory (RSS) in MiB, and how many runs it found."""
    command = [sys.executable, "-m", "instrument_agent.cli.main", "replay", str(path), "--sessions", *arguments]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
        _pid, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
        out.seek(0)
        return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, sum(1 for _line in out) - 1


def main() -> None:
    """Print the table."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.csv"
        write_trace(path, rows)
        for title, arguments in (("given rules", GIVEN), ("--calibrate", ("--calibrate",))):
            read_s = floor_s(path)
            spent_s, memory_mib, runs = replay(path, *arguments)
            print(
                f"replay, {title}: {rows / spent_s:,.0f} rows/s, {spent_s / read_s:.1f} times reading the file,"
                f" {memory_mib:.0f} MiB at most; {rows:,} rows, {runs} runs"
            )


if __name__ == "__main__":
    main()
