"""kill -9 at any moment, on a bad line to a platform that is put back to an old backup: nothing lost, nothing twice.

``KILLS`` says how many; `make faults` takes 1,000.
"""

import os
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import oracle
import pytest
from lossy_line import LossyLine
from nursery import PULSE_S, Nursery
from oracle import RecordingLedger

from instrument_agent.buffer.reader import FILE_NAME
from instrument_agent.core.errors import StoreUnavailable
from instrument_agent.core.readings import Activity
from instrument_agent.receiver.app import create_app
from instrument_agent.receiver.server import PlatformServer

KILLS = int(os.environ.get("KILLS", "50"))
SEED = int(os.environ.get("SEED", "1"))
SPEED = 60.0
DAY_NS = 86_400 * 10**9
TRUE_UTC_NS = 1_795_334_400 * 10**9
CANARY = "canary-5b1f0e"
PATIENCE_S = 60.0
HELD_S, UNPROVEN_S = 20.0, 12.0
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

    def now_s(self) -> float:
        """Return the boot clock of the box, which goes on over what is called a reboot here."""
        return (self.origin_ns + (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - self.origin_ns) * SPEED) / 1e9

    def run(self, kills: int) -> None:
        """Start and kill an agent so many times, then let one live until everything is delivered."""
        with Nursery(self.directory / "agent.log") as nursery:
            for _ in range(kills):
                pid = nursery.agent(self.config_path, self._clock(), float("inf"))
                threading.Event().wait(10 ** self.rng.uniform(-3, 0.1))
                nursery.kill(pid)
                self.kills += 1
                if self.rng.random() < 0.3:
                    self.boots.append(str(uuid.UUID(int=self.rng.getrandbits(128), version=4)))
                self.wall_ns += self.rng.choice([0, 0, -10, 10]) * 366 * DAY_NS  # the wall clock was set meanwhile
            pid = nursery.agent(self.config_path, self._clock(), self.now_s())
            self.until_settled()
            nursery.kill(pid)

    def until_settled(self) -> None:
        raise NotImplementedError

    def _clock(self) -> tuple[float, int, int, str]:
        return SPEED, self.origin_ns, self.wall_ns, self.boots[-1]


def config(name: str, directory: Path, url: str) -> str:
    lines = ["[box]", f'id = "{name}"', f'state_dir = "{directory / "state"}"', f'runtime_dir = "{directory / "run"}"']
    lines += ["checkpoint_s = 10", "[[destination]]", 'name = "platform"', f'url = "{url}"', "heartbeat_s = 15"]
    lines += ["first_contact_spread_s = 0", "batch_records = 7", f'credential_file = "{directory / "credential"}"']
    for number in (1, 2):
        lines += ["[[instrument]]", f'id = "instrument-{number}"', "poll_s = 2", "[instrument.driver]", 'name = "mock"']
        lines += ["script = [1.0]", "[instrument.activity]", "off_below = 5", "run_above = 1000", "min_on_s = 6"]
        lines += ["min_off_s = 6", "off_settle_s = 6", "gap_s = 12", "bridge_s = 60"]
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


def test_nothing_is_lost_or_doubled_by_kills_lost_acknowledgements_and_restored_platforms(
    tmp_path: Path, ledger: RecordingLedger
) -> None:
    rng = random.Random(SEED)
    stop = threading.Event()
    app = create_app(ledger, lambda: TRUE_UTC_NS + round(time.monotonic() * SPEED * 1e9), token=CANARY)
    with PlatformServer(app) as server, LossyLine(server.url, 0.25, SEED) as line:
        boxes = [Box(name, tmp_path, line.url, random.Random(rng.random())) for name in BOXES]
        restored = threading.Thread(target=restore_again_and_again, args=(ledger, tmp_path, rng, stop))
        restored.start()
        with ThreadPoolExecutor(len(boxes)) as pool:
            for box in boxes:
                box.until_settled = settler(ledger, box, line, stop)  # type: ignore[method-assign]
            share = -(-KILLS // len(boxes))
            for done in [pool.submit(box.run, share) for box in boxes]:
                done.result()
        stop.set()
        restored.join()
    found = [f"{box.name}: {sentence}" for box in boxes for sentence in problems(ledger, box)]
    told = f"{sum(box.kills for box in boxes)} kills, {line.lost} lost replies, {ledger.restored} restored platforms, "
    print(f"\n{told}{len(ledger.items())} records of {sum(len(box.boots) for box in boxes)} boots")
    assert not found, "\n".join(found[:20])
    assert line.lost > KILLS / 5
    assert ledger.restored > 0
