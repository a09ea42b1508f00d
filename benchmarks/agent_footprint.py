"""Memory and CPU of a running agent with Modbus TCP meters, delivery included, and of what it is compared with.

    python benchmarks/agent_footprint.py [METERS]

CPU is compared with a loop that does the same reads and nothing else (`minimal_loop.py`), memory with a process
that only imports the same libraries. Agent and loop are measured at the same time, on the same load of the machine.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from instrument_agent.clock import SystemClock
from instrument_agent.receiver.app import create_app
from instrument_agent.receiver.ledger import Ledger
from instrument_agent.receiver.server import PlatformServer
from instrument_agent.sandbox.agent_process import AgentProcess
from instrument_agent.sandbox.bench import Bench
from instrument_agent.sandbox.boxfile import write_box_file
from instrument_agent.sandbox.loads import Load, bench_loads

SETTLE_S, MEASURE_S = 10.0, 20.0
MIB = 2**20
IMPORTS = "import click, pymodbus.framer, requests, rfc8785, serial, sqlite_utils, tenacity, tomllib, logging"
LOOP = Path(__file__).with_name("minimal_loop.py")


@dataclass(frozen=True, slots=True)
class Footprint:
    """CPU in cores, memory in bytes of RSS, and how many reads of a whole meter were made of how many wanted."""

    agent_cpu: float
    loop_cpu: float
    agent_rss: int
    reads: int
    wanted: int

    @property
    def times_loop(self) -> float:
        """The agent's CPU as a multiple of the minimal loop's."""
        return self.agent_cpu / self.loop_cpu


def floor_rss() -> int:
    """Return the resident bytes of a process that has imported what the agent imports and does nothing."""
    with subprocess.Popen(
        [sys.executable, "-c", f"{IMPORTS}; print('ready', flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as idle:
        assert idle.stdout is not None
        idle.stdout.readline()
        rss = psutil.Process(idle.pid).memory_info().rss
        idle.communicate(b"\n")
    return int(rss)


def many_loads(meters: int) -> list[Load]:
    """Return as many loads as there are meters, one shape under many names."""
    shape = bench_loads(3600)[0]
    return [Load(**{**vars(shape), "instrument_id": f"meter-{number}"}) for number in range(meters)]


@contextmanager
def running(meters: int) -> Iterator[tuple[Bench, psutil.Process]]:
    """Yield the bench of an agent that reads so many meters once a second, and the agent's process."""
    clock, start_s, loads = SystemClock(), time.monotonic(), many_loads(meters)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = {load.instrument_id: load for load in loads}
        bench = Bench(sources, lambda: time.monotonic() - start_s, folder, on_serial=0)
        with (
            Ledger(f"sqlite:///{folder / 'platform.db'}") as ledger,
            PlatformServer(create_app(ledger, clock.utc_ns)) as platform,
            bench,
        ):
            config = folder / "box.toml"
            write_box_file(config, loads, bench.connections, platform.url, poll_s=1.0, gap_s=60.0)
            agent = AgentProcess(config, folder / "agent.log")
            try:
                yield bench, psutil.Process(agent.process.pid)
            finally:
                agent.stop()


@contextmanager
def looping(bench: Bench) -> Iterator[psutil.Process]:
    """Yield the process of a minimal loop over the same meters."""
    ports = [str(options["tcp_port"]) for options in bench.connections.values()]
    with subprocess.Popen([sys.executable, str(LOOP), *ports], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as loop:
        assert loop.stdout is not None
        loop.stdout.readline()
        yield psutil.Process(loop.pid)
        loop.communicate(b"\n")


def measured(meters: int) -> Footprint:
    """Run agent and loop side by side and return what they took."""
    with running(meters) as (bench, agent), looping(bench) as loop:
        time.sleep(SETTLE_S)
        asked = sum(len(meter.asked_s) for meter in bench.meters.values())
        before = [_cpu_s(process) for process in (agent, loop)]
        time.sleep(MEASURE_S)
        cpu = [(_cpu_s(process) - earlier) / MEASURE_S for process, earlier in zip((agent, loop), before, strict=True)]
        asked = sum(len(meter.asked_s) for meter in bench.meters.values()) - asked
        rss = agent.memory_info().rss
    return Footprint(cpu[0], cpu[1], rss, asked, round(2 * meters * MEASURE_S))


def _cpu_s(process: psutil.Process) -> float:
    """Return the time all threads of a process were on a CPU; the usual counters tick in hundredths of a second."""
    tasks = Path(f"/proc/{process.pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def main() -> None:
    """Measure one number of meters and print it."""
    meters = int(sys.argv[1]) if len(sys.argv) > 1 else 16
    found, bare = measured(meters), floor_rss()
    print(
        f"agent, {meters} meters: RSS {found.agent_rss / MIB:.1f} MiB,"
        f" {(found.agent_rss - bare) / MIB:+.1f} MiB over its imports"
    )
    print(
        f"agent, {meters} meters: {100 * found.agent_cpu:.1f} % of one core,"
        f" {found.times_loop:.1f} times the minimal loop's {100 * found.loop_cpu:.2f} %"
        f" ({found.reads} of {found.wanted} reads, both together)"
    )


if __name__ == "__main__":
    main()
