"""What a day costs an SD card: bytes and flushes of a box with 50 runs, on a real ext4 behind a loop device.

Needs root for the loop device. Time is simulated, so what the kernel would write later by itself (ext4's own timers)
comes in fewer, larger pieces than on a live box; every commit is flushed as on a live box.
"""

import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from instrument_agent.buffer.books import save_anchor
from instrument_agent.buffer.outbox import Outbox
from instrument_agent.buffer.store import Start, Store
from instrument_agent.config import ActivityConfig
from instrument_agent.core.anchors import Anchor
from instrument_agent.core.readings import NS_PER_S, Observation
from instrument_agent.core.step import begin
from instrument_agent.daybook import Daybook
from instrument_agent.poll.recorder import Recorder, Watched

INSTRUMENTS = [f"instrument-{number}" for number in range(int(sys.argv[1]) if len(sys.argv) > 1 else 2)]
"""Two, or as many as the command line says."""
RUNS_A_DAY = 50
DAY_S = 86_400
DESTINATIONS = ("province", "university")
SECTOR = 512
BOOT = "00000000-0000-4000-8000-000000000000"
UTC_ZERO_NS = 1_790_000_000 * NS_PER_S


class DayClock:
    """A clock that the benchmark moves."""

    boot_id = BOOT
    now_ns = 0

    def boottime_ns(self) -> int:
        """Return the simulated boot clock."""
        return self.now_ns

    def utc_ns(self) -> int:
        """Return the simulated UTC."""
        return UTC_ZERO_NS + self.now_ns

    def wait(self, event: object, seconds: float) -> bool:
        """Never wait."""
        raise NotImplementedError(f"nothing waits here: {event}, {seconds}")


@contextmanager
def card() -> Iterator[tuple[Path, str]]:
    """Yield a folder on a fresh ext4, and the name of its block device."""
    with tempfile.TemporaryDirectory() as name:
        image, folder = Path(name) / "card.img", Path(name) / "card"
        folder.mkdir()
        with image.open("wb") as file:
            file.truncate(256 * 2**20)
        subprocess.run(["/sbin/mkfs.ext4", "-q", str(image)], check=True)
        subprocess.run(["mount", "-o", "loop,noatime", str(image), str(folder)], check=True)
        try:
            source = subprocess.run(
                ["findmnt", "-no", "SOURCE", str(folder)], check=True, capture_output=True, text=True
            )
            yield folder, source.stdout.strip().removeprefix("/dev/")
        finally:
            subprocess.run(["umount", str(folder)], check=True)


def written(device: str) -> tuple[int, int]:
    """Return bytes written and flushes since the device was made (Documentation/block/stat.rst)."""
    fields = Path(f"/sys/block/{device}/stat").read_text(encoding="ascii").split()
    return int(fields[6]) * SECTOR, int(fields[15])


def power_w(second: int, number: int) -> float:
    """Return 25 runs a day for each instrument, half of the time."""
    period = DAY_S * len(INSTRUMENTS) // RUNS_A_DAY
    return 2400.0 if (second + number * 997) % period > period // 2 else 800.0


def live_a_day(folder: Path) -> int:
    """Live one day at one reading a second per instrument; return how many records were made."""
    clock = DayClock()
    store = Store(folder, "box-1")
    store.begin_epoch(Start(BOOT, 0, "0", "0" * 64))
    with store.write() as change:
        save_anchor(change, Anchor(BOOT, 0, UTC_ZERO_NS, NS_PER_S, "platform:province"))
    recorder = Recorder(store, clock, checkpoint_s=120)
    rules = ActivityConfig(off_below=5, run_above=1600).rules()
    for name in INSTRUMENTS:
        recorder.watch(name, Watched(rules, begin(BOOT, 0)))
    outboxes = [Outbox(store, name) for name in DESTINATIONS]
    noise = random.Random(1)
    daybook = Daybook(store, "Asia/Shanghai", (30, 90, 180))
    for second in range(1, DAY_S + 1):
        clock.now_ns = second * NS_PER_S
        for number, name in enumerate(INSTRUMENTS):
            watts = round(power_w(second, number) + noise.gauss(0, 15), 1)  # the traces are not to compress too well
            recorder.take(name, Observation(clock.now_ns, {"power_w": watts}))
        if second % 60 == 0:
            daybook.close_due({name: item.state for name, item in recorder.watched().items()})
        if second % 10 == 0:
            for outbox in outboxes:
                if (batch := outbox.next_batch(500)) is not None:
                    outbox.settle(batch.entries[-1].id, {}, BOOT, clock.now_ns)
    made = outboxes[0].queue().made
    store.close()
    return made


def main() -> None:
    """Print what one day wrote."""
    try:
        with card() as (folder, device):
            before = written(device)
            start_s = time.monotonic()
            made = live_a_day(folder)
            subprocess.run(["sync", "-f", str(folder)], check=True)
            after = written(device)
    except (subprocess.CalledProcessError, PermissionError, FileNotFoundError) as error:
        print(f"card writes: not measured, needs root and a loop device ({error})")
        sys.exit(0)
    megabytes, flushes = (after[0] - before[0]) / 1e6, after[1] - before[1]
    print(
        f"card writes: {megabytes:.1f} MB and {flushes} flushes a day (targets 25 MB, 4,000):"
        f" {len(INSTRUMENTS)} instruments, {RUNS_A_DAY} runs, {len(DESTINATIONS)} destinations, {made} records"
        f" (simulated in {time.monotonic() - start_s:.0f} s)"
    )


if __name__ == "__main__":
    main()
