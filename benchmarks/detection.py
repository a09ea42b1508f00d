"""How well runs are found in labelled traces: whatever folder holds traces/NAME.csv and labels/NAME.csv.

    python benchmarks/detection.py FOLDER

Truth states are off, standby, running, nonrun (off or standby), on (standby or running) and unsure; labels/META.csv
gives the tolerance ``tol_s`` of a boundary, and in a column ``profile`` what must be told of a load, if anything. An
``on`` or ``unsure`` stretch beside a run leaves its boundary open. Silences over 60 s are not scored, and a run may be
interrupted by one. `made_traces.py` writes such a folder.
"""

import argparse
import csv
import io
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from click.testing import CliRunner

from instrument_agent.cli.replay import replay

SILENT_S = 60.0
OPEN = ("on", "unsure")
MERGE_S = 1e-6
NEUTRAL_SHARE, SPURIOUS_SHARE = 0.95, 0.5
TOLD = {"cooler_idle_night": "idle_cycling"}
VARIANTS = ((1.0, 0.0), (10.0, 0.0), (1.0, 200.0), (10.0, 300.0))
CENTRE = 0.25
"""The technician marks the middle half of the longest stretch that is no run, and of the longest run."""

Row = tuple[float, float, str]


@dataclass(frozen=True)
class Score:
    """What came out for one trace; seconds of runs where the truth is not open."""

    true: int
    predicted: int
    hits: int
    claims: int
    spurious: int
    true_s: float
    predicted_s: float

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall of sessions; 1 if there are none and none was claimed."""
        if not self.true:
            return float(not self.predicted)
        precision = self.claims / self.predicted if self.predicted else 0.0
        recall = self.hits / self.true
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0

    @property
    def hours_error(self) -> float:
        """Share by which the run hours are wrong."""
        if not self.true_s:
            return 0.0 if not self.predicted_s else float("inf")
        return (self.predicted_s - self.true_s) / self.true_s


@dataclass(frozen=True)
class Truth:
    """A true run, and when its start and end may be said to be."""

    starts: tuple[float, float]
    ends: tuple[float, float]
    goes_on: bool


def read_rows(source: Iterable[str]) -> list[Row]:
    """Return (start, end, state) rows in order, without empty ones."""
    rows = [(float(row["start"]), float(row["end"]), row["state"].strip()) for row in csv.DictReader(source)]
    return sorted(row for row in rows if row[1] > row[0])


def silences(trace: Path) -> list[tuple[float, float]]:
    """Return where nothing was read for longer than a minute."""
    with trace.open(newline="") as file:
        times = [float(row["timestamp_s"]) for row in csv.DictReader(file)]
    return [(a, b) for a, b in pairwise(times) if b - a > SILENT_S]


def score(truth: Sequence[Row], claimed: Sequence[Row], tol_s: float, silent: Sequence[tuple[float, float]]) -> Score:
    """Compare claimed states with the truth."""
    true_s, predicted_s = _seconds(truth, claimed, silent)
    wanted = _true_runs(truth, tol_s)
    runs = _claimed_runs(claimed, truth[0][0], truth[-1][1], silent)
    hit: set[int] = set()
    good: set[int] = set()
    for number, run in enumerate(runs):
        covered = _covered(run, wanted, hit)
        if covered:
            hit.update(covered)
            good.add(number)
    neutral = _neutral(truth, runs, good)
    rest = [run for number, run in enumerate(runs) if number not in good | neutral]
    spurious = sum(_overlap(run, truth, ("running", *OPEN)) < SPURIOUS_SHARE * (run[1] - run[0]) for run in rest)
    return Score(len(wanted), len(runs) - len(neutral), len(hit), len(good), spurious, true_s, predicted_s)


def _seconds(
    truth: Sequence[Row], claimed: Sequence[Row], silent: Sequence[tuple[float, float]]
) -> tuple[float, float]:
    edges = {edge for row in (*truth, *claimed) for edge in row[:2]} | {edge for gap in silent for edge in gap}
    cuts = sorted(edge for edge in edges if truth[0][0] <= edge <= truth[-1][1])
    true_s = predicted_s = 0.0
    positions = [0, 0, 0]
    for start, end in pairwise(cuts):
        states: list[str | None] = []
        for place, rows in enumerate((truth, claimed, [(a, b, "silent") for a, b in silent])):
            while positions[place] < len(rows) - 1 and rows[positions[place]][1] <= start:
                positions[place] += 1
            row = rows[positions[place]] if rows else (0.0, 0.0, "")
            states.append(row[2] if row[0] <= start < row[1] else None)
        if states[2] is not None or states[0] in (None, *OPEN):
            continue
        true_s += (end - start) * (states[0] == "running")
        predicted_s += (end - start) * (states[1] == "running")
    return true_s, predicted_s


def _true_runs(truth: Sequence[Row], tol_s: float) -> list[Truth]:
    found: list[Truth] = []
    for number, (start, end, state) in enumerate(truth):
        if state != "running":
            continue
        first, last = number, number
        while first > 0 and truth[first - 1][2] in OPEN:
            first -= 1
        while last + 1 < len(truth) and truth[last + 1][2] in OPEN:
            last += 1
        goes_on = last > number and last + 1 < len(truth) and truth[last + 1][2] == "running"
        found.append(Truth((truth[first][0] - tol_s, start + tol_s), (end - tol_s, truth[last][1] + tol_s), goes_on))
    return found


def _claimed_runs(
    rows: Sequence[Row], low: float, high: float, silent: Sequence[tuple[float, float]]
) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for start, end, state in rows:
        a, b = max(start, low), min(end, high)
        if state != "running" or b <= a:
            continue
        last = found[-1][1] if found else float("-inf")
        bridged = any(gap[0] - SILENT_S - 1 <= last and a <= gap[1] + 1 for gap in silent)
        if found and (a - last <= MERGE_S or bridged):
            found[-1] = (found[-1][0], b)
        else:
            found.append((a, b))
    return found


def _covered(run: tuple[float, float], wanted: Sequence[Truth], hit: set[int]) -> range | None:
    """Return the true runs that one claimed run stands for: several if only open stretches lie between them."""
    for first, true in enumerate(wanted):
        if first in hit or not true.starts[0] <= run[0] <= true.starts[1]:
            continue
        last = first
        while True:
            if wanted[last].ends[0] <= run[1] <= wanted[last].ends[1]:
                return range(first, last + 1)
            if not wanted[last].goes_on:
                break
            last += 1
    return None


def _neutral(truth: Sequence[Row], runs: Sequence[tuple[float, float]], good: set[int]) -> set[int]:
    """Return the claimed runs that lie in an open stretch, one in each: no error either way."""
    homes: set[int] = set()
    neutral: set[int] = set()
    for number, run in enumerate(runs):
        if number in good or _overlap(run, truth, OPEN) < NEUTRAL_SHARE * (run[1] - run[0]):
            continue
        home = next(at for at, row in enumerate(truth) if row[2] in OPEN and row[0] < run[1] and row[1] > run[0])
        if home not in homes:
            homes.add(home)
            neutral.add(number)
    return neutral


def _overlap(run: tuple[float, float], rows: Sequence[Row], states: Sequence[str]) -> float:
    return sum(max(0.0, min(run[1], row[1]) - max(run[0], row[0])) for row in rows if row[2] in states)


def marked(truth: Sequence[Row]) -> list[str]:
    """Return the windows a technician would mark: the middle of the longest stretch of each kind."""
    arguments: list[str] = []
    for option, states in (("--standby", ("off", "standby", "nonrun")), ("--running", ("running",))):
        longest = max((row for row in truth if row[2] in states), key=lambda row: row[1] - row[0], default=None)
        if longest is not None:
            inset = CENTRE * (longest[1] - longest[0])
            arguments += [option, f"{longest[0] + inset:g}:{longest[1] - inset:g}"]
    return arguments


def replayed(trace: Path, arguments: Sequence[str]) -> list[Row]:
    """Return what the command prints of a trace."""
    done = CliRunner().invoke(replay, [str(trace), "--calibrate", "--format", "csv", *arguments])
    if done.exit_code:
        raise RuntimeError(f"{trace}: {done.output}") from done.exception
    return read_rows(io.StringIO(done.stdout))


def scored(
    folder: Path, name: str, tol_s: float, variant: tuple[float, float], commissioned: bool, profile: str = ""
) -> Score:
    """Replay one trace and score it."""
    trace = folder / "traces" / f"{name}.csv"
    with (folder / "labels" / f"{name}.csv").open(newline="") as file:
        truth = read_rows(file)
    arguments = ["--scale", str(variant[0]), "--offset", str(variant[1])]
    arguments += ["--activity-profile", profile] if profile else []
    arguments += marked(truth) if commissioned else []
    return score(truth, replayed(trace, arguments), tol_s, silences(trace))


def labelled(folder: Path) -> list[tuple[str, float, str]]:
    """Return the names of the labelled traces with their tolerance in seconds and the profile to tell."""
    with (folder / "labels" / "META.csv").open(newline="") as file:
        return [
            (row["name"], float(row["tol_s"]), row.get("profile") or TOLD.get(row["name"], ""))
            for row in csv.DictReader(file)
            if row["labelled"] == "True"
        ]


def main() -> None:
    """Print a table for each variant, unlabelled and commissioned."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    if not (folder / "labels" / "META.csv").is_file():
        sys.exit(f"{folder} has no labels/META.csv: give a folder with traces/ and labels/")
    for commissioned in (False, True):
        for variant in VARIANTS:
            rows = [
                (name, scored(folder, name, tol_s, variant, commissioned, profile))
                for name, tol_s, profile in labelled(folder)
            ]
            print(f"{'commissioned' if commissioned else 'unlabelled'}, x{variant[0]:g} {variant[1]:+g} W")
            for name, found in rows:
                print(
                    f"  {name:24} true {found.true:3} claimed {found.predicted:3} F1 {found.f1:.2f}"
                    f" spurious {found.spurious:2} hours {100 * found.hours_error:+.2f} %"
                )
            print(
                f"  macro F1 {sum(found.f1 for _, found in rows) / len(rows):.3f},"
                f" hours within 2 %: {sum(abs(found.hours_error) <= 0.02 for _, found in rows)} of {len(rows)},"
                f" spurious {sum(found.spurious for _, found in rows)}"
            )


if __name__ == "__main__":
    main()
