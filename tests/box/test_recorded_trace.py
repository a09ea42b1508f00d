"""A real appliance's trace the whole way: Modbus RTU frames on a pseudo-terminal, agent, platform, scaled clock."""

import csv
from pathlib import Path

import pytest
from rig import Rig

from instrument_agent.sandbox.traces import PowerTrace

DETECTION = Path(__file__).parents[3] / "shared" / "detection"
NAME = "hotplate_thermostat"
SPEED = 500.0
POLL_S = 10.0  # 20 ms on the wall: a 9,600 baud line answers in about ten
AROUND_S = 300.0
TOLERANCE_S = 10.0  # tol_s of this trace in META.csv

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not DETECTION.is_dir(), reason=f"the labelled traces are not here: {DETECTION}"),
]


class Windows:
    """Stretches of a longer time axis, laid end to end."""

    def __init__(self, stretches):
        self.stretches = stretches
        self.length_s = sum(end - start for start, end in stretches)

    def original_s(self, laid_s):
        """The original time of a moment on the joined axis."""
        for start, end in self.stretches:
            if laid_s < end - start:
                return start + max(0.0, laid_s)
            laid_s -= end - start
        return self.stretches[-1][1] + laid_s


class Playback:
    """A recorded trace with everything but the windows cut out, played from ``start_s`` of the bench's clock."""

    def __init__(self, trace, windows):
        self.trace, self.windows = trace, windows
        self.start_s = None

    def power_w(self, t_s):
        played_s = 0.0 if self.start_s is None else t_s - self.start_s
        return self.trace.power_w(self.windows.original_s(min(played_s, self.windows.length_s)))


def labelled_runs():
    with (DETECTION / "labels" / f"{NAME}.csv").open(newline="") as file:
        rows = [(float(row["start"]), float(row["end"]), row["state"]) for row in csv.DictReader(file)]
    return [(start, end) for start, end, state in rows if state == "running"]


def around(runs):
    stretches = []
    for start, end in runs:
        if stretches and start - AROUND_S <= stretches[-1][1]:
            stretches[-1] = (stretches[-1][0], end + AROUND_S)
        else:
            stretches.append((start - AROUND_S, end + AROUND_S))
    return Windows(stretches)


def measured(rig, windows, start_s):
    """The runs the platform has, on the trace's own clock."""
    runs = []
    for record in rig.records("run_session"):
        ends = [record["data"][key] / 1000 - rig.zero_ns / 1e9 - start_s for key in ("start_ms", "end_ms")]
        runs.append(tuple(windows.original_s(end) for end in ends))
    return sorted(runs)


def test_every_labelled_run_of_a_real_hot_plate_reaches_the_platform(tmp_path):
    runs = labelled_runs()
    windows = around(runs)
    source = Playback(PowerTrace.from_csv(DETECTION / "traces" / f"{NAME}.csv"), windows)
    with Rig(tmp_path, {"hotplate": source}, speed=SPEED) as rig:
        activity = "off_below = 5\nrun_above = 100\nmin_on_s = 60\nmin_off_s = 300\ngap_s = 1000\nbridge_s = 2000"
        rig.configure({"platform": rig.start_platform()}, activity=activity, poll_s=POLL_S)
        rig.start_agent()
        source.start_s = rig.now_s()
        rig.pass_time(windows.length_s)
        rig.until(lambda: len(rig.records("run_session")) == len(runs) and rig.delivered(), "every run is delivered")
        assert rig.agent.stop() == 0
        found = measured(rig, windows, source.start_s)
        rig.chain("hotplate")  # raises if a second is missing or there twice
        asked = [windows.original_s(asked_s - source.start_s) for asked_s in rig.bench.meters["hotplate"].asked_s]

    def allowed_s(moment_s):
        """A busy machine asks late and reads late: a change is in the next reading, stamped before the one after it."""
        later = [at_s - moment_s for at_s in asked if at_s > moment_s][:2]
        return TOLERANCE_S + max([POLL_S, *later])

    for (start, end), (start_found, end_found) in zip(runs, found, strict=True):
        assert start_found == pytest.approx(start, abs=allowed_s(start))
        assert end_found == pytest.approx(end, abs=allowed_s(end))
