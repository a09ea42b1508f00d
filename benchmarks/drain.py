"""How fast a box that was offline for long gets rid of its backlog, against a loop that only posts the same bodies.

Both send to a reference platform of their own, in a process of its own, over HTTP on this machine. What the agent does
more: it reads the log and checks its chain, asks what the platform has, checks each reply, and moves its watermark
durably after each batch.

    drain.py [RECORDS]
"""

import gzip
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import requests
from rich.progress import Progress

from instrument_agent.buffer.outbox import Outbox
from instrument_agent.buffer.store import Start, Store
from instrument_agent.clock import SystemClock
from instrument_agent.core.anchors import Anchor
from instrument_agent.core.readings import NS_PER_S
from instrument_agent.core.records import Fact, RecordType
from instrument_agent.uplink.anchoring import Anchoring
from instrument_agent.uplink.delivery import Delivery
from instrument_agent.uplink.http import HttpTransport

RECORDS = 100_000
BATCH = 500
"""The default of the config."""
WRITTEN_AT_ONCE = 1000
LOOK_S = 0.05
BOX = "box-1"


@contextmanager
def platform(folder: Path) -> Iterator[tuple[str, Callable[[], float]]]:
    """Yield the address of a new platform, and what tells how much CPU time it has used (s)."""
    command = [sys.executable, "-m", "instrument_agent.cli.main", "platform", "serve", "--open"]
    folder.mkdir()
    process = subprocess.Popen(
        [*command, "--listen", "127.0.0.1:0"], cwd=folder, stdout=subprocess.PIPE, env=os.environ | {"LANGUAGE": "C"}
    )
    assert process.stdout is not None
    try:
        found = re.search(r"http://[0-9.:]+", process.stdout.readline().decode())
        assert found is not None
        yield found.group(), lambda: cpu_s(process.pid)
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process (proc(5): utime and stime, in clock ticks)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def backlog(store: Store, clock: SystemClock, count: int) -> None:
    """Write runs that follow each other, as one instrument makes them."""
    store.begin_epoch(Start(clock.boot_id, clock.boottime_ns(), "0", "0" * 64))
    for first in range(0, count - 1, WRITTEN_AT_ONCE):
        with store.write() as change:
            for number in range(first, min(first + WRITTEN_AT_ONCE, count - 1)):
                at_ms = number * 1000
                run = {"start_ms": at_ms, "end_ms": at_ms + 900, "unseen_ms": 0, "running_ms": 900}
                change.append(Fact(RecordType.RUN_SESSION, clock.boot_id, at_ms * 1_000_000, run, "xrd-1"))


def bodies(delivery: Delivery, outbox: Outbox, clock: SystemClock) -> list[bytes]:
    """Return what the delivery would send, in bytes, ready to be posted; the watermark ends where it began."""
    made, epoch = [], ""
    while (batch := outbox.next_batch(BATCH)) is not None:
        envelope = delivery._envelope(batch, None)  # noqa: SLF001  # the very bodies
        made.append(gzip.compress(json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode(), 6))
        epoch = batch.epoch
        outbox.settle(batch.entries[-1].id, {}, clock.boot_id, clock.boottime_ns())
    outbox.rewind(epoch, 0)
    return made


def posted(url: str, made: list[bytes]) -> tuple[float, float]:
    """Post all bodies in a plain loop; return how long it took and the CPU time of it (s)."""
    address, headers = f"{url}/v1/boxes/{BOX}/records", {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    start_s, start_cpu_s = time.monotonic(), time.process_time()
    with requests.Session() as session:
        for body in made:
            session.post(address, body, headers=headers, timeout=30).raise_for_status()
    return time.monotonic() - start_s, time.process_time() - start_cpu_s


def drained(delivery: Delivery, outbox: Outbox, count: int) -> tuple[float, float]:
    """Let the agent's own delivery do it; return how long it took and the CPU time of it (s)."""
    never = Event()
    start_s, start_cpu_s = time.monotonic(), time.process_time()
    with Progress(transient=True) as progress:
        task = progress.add_task("draining", total=count)
        delivery.start()
        while (waiting := left(outbox)) > 0:
            progress.update(task, completed=count - waiting)
            never.wait(LOOK_S)  # there is no event for it; the look costs one count of an index
    took = time.monotonic() - start_s, time.process_time() - start_cpu_s
    delivery.stop()
    delivery.join()
    return took


def left(outbox: Outbox) -> int:
    """Return how many records are not acknowledged."""
    return int(outbox.store.rows("select (select max(id) from records) - acked_id from destinations")[0][0])


def main() -> None:
    """Print records a second and CPU time of both, and the ratios."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else RECORDS
    clock = SystemClock()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "box").mkdir()
        store = Store(folder / "box", BOX)
        backlog(store, clock, count)
        outbox, anchoring = Outbox(store, "platform"), Anchoring(store, clock)
        anchoring.see(Anchor(clock.boot_id, clock.boottime_ns(), clock.utc_ns(), NS_PER_S, "ntp"))

        def to(url: str) -> Delivery:
            return Delivery("platform", outbox, HttpTransport(url, BOX, None, None), clock, anchoring, BATCH)

        made = bodies(to("http://127.0.0.1:9"), outbox, clock)
        rows = []
        with platform(folder / "one") as (url, used):
            rows.append(("plain loop of posts", *posted(url, made), used()))
        with platform(folder / "two") as (url, used):
            rows.append(("the agent's delivery", *drained(to(url), outbox, count), used()))
        store.close()
    print(f"drain of {count} records in batches of {BATCH}: {sum(map(len, made)) / 1e6:.1f} MB in gzip")
    for what, took_s, own_s, its_s in rows:
        print(
            f"  {what:<22} {count / took_s:>7.0f} records/s, CPU of the sender {1e6 * own_s / count:>4.0f} us a record,"
            f" of the platform {1e6 * its_s / count:>4.0f}"
        )
    floor, agent = rows
    print(f"  the agent takes {agent[1] / floor[1]:.2f} times as long, and {agent[2] / floor[2]:.1f} times the CPU")


if __name__ == "__main__":
    main()
