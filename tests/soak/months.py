"""Runs months of one box, each by its seed in a process of its own: `python tests/soak/months.py 1-200`."""

import gc
import logging
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import psutil
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from verdict import problems
from world import World

LARGEST_GROWTH = 40_000_000
LARGEST_STATE = 20_000_000
DAYS = 30.0
IN_RAM = "/dev/shm"  # no power is cut here for which anything would have to reach a disk


@dataclass(frozen=True)
class Month:
    """What became of one seed: what is wrong with it, what did not happen, and its figures."""

    seed: int
    problems: list[str]
    missing: list[str]
    figures: Counter[str]


def month(seed: int, days: float = DAYS) -> Month:
    """Live through a month and judge it."""
    logging.disable(logging.CRITICAL)  # hundreds of faults are told, as they should be
    gc.collect()
    before, started_s = psutil.Process().memory_info().rss, time.monotonic()
    with tempfile.TemporaryDirectory(dir=IN_RAM if os.access(IN_RAM, os.W_OK) else None) as directory:
        world = World(seed, Path(directory), days)
        world.run()
        found = problems(world)
        figures = _figures(world)
        if figures["bytes of card"] > LARGEST_STATE:
            found.append(f"its card holds {state_files(world)}")
        world.close()
    figures["s"] = round(time.monotonic() - started_s)
    figures["bytes of memory"] = growth = psutil.Process().memory_info().rss - before
    if growth > LARGEST_GROWTH:
        found.append(f"it took {growth} bytes of memory")
    return Month(seed, found, sorted(set(world.expected) - set(world.seen)), figures)


def state_files(world: World) -> dict[str, int]:
    """Return the size of each file of the box."""
    return {file.name: file.stat().st_size for file in world.state_dir.rglob("*") if file.is_file()}


def _figures(world: World) -> Counter[str]:
    seen = world.seen
    return Counter(
        {
            "records": len(set().union(*(card.keys for card in world.cards))),
            "boots": len(world.boots),
            "starts": seen["starts"],
            "kills": seen["killed"] + seen["killed in a transaction"],
            "restored cards": seen["card restored from a copy"],
            "twins": seen["cards used in turn"],
            "restored platforms": seen["platform restored"],
            "lost replies": seen["platform acknowledgements lost"],
            "poisoned": sum(len(platform.ledger.refused) for platform in world.platforms),
            "pruned records": seen["records pruned"],
            "clock steps": seen["wall clock steps"],
            "bytes of card": sum(state_files(world).values()),
        }
    )


def months(seeds: Iterable[int], days: float = DAYS) -> Iterator[Month]:
    """Yield months as they are over, as many at a time as there are processors."""
    # An executor with max_tasks_per_child forgets tasks at times (Python 3.11), and then waits for ever.
    with multiprocessing.get_context("spawn").Pool(os.cpu_count(), maxtasksperchild=1) as pool:
        yield from pool.imap_unordered(partial(month, days=days), seeds)


def told(figures: Counter[str]) -> str:
    return ", ".join(f"{n / 1e6:.1f} MB{name[5:]}" if "bytes" in name else f"{n} {name}" for name, n in figures.items())


def main() -> int:
    """Print a line for each seed, and the sums; return 1 if anything is wrong with one."""
    first, _, last = sys.argv[1].partition("-")
    seeds = range(int(first), int(last or first) + 1)
    wrong: list[int] = []
    total: Counter[str] = Counter()
    console = Console(soft_wrap=True, highlight=False, markup=False)
    columns = "months", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("months", total=len(seeds))
        for over in months(seeds):
            progress.print("\n  ".join([f"seed {over.seed}: {told(over.figures)}", *over.problems]))
            progress.advance(task)
            wrong += [over.seed] if over.problems else []
            total.update(over.figures)
    console.print(f"{len(seeds)} months: {told(total)}")
    console.print(f"wrong: {wrong}" if wrong else "every month is whole")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
