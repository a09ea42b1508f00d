"""kill -9 at any moment, on a bad line to a platform that is put back to an old backup: nothing lost, nothing twice.

``KILLS`` says how many; `make faults` takes 1,000.
"""

import os
import random
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import oracle
import pytest
from lossy_line import LossyLine
from nursery import RUNNING_W, Nursery, watts
from oracle import RecordingLedger

from instrument_agent.buffer.reader import FILE_NAME
from instrument_agent.core.errors import StoreUnavailable
from instrument_agent.core.ledger import Interval
from instrument_agent.core.readings import Activity
from instrument_agent.receiver.app import create_app
from instrument_agent.receiver.server import PlatformServer

KILLS = int(os.environ.get("KILLS", "50"))
SEED = int(os.environ.get("SEED", "1"))
SPEED = 150.0
DAY_NS = 86_400 * 10**9
TRUE_UTC_NS = 1_795_334_400 * 10**9
CANARY = "canary-5b1f0e"
PATIENCE_S = 60.0
LAST_LIVES = 3
HELD_S = 35.0
"""Silence that is held, minimum times, and what a slow machine takes between two polls (box seconds)."""
BOXES = {
    "ordinary": (0, TRUE_UTC_NS),
    "up-110-days": (110 * DAY_NS, TRUE_UTC_NS),  # more than 2^53 ns
    "in-1970": (0, 0),
    "in-2120": (0, TRUE_UTC_NS + 94 * 366 * DAY_NS),
}
"""How long each box is up, and what its wall clock claims."""


class Box:
    """One box that is killed again and again."""

    def __init__(self, name: str, directory: Path, url: str, rng: random.Random) -> None:
        self.name, self.rng = name, rng
        self.directory = directory / name
        self.directory.mkdir()
        (self.directory / "credential").write_text(CANARY, encoding="ascii")
        self.config_path = self.directory / "box.toml"
        self.config_path.write_text(config(name, self.directory, url), encoding="utf-8")
        uptime_ns, self.wall_ns = BOXES[name]
        now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        self.origin_ns = now_ns - round(uptime_ns / SPEED)
        self.boots = [str(uuid.UUID(int=rng.getrandbits(128), version=4))]
        self.kills = 0
        self.quiet_s = float("inf")

    def now_s(self) -> float:
        """Return the boot clock of the box, which goes on over what is called a reboot here."""
        return (self.origin_ns + (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - self.origin_ns) * SPEED) / 1e9

    def suffer(self, kills: int) -> None:
        """Start and kill an agent so many times."""
        with Nursery(self.directory / "agent.log") as nursery:
            for _ in range(kills):
                pid = nursery.agent(self.config_path, self._clock(), float("inf"))
                threading.Event().wait(10 ** self.rng.uniform(-2.3, 0.2))
                nursery.kill(pid)
                self.kills += 1
                if self.rng.random() < 0.3:
                    self.boots.append(str(uuid.UUID(int=self.rng.getrandbits(128), version=4)))
                self.wall_ns += self.rng.choice([0, 0, -10, 10]) * 366 * DAY_NS  # the wall clock was set meanwhile

    def recover(self, ledger: RecordingLedger) -> None:
        """Let an agent live until the platform has everything, with nothing new to tell.

        On a busy machine a silence may be written down just before the last kill: then the next one delivers it.
        """
        with Nursery(self.directory / "agent.log") as nursery:
            self.quiet_s = self.now_s()
            for _ in range(LAST_LIVES):
                pid = nursery.agent(self.config_path, self._clock(), self.quiet_s)
                await_settled(ledger, self)
                nursery.kill(pid)
                if settled(ledger, self):
                    return

    def _clock(self) -> tuple[float, int, int, str]:
        return SPEED, self.origin_ns, self.wall_ns, self.boots[-1]


def config(name: str, directory: Path, url: str) -> str:
    lines = ["[box]", f'id = "{name}"', f'state_dir = "{directory / "state"}"', f'runtime_dir = "{directory / "run"}"']
    lines += ["checkpoint_s = 10", "[[destination]]", 'name = "platform"', f'url = "{url}"', "heartbeat_s = 15"]
    lines += ["first_contact_spread_s = 0", "batch_records = 7", f'credential_file = "{directory / "credential"}"']
    for number in (1, 2):
        lines += ["[[instrument]]", f'id = "instrument-{number}"', "poll_s = 3", "[instrument.driver]", 'name = "mock"']
        lines += ["script = [1.0]", "[instrument.activity]", "off_below = 5", "run_above = 1000", "min_on_s = 9"]
        lines += ["min_off_s = 9", "off_settle_s = 9", "gap_s = 20", "bridge_s = 60"]
    return "\n".join(lines)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[RecordingLedger]:
    with RecordingLedger(tmp_path / "platform.db") as ledger:
        yield ledger


def settled(ledger: RecordingLedger, box: Box) -> bool:
    if not (box.directory / "state" / FILE_NAME).exists():
        return False
    try:
        made = oracle.committed(box.directory / "state")
    except StoreUnavailable:  # the agent is just making it
        return False
    return bool(made) and set(made) == set(ledger.keys(box.name))


def await_settled(ledger: RecordingLedger, box: Box) -> None:
    """Look until three looks in a row find everything delivered; the agent is another process without an event."""
    end_s, quiet = time.monotonic() + PATIENCE_S, 0
    while quiet < 3:
        quiet = quiet + 1 if settled(ledger, box) else 0
        threading.Event().wait(0.1)
        if time.monotonic() > end_s:
            return  # the oracle says what is missing


def restore_again_and_again(
    ledger: RecordingLedger, directory: Path, rng: random.Random, stop: threading.Event
) -> None:
    """Put the platform back to what it was a moment ago, until told to stop."""
    backup = directory / "backup.db"
    while not stop.is_set():
        ledger.back_up(backup)
        stop.wait(rng.uniform(0.3, 1.5))
        ledger.restore(backup)
        stop.wait(rng.uniform(0.3, 1.5))


def problems(ledger: RecordingLedger, box: Box) -> list[str]:
    """Hold the box and the platform against each other, and the books against what the meters showed."""
    state_dir = box.directory / "state"
    found = oracle.delivery_problems(ledger, box.name, state_dir)
    found += oracle.secret_problems(CANARY, (box.directory / "agent.log").read_text(encoding="utf-8"))
    for (name, boot_id), chain in oracle.chains(state_dir).items():
        wrong = [*oracle.conservation_problems(chain), *filter(None, (untrue(item, box.quiet_s) for item in chain))]
        found += [f"{name} in boot {box.boots.index(boot_id)}: {sentence}" for sentence in wrong]
    return found


def untrue(item: Interval, quiet_s: float) -> str:
    """Return what a meter showed otherwise in an interval, away from its ends; by the shared boot clock."""
    start_s, end_s = item.start_ns / 1e9 + HELD_S, item.end_ns / 1e9 - HELD_S
    if item.activity is Activity.UNKNOWN or start_s >= end_s:
        return ""
    shown = {watts(at_s, quiet_s) == RUNNING_W for at_s in (start_s, (start_s + end_s) / 2, end_s)}
    said = item.activity is Activity.RUNNING
    return "" if shown == {said} else f"{item.activity.value} from {start_s:.0f} to {end_s:.0f} s is not true"


def test_nothing_is_lost_or_doubled_by_kills_lost_replies_and_restored_platforms(
    tmp_path: Path, ledger: RecordingLedger
) -> None:
    rng = random.Random(SEED)
    stop = threading.Event()
    app = create_app(ledger, lambda: TRUE_UTC_NS + round(time.monotonic() * SPEED * 1e9), token=CANARY)
    with (
        PlatformServer(app) as server,
        LossyLine(server.url, 0.25, SEED) as line,
        ThreadPoolExecutor(len(BOXES) + 1) as pool,
    ):
        boxes = [Box(name, tmp_path, line.url, random.Random(rng.random())) for name in BOXES]
        restoring = pool.submit(restore_again_and_again, ledger, tmp_path, rng, stop)
        try:
            for done in [pool.submit(box.suffer, -(-KILLS // len(boxes))) for box in boxes]:
                done.result()
        finally:
            stop.set()
        restoring.result()
        for done in [pool.submit(box.recover, ledger) for box in boxes]:
            done.result()
    found = [f"{box.name}: {sentence}" for box in boxes for sentence in problems(ledger, box)]
    told = f"{sum(box.kills for box in boxes)} kills, {line.lost} lost replies, {ledger.restored} restored platforms, "
    sys.stdout.write(f"\n{told}{len(ledger.items())} records of {sum(len(box.boots) for box in boxes)} boots\n")
    assert not found, "\n".join(found[:20])
    assert line.lost > 0
    assert ledger.restored > 0
