"""100,000 boxes and one platform: what reaches it in its worst second after an outage, a power cut, and midnight.

Boxes do not meet except in the platform's count, so one (`simulated_box.py`) is lived after the other, and no threads
are needed.

    fleet.py [BOXES]
"""

import os
import random
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat

from rich.progress import track
from simulated_box import STEADY_S, Count, Scenario, live, unwatched

FLEET = 100_000
AT_ONCE = 500
"""Boxes in one piece of work."""
BAR = 60

OUTAGE = Scenario("platform away for 1 h", 4020, 4920, down_s=420, up_s=4020)
POWER = Scenario("power comes back everywhere", 0, 900, together=(20.0, 120.0))
MIDNIGHT = Scenario("midnight after power came back", 1200, 2220, closes_day=True)


def some(scenario: Scenario, first: int, boxes: int) -> Count:
    """Live so many boxes, beginning with one; the same each time."""
    random.seed(first)
    count = Count.of(scenario.end_s)
    with unwatched():
        for number in range(first, first + boxes):
            live(scenario, number, count)
    return count


def lived(scenario: Scenario, boxes: int) -> Count:
    """Live all boxes on all processors, with a bar that says how far it is."""
    firsts = range(0, boxes, AT_ONCE)
    sizes = [min(AT_ONCE, boxes - first) for first in firsts]
    total = Count.of(scenario.end_s)
    with ProcessPoolExecutor(os.cpu_count()) as processes:
        parts: Iterator[Count] = processes.map(some, repeat(scenario), firsts, sizes)
        for part in track(parts, scenario.name, len(sizes), transient=True):
            total.add(part)
    return total


def picture(count: Count, scenario: Scenario, scale: float) -> None:
    """Print the requests a second around the event: the mean of each half minute, and its worst second."""
    first = max(0, scenario.event_s - 120)
    for at in range(first, min(first + 720, scenario.end_s), 30):
        seconds = count.arrived[at : at + 30]
        mean, vain = sum(seconds) / 30, sum(count.in_vain[at : at + 30]) / 30
        bar = "#" * round(mean / scale * BAR) + "." * round(vain / scale * BAR)
        print(f"  {at - scenario.event_s:>5} s {mean:>7.0f} {max(seconds):>7}  {bar}")


def main() -> None:
    """Print a table, and a picture for each event."""
    boxes = int(sys.argv[1]) if len(sys.argv) > 1 else FLEET
    part = boxes / FLEET
    rows = []
    for scenario in (OUTAGE, POWER, MIDNIGHT):
        count = lived(scenario, boxes)
        steady = count.steady(scenario.down_s or scenario.end_s - STEADY_S)
        target = 1.6 * steady + 300 * part if scenario is OUTAGE else 4000 * part
        worst = count.worst(scenario.event_s)
        rows.append((scenario.name, steady, worst, max(count.in_vain), target))
        print(f"{scenario.name}: requests a second (mean, worst second; # arrived, . found nobody)")
        picture(count, scenario, target)
    print(f"{boxes} boxes: requests a second")
    print(f"  {'event':<34}{'heartbeats':>11}{'worst':>8}{'target':>8}{'in vain':>9}")
    for name, steady, worst, vain, target in rows:
        missed = "" if worst <= target else "  MISSED"
        print(f"  {name:<34}{steady:>11.0f}{worst:>8.0f}{target:>8.0f}{vain:>9}{missed}")
    sys.exit(any(worst > target for _name, _steady, worst, _vain, target in rows))


if __name__ == "__main__":
    main()
