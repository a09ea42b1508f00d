"""Write a folder of made-up traces with their labels, for `detection.py`: loads of our own, none of them measured.

    python benchmarks/made_traces.py FOLDER [SEED]

Each load is a list of (seconds, watts, state). Levels, times, sampling, the step of the meter, silences and single
wrong readings are drawn anew for each seed. Where a boundary falls into a silence the label is ``unsure``.
"""

import csv
import itertools
import random
import sys
from collections.abc import Callable, Iterator
from math import exp, sin
from pathlib import Path

DAY_S = 86_400.0
MOST_ROWS = 30_000

Watts = float | Callable[[float], float]
"""A constant, or what is drawn so many seconds after the phase began."""

Phase = tuple[float, Watts, str]
OFF, STANDBY, RUNNING = "off", "standby", "running"


def day(
    source: random.Random, idle_w: float, state: str, jobs: list[list[Phase]], whole_s: float = DAY_S
) -> list[Phase]:
    """Return jobs with idle times between them that fill a day."""
    free_s = whole_s - sum(phase[0] for job in jobs for phase in job)
    shares = [source.uniform(1, 3) for _ in range(len(jobs) + 1)]
    phases: list[Phase] = []
    for share, job in zip(shares, [*jobs, []], strict=True):
        phases += [(free_s * share / sum(shares), idle_w, state), *job]
    return phases


def level(source: random.Random) -> list[Phase]:
    """Standby of some hundred watts and runs of different heights, as a microscope or a diffractometer has them."""
    idle_w = source.uniform(60, 1200)
    jobs = [
        [(source.uniform(900, 7000), idle_w * source.uniform(1.3, 5), RUNNING)] for _ in range(source.randint(2, 6))
    ]
    return day(source, idle_w, STANDBY, jobs)


def small_rise(source: random.Random) -> list[Phase]:
    """A run adds 7 to 20 %, as that of a chromatograph does."""
    idle_w, share = source.uniform(300, 2200), source.uniform(1.07, 1.2)
    jobs = [[(source.uniform(2400, 9000), idle_w * share, RUNNING)] for _ in range(source.randint(2, 5))]
    return day(source, idle_w, STANDBY, jobs)


def furnace(source: random.Random) -> list[Phase]:
    """Heat up, then hold with pulses."""
    heat_w, idle_w = source.uniform(1500, 8000), source.uniform(0, 30)
    on_s, pause_s = source.uniform(20, 120), source.uniform(40, 240)
    hold: list[Phase] = [(pause_s, idle_w + 5, RUNNING), (on_s, heat_w, RUNNING)] * source.randint(15, 40)
    job: list[Phase] = [(source.uniform(1500, 3600), heat_w, RUNNING), *hold]
    return day(source, idle_w, STANDBY if idle_w > 4 else "nonrun", [job] * source.randint(1, 3))


def centrifuge(source: random.Random) -> list[Phase]:
    """A start of two kilowatts that decays to some hundred watts."""
    idle_w, end_w = source.uniform(70, 160), source.uniform(400, 900)
    jobs: list[list[Phase]] = [
        [
            (source.uniform(60, 400), 2500.0, RUNNING),
            (source.uniform(1500, 9000), lambda at_s: end_w * (1 + exp(-at_s / 500)), RUNNING),
        ]
        for _ in range(source.randint(1, 4))
    ]
    return day(source, idle_w, STANDBY, jobs)


def office_hours(source: random.Random) -> list[Phase]:
    """Off at night, standby by day, runs in between."""
    idle_w = source.uniform(60, 300)
    run_w = idle_w * source.uniform(2, 9)
    jobs = [(source.uniform(1200, 5400), run_w, RUNNING) for _ in range(source.randint(2, 4))]
    by_day = [phase for job in jobs for phase in ((source.uniform(900, 4000), idle_w, STANDBY), job)]
    return day(source, 0.0, OFF, [[*by_day, (source.uniform(900, 4000), idle_w, STANDBY)]])


def dishwasher(source: random.Random) -> list[Phase]:
    """A programme of stages: pump, heat, pump, heat, pump."""
    pump_w = source.uniform(50, 110)
    lengths = ((200, 500), (600, 1100), (900, 2400), (700, 1000), (300, 550))
    job: list[Phase] = [
        (source.uniform(*length), pump_w if number % 2 == 0 else pump_w + 2000, RUNNING)
        for number, length in enumerate(lengths)
    ]
    return day(source, source.choice([0.0, 0.8]), "nonrun", [job] * source.randint(1, 2))


def washer(source: random.Random) -> list[Phase]:
    """Drum reversals, a heater, a spin, and standby after it."""
    drum_w = source.uniform(120, 260)

    def drum(at_s: float) -> float:
        return drum_w if at_s % 18 < 12 else 6.0  # seconds on, of each 18

    job: list[Phase] = [
        *(
            (200, drum, RUNNING),
            (source.uniform(500, 1100), 2000.0, RUNNING),
            (source.uniform(900, 2600), drum, RUNNING),
        ),
        *((400, lambda at_s: min(120 + 1.2 * at_s, 550.0), RUNNING), (source.uniform(300, 2400), 3.0, STANDBY)),
    ]
    return day(source, 0.0, OFF, [job] * source.randint(1, 3))


def thermocycler(source: random.Random) -> list[Phase]:
    """Thirty and more cycles of four temperatures."""
    idle_w, heat_w = source.uniform(18, 35), source.uniform(400, 600)
    cycle = [(20.0, heat_w), (30.0, idle_w + 70), (18.0, 0.7 * heat_w), (55.0, idle_w + 90)]
    job: list[Phase] = [(seconds, watts, RUNNING) for seconds, watts in cycle * source.randint(30, 40)]
    return day(source, idle_w, STANDBY, [job] * source.randint(1, 4))


def screen(source: random.Random) -> list[Phase]:
    """A load that follows what it shows."""
    usual_w = source.uniform(30, 150)
    jobs: list[list[Phase]] = [
        [(source.uniform(900, 9000), lambda at_s: usual_w * (1 + 0.2 * sin(at_s / 37) * sin(at_s / 11)), RUNNING)]
        for _ in range(source.randint(2, 6))
    ]
    return day(source, source.uniform(0.3, 9), STANDBY, jobs)


def short_jobs(source: random.Random) -> list[Phase]:
    """Kettle, microwave oven: some minutes at a time."""
    watts = source.uniform(700, 2600)
    jobs = [[(source.uniform(80, 400), watts, RUNNING)] for _ in range(source.randint(3, 9))]
    return day(source, 0.0, OFF, jobs)


def queue(source: random.Random) -> list[Phase]:
    """Equal runs of half an hour one after the other, with equal pauses of some minutes."""
    idle_w, run_s = source.uniform(250, 500), source.uniform(1300, 2200)
    jobs: list[Phase] = [(run_s, 3 * idle_w, RUNNING), (source.uniform(280, 420), idle_w, STANDBY)] * source.randint(
        6, 18
    )
    return day(source, idle_w, STANDBY, [jobs])


def short_queue(source: random.Random) -> list[Phase]:
    """Equal runs of a minute or two, with pauses like those of a thermostat."""
    idle_w = source.uniform(60, 300)
    jobs: list[Phase] = [(source.uniform(65, 110), 4 * idle_w, RUNNING), (source.uniform(200, 350), idle_w, STANDBY)]
    return day(source, idle_w, STANDBY, [jobs * 150])


def busy_computer(source: random.Random) -> list[Phase]:
    """Half an hour of waiting between minutes of twice the power; labelled as running while it is switched on."""
    waiting_w = source.uniform(45, 70)
    shift: list[Phase] = [(source.uniform(900, 2400), waiting_w, RUNNING), (300, 2 * waiting_w, RUNNING)] * 5
    return day(source, source.uniform(0.8, 3), "nonrun", [[*shift, (900.0, waiting_w, RUNNING)]] * 2)


def idle_pump(source: random.Random) -> list[Phase]:
    """Runs of hours beside a pump that starts for a minute every twenty, and adds as much as a run does."""
    phases = day(source, 1000.0, STANDBY, [[(source.uniform(3000, 9000), 1330.0, RUNNING)] for _ in range(3)])
    pulsed: list[Phase] = []
    for seconds, watts, state in phases:
        assert isinstance(watts, float)
        pulsed.append((seconds, lambda at_s, w=watts: w + (330.0 if at_s % 1200 > 1140 else 0.0), state))
    return pulsed


def compressor(source: random.Random) -> list[Phase]:
    """An idle machine, told to be one."""
    cycle: list[Phase] = [(source.uniform(900, 2400), 5.0, STANDBY), (source.uniform(200, 900), 150.0, STANDBY)]
    return cycle * int(DAY_S / sum(phase[0] for phase in cycle))


def always_on(source: random.Random) -> list[Phase]:
    """No run at all: a controller that drifts."""
    watts = source.uniform(6, 400)
    return [(DAY_S, lambda at_s: watts * (1 + 0.04 * sin(at_s / 9000)), STANDBY)]


LOADS = (
    *(
        level,
        small_rise,
        furnace,
        centrifuge,
        office_hours,
        dishwasher,
        washer,
        thermocycler,
        screen,
        short_jobs,
        queue,
    ),
    *(short_queue, busy_computer, idle_pump, compressor, always_on),
)
COARSE_BOUNDARY_S = {"idle_pump": 130.0, "washer": 30.0, "furnace": 30.0, "thermocycler": 30.0}
TOLD = {"compressor": "idle_cycling"}


def times(source: random.Random, whole_s: float) -> list[float]:
    """Return when readings were taken: regular, jittering, or in whole seconds with repeated ones; two silences."""
    apart_s = max(source.choice([2.0, 3.0, 5.0, 8.0]), whole_s / MOST_ROWS)
    kind, silences = source.randrange(3), [source.uniform(0, whole_s) for _ in range(2)]
    found: list[float] = []
    at_s = 0.0
    while at_s < whole_s:
        if not any(0 < at_s - silence < 200 for silence in silences):  # how long a silence lasts
            found.append(float(int(at_s)) if kind == 2 else round(at_s, 3))  # the third kind
        at_s += apart_s if kind == 0 else apart_s * source.uniform(0.1, 1.9)
    return found


def values(source: random.Random, phases: list[Phase], at: list[float]) -> Iterator[float]:
    """Yield what the meter reads: with noise, in its steps, and sometimes a wrong one."""
    noise, step = source.choice([0.002, 0.005, 0.01]), source.choice([0.1, 1.0, 1.0])
    starts = [sum(phase[0] for phase in phases[:number]) for number in range(len(phases) + 1)]
    index = 0
    for at_s in at:
        while index < len(phases) - 1 and at_s >= starts[index + 1]:
            index += 1
        watts = phases[index][1]
        drawn = watts if isinstance(watts, float | int) else watts(at_s - starts[index])
        drawn *= 1 + noise * source.gauss(0, 1)
        yield max(0.0, round((0.0 if source.random() < 1e-4 else drawn) / step) * step)


def labels(phases: list[Phase], at: list[float]) -> list[tuple[float, float, str]]:
    """Return start, end and state of what is the same; what lies beside a silence in doubt is ``unsure``."""
    silences = [(a, b) for a, b in itertools.pairwise(at) if b - a > 60]  # as the scorer has it
    rows: list[tuple[float, float, str]] = []
    start_s = 0.0
    for seconds, _watts, state in phases:
        end_s = start_s + seconds
        if rows and rows[-1][2] == state:
            rows[-1] = (rows[-1][0], end_s, state)
        else:
            rows.append((start_s, end_s, state))
        start_s = end_s
    edges = [row[0] for row in rows[1:]]
    for a, b in silences:
        if any(a - 130 < edge < b + 130 for edge in edges):
            rows = [piece for row in rows for piece in _without(row, a - 130, b + 130)] + [(a - 130, b + 130, "unsure")]
    rows = [(max(start, at[0]), min(end, at[-1]), state) for start, end, state in sorted(rows)]
    return [row for row in rows if row[1] > row[0]]


def _without(row: tuple[float, float, str], low: float, high: float) -> list[tuple[float, float, str]]:
    pieces = [(row[0], min(row[1], low), row[2]), (max(row[0], high), row[1], row[2])]
    return [piece for piece in pieces if piece[1] > piece[0]]


def main() -> None:
    """Write the folder."""
    folder, seed = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    for name in ("traces", "labels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    meta = [["name", "labelled", "tol_s", "profile"]]
    for load in LOADS:
        source = random.Random(f"{load.__name__} {seed}")
        phases, name = load(source), f"{load.__name__}_{seed}"
        at = times(source, sum(phase[0] for phase in phases))
        for part, header, rows in (
            ("traces", ("timestamp_s", "value"), zip(at, (f"{v:g}" for v in values(source, phases, at)), strict=True)),
            ("labels", ("start", "end", "state"), labels(phases, at)),
        ):
            with (folder / part / f"{name}.csv").open("w", newline="") as file:
                csv.writer(file).writerows([header, *rows])
        meta.append([name, "True", str(COARSE_BOUNDARY_S.get(load.__name__, 20.0)), TOLD.get(load.__name__, "")])
    with (folder / "labels" / "META.csv").open("w", newline="") as file:
        csv.writer(file).writerows(meta)


if __name__ == "__main__":
    main()
