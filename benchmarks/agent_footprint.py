"""Memory and CPU of an agent with 16 Modbus TCP meters, against a process that only imports the same libraries."""

import subprocess
import sys
import tempfile
import time
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

METERS = 16
SETTLE_S, MEASURE_S = 10.0, 20.0
MIB = 2**20
IMPORTS = "import click, pymodbus.framer, requests, rfc8785, serial, sqlite_utils, tenacity, tomllib, logging"


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


def many_loads() -> list[Load]:
    """Return as many loads as there are meters, one shape under sixteen names."""
    shape = bench_loads(3600)[0]
    return [Load(**{**vars(shape), "instrument_id": f"meter-{number}"}) for number in range(METERS)]


def main() -> None:
    """Run the agent for half a minute and print the table."""
    clock = SystemClock()
    start_s = time.monotonic()
    loads = many_loads()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bench = Bench(
            {load.instrument_id: load for load in loads}, lambda: time.monotonic() - start_s, folder, on_serial=0
        )
        with (
            Ledger(f"sqlite:///{folder / 'platform.db'}") as ledger,
            PlatformServer(create_app(ledger, clock.utc_ns)) as platform,
            bench,
        ):
            config = folder / "box.toml"
            write_box_file(config, loads, bench.connections, platform.url, poll_s=1.0, gap_s=60.0)
            agent = AgentProcess(config, folder / "agent.log")
            process = psutil.Process(agent.process.pid)
            time.sleep(SETTLE_S)
            before = process.cpu_times()
            time.sleep(MEASURE_S)
            after, rss = process.cpu_times(), process.memory_info().rss
            reads = sum(len(meter.asked_s) for meter in bench.meters.values())
            agent.stop()
    cpu = (after.user + after.system - before.user - before.system) / MEASURE_S
    bare = floor_rss()
    print(
        f"agent, {METERS} meters, {reads} reads:"
        f" RSS {rss / MIB:.1f} MiB, {(rss - bare) / MIB:+.1f} MiB over its imports"
    )
    print(f"agent, {METERS} meters: {100 * cpu:.1f} % of one core")


if __name__ == "__main__":
    main()
