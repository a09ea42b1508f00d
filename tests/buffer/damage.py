"""A database with something in it, a way to damage it, and what leaves it afterwards."""

import json
import random
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stored import BOOT, start

from instrument_agent.buffer.books import save_anchor, save_configured, save_events, save_state
from instrument_agent.buffer.outbox import Outbox
from instrument_agent.buffer.quarantine import open_books
from instrument_agent.buffer.store import Store
from instrument_agent.core.anchors import Anchor
from instrument_agent.core.ledger import Interval
from instrument_agent.core.readings import NS_PER_S, Activity, UnknownReason
from instrument_agent.core.sessions import PowerSession, RunSession
from instrument_agent.core.step import begin

UTC_NS = 1_800_000_000 * NS_PER_S
NAME = "xrd-1"
ACKED_ID = 50

Key = tuple[str, int]


def filled(state_dir: Path, epochs: int = 3, runs: int = 20) -> Store:
    """Fill a database as the agent would: each second running, then unknown; the first 50 records are delivered."""
    state_dir.mkdir()
    at_s = 0
    store = Store(state_dir, "box-1")
    for number in range(epochs):
        if number:
            store.close()
            store = Store(state_dir, "box-1")
        store.begin_epoch(start(at_s))
        with store.write() as change:
            save_anchor(change, Anchor(BOOT, at_s * NS_PER_S, UTC_NS + at_s * NS_PER_S, NS_PER_S, "platform:province"))
            save_configured(change, NAME, BOOT, at_s * NS_PER_S, {"event": "configured", "number": number})
        for _run in range(runs):
            with store.write() as change:
                ran = Interval(at_s * NS_PER_S, (at_s + 1) * NS_PER_S, Activity.RUNNING)
                gap = Interval(ran.end_ns, ran.end_ns + NS_PER_S, Activity.UNKNOWN, UnknownReason.NOT_POLLED)
                ended = (RunSession(ran.start_ns, ran.end_ns, 0), PowerSession(ran.start_ns, ran.end_ns, 0))
                at_s += 2
                state = begin(BOOT, gap.end_ns)
                save_events(change, NAME, state, (ran, *ended, gap))
                save_state(change, NAME, state)
    Outbox(store, "province").settle(ACKED_ID, {}, BOOT, 9)
    return store


def image(store: Store, target: Path) -> Path:
    """Copy the state directory as a power cut leaves it: the -wal file is still there."""
    shutil.copytree(store.path.parent, target, ignore=shutil.ignore_patterns("ballast", "*-shm"))
    return target


def flip(path: Path, rnd: random.Random) -> None:
    raw = bytearray(path.read_bytes())
    raw[rnd.randrange(len(raw))] ^= 1 << rnd.randrange(8)
    path.write_bytes(raw)


@dataclass
class After:
    """What left the box after the next start, and what it said."""

    facts: dict[Key, tuple[str, str]] = field(default_factory=dict)
    marks: set[Key] = field(default_factory=set)
    faults: list[dict[str, Any]] = field(default_factory=list)
    named: set[Key] = field(default_factory=set)


def restarted(state_dir: Path) -> After:
    """Start on a database and deliver everything."""
    store = open_books(state_dir, "box-1", UTC_NS)
    store.begin_epoch(start(1000))
    outbox, after = Outbox(store, "province"), After()
    while (batch := outbox.next_batch(100)) is not None:
        for entry in batch.entries:
            record = json.loads(entry.body)
            if record["data"].get("kind") == "record_lost":
                after.marks.add((batch.epoch, entry.seq))
            elif batch.epoch != store.epoch:
                after.facts[batch.epoch, entry.seq] = (entry.body, entry.hash)
            elif record["type"] == "fault":
                after.faults.append(record["data"])
        outbox.settle(batch.entries[-1].id, {}, BOOT, 1)
    store.close()
    for fault in after.faults:
        for item in fault.get("lost", [fault]):
            after.named |= {(item["epoch"], seq) for seq in range(item["from_seq"], item["to_seq"] + 1)}
    return after
