"""Recorded traces of real appliances, which are beside the product and not part of it."""

import csv
import io
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from command import replay

TRACES = Path(__file__).parents[3] / "shared" / "detection" / "traces"
NAMES = sorted(path.name for path in TRACES.glob("*.csv"))

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not NAMES, reason="the recorded traces of ../shared/detection are not here"),
]


@pytest.fixture(scope="module")
def replayed() -> Iterator[dict[str, Future[CompletedProcess[str]]]]:
    """Replay all of them side by side: each is a process of its own and takes seconds."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {name: pool.submit(replay, TRACES / name) for name in NAMES}


@pytest.mark.parametrize("name", NAMES or ["none"])
def test_a_trace_is_covered_from_its_first_to_its_last_row_without_a_hole(name: str, replayed):
    with (TRACES / name).open(newline="") as file:
        times = [float(row["timestamp_s"]) for row in csv.DictReader(file)]
    done = replayed[name].result()
    assert (done.returncode, done.stderr) == (0, "")
    rows = [(float(row["start"]), float(row["end"]), row["state"]) for row in csv.DictReader(io.StringIO(done.stdout))]
    assert (rows[0][0], rows[-1][1]) == (times[0], times[-1])
    for before, after in pairwise(rows):
        assert before[1] == after[0]
        assert before[2] != after[2]
    silent = [(a, b) for a, b in pairwise(times) if b - a > 60]
    assert sum(b - a for a, b in silent) == sum(end - start for start, end, state in rows if state == "unknown")
