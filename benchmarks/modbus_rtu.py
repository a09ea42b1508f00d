"""Polls a second over Modbus RTU at 9600 baud against what the wire can carry, and with half of the slaves dead.

The line is a pseudo-terminal at the pace of a real one (`paced_slaves.py`), the agent a real process.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import mean, median

from agent_footprint import many_loads
from paced_slaves import CHARACTER_BITS, QUESTION_BYTES, SILENCE_CHARACTERS

from instrument_agent.sandbox.agent_process import AgentProcess
from instrument_agent.sandbox.boxfile import write_box_file

BAUD, SLAVES, POLL_S = 9600, 8, 1.0
BLOCK_REGISTERS = (0x20, 6, 2)  # the ten values of an SDM120
ANSWER_OVERHEAD = 5
NOBODY = "http://127.0.0.1:9"  # deliveries wait; this is about the line
SETTLE_S, MEASURE_S = 30.0, 60.0
WIRE_TARGET, CYCLE_TARGET = 0.95, 1.10


@dataclass(frozen=True, slots=True)
class Told:
    """What the slaves tell of a run: when each was asked, when the wire was busy, and since when to look."""

    asked: Mapping[str, list[float]]
    busy: list[tuple[float, float]]
    since_s: float

    def cycles_s(self, units: range) -> list[float]:
        """Return the times between two polls of these meters."""
        asked = [[at_s for at_s in self.asked[str(unit)] if at_s >= self.since_s] for unit in units]
        return [after - before for times in asked for before, after in pairwise(times)]

    def polls(self, units: range) -> int:
        """Return how often these meters were polled."""
        return sum(at_s >= self.since_s for unit in units for at_s in self.asked.get(str(unit), []))

    def pause_s(self) -> float:
        """Return the usual time from the end of one exchange to the next question."""
        busy = [item for item in self.busy if item[0] >= self.since_s]
        return median(after[0] - before[1] for before, after in pairwise(busy))

    def busy_share(self) -> float:
        """Return which part of the time the wire was busy; the slaves' own lateness counts as the wire's."""
        return sum(end_s - start_s for start_s, end_s in self.busy if start_s >= self.since_s) / MEASURE_S


def wire_s() -> float:
    """Return what one poll of one meter takes on the wire: its characters and the silences between the frames."""
    silences = 2 * SILENCE_CHARACTERS
    characters = sum(QUESTION_BYTES + ANSWER_OVERHEAD + 2 * count + silences for count in BLOCK_REGISTERS)
    return characters * CHARACTER_BITS / BAUD


def told(configured: int, alive: range) -> Told:
    """Run an agent with so many meters on a line where only some answer."""
    script = str(Path(__file__).with_name("paced_slaves.py"))
    arguments = [sys.executable, script, str(BAUD), *(str(unit) for unit in alive)]
    with (
        tempfile.TemporaryDirectory() as name,
        subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as line,
    ):
        assert line.stdout is not None
        port = line.stdout.readline().strip()
        loads = many_loads(configured)
        options = {"profile": "eastron-sdm120", "port": port, "baud": BAUD, "parity": "N", "stop_bits": 1}
        connections = {load.instrument_id: {**options, "unit_id": unit} for unit, load in enumerate(loads, start=1)}
        config = Path(name) / "box.toml"
        write_box_file(config, loads, connections, NOBODY, poll_s=POLL_S, gap_s=60.0)
        agent = AgentProcess(config, Path(name) / "agent.log")
        time.sleep(SETTLE_S)
        since_s = time.monotonic()
        time.sleep(MEASURE_S)
        found, _errors = line.communicate("stop\n")
        agent.stop()
    return Told(**json.loads(found), since_s=since_s)


def main() -> None:
    """Measure three lines and print the table."""
    everybody, half = range(1, SLAVES + 1), range(1, SLAVES // 2 + 1)
    full = told(SLAVES, everybody)
    share = full.busy_share()
    print(
        f"full line, {SLAVES} meters: {full.polls(everybody) / MEASURE_S:.2f} polls/s; the wire carries"
        f" {1 / wire_s():.2f} and is busy {100 * share:.1f} % of the time,"
        f" usually idle for {1000 * full.pause_s():.2f} ms between two exchanges"
        f" (target {100 * WIRE_TARGET:.0f} %: {'met' if share >= WIRE_TARGET else 'MISSED'})"
    )
    alone, beside = told(len(half), half), told(SLAVES, half)
    alone_s, cycle_s = mean(alone.cycles_s(half)), mean(beside.cycles_s(half))
    ratio = cycle_s / alone_s
    print(
        f"{len(half)} meters alone: cycle {alone_s:.3f} s; with {SLAVES - len(half)} dead ones beside"
        f" them: {cycle_s:.3f} s, longest {max(beside.cycles_s(half)):.2f} s,"
        f" {beside.polls(range(len(half) + 1, SLAVES + 1))} tries of the dead in {MEASURE_S:.0f} s:"
        f" {ratio:.3f} times (target {CYCLE_TARGET}: {'met' if ratio <= CYCLE_TARGET else 'MISSED'})"
    )


if __name__ == "__main__":
    main()
