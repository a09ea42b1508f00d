"""Runs months of one box, each by its seed in a process of its own: `python tests/soak/months.py 1-200`."""

import gc
import logging
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import psutil
from verdict import problems
from world import World

LARGEST_GROWTH = 40_000_000
LARGEST_STATE = 20_000_000
DAYS = 30.0


@dataclass(frozen=True)
class Month:
    """What became of one seed: what is wrong with it, and its figures."""

    seed: int
    problems: list[str]
    missing: list[str]
    figures: str


def month(seed: int, days: float = DAYS) -> Month:
    """Live through a month and judge it."""
    logging.disable(logging.CRITICAL)  # hundreds of faults are told, as they should be
    gc.collect()
    before, started_s = psutil.Process().memory_info().rss, time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        world = World(seed, Path(directory), days)
        world.run()
        found = problems(world)
        size, made = world.state_size(), len(world.ledger.items())
        world.ledger.close()
    growth = psutil.Process().memory_info().rss - before
    if growth > LARGEST_GROWTH:
        found.append(f"it took {growth} bytes of memory")
    if size > LARGEST_STATE:
        found.append(f"it took {size} bytes of the card")
    seen = world.seen
    figures = (
        f"{time.monotonic() - started_s:.0f} s, {made} records, {len(world.boots)} boots, {seen['starts']} starts,"
        f" {seen['killed'] + seen['killed in a transaction']} kills, {seen['platform restored']} restored platforms,"
        f" {seen['platform acknowledgements lost']} lost replies, {seen['wall clock steps']} clock steps,"
        f" {size / 1e6:.1f} MB of card, {growth / 1e6:.0f} MB of memory"
    )
    return Month(seed, found, sorted(set(world.expected) - set(seen)), figures)


def months(seeds: Iterable[int], days: float = DAYS) -> Iterator[Month]:
    """Yield months as they are over, as many at a time as there are processors."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), spawn, max_tasks_per_child=1) as pool:
        for done in as_completed([pool.submit(month, seed, days) for seed in seeds]):
            yield done.result()


def main() -> int:
    """Print a line for each seed; return 1 if anything is wrong with one."""
    first, _, last = sys.argv[1].partition("-")
    wrong: list[int] = []
    for over in months(range(int(first), int(last or first) + 1)):
        sys.stdout.write("\n  ".join([f"seed {over.seed}: {over.figures}", *over.problems]) + "\n")
        sys.stdout.flush()
        wrong += [over.seed] if over.problems else []
    sys.stdout.write(f"wrong: {wrong}\n" if wrong else "every month is whole\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
