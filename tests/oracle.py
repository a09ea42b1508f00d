"""The oracle: a platform that keeps what it was given, held against what the agent committed.

Every check returns sentences about what is wrong, none if all is well, so that a test shows everything at once.
Claims: the platform has exactly the committed facts, each once; the chain of every epoch is whole; no second of an
instrument is counted twice; every nanosecond of a boot is accounted for; no secret stands in any log.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

from instrument_agent.buffer.books import intervals, states
from instrument_agent.buffer.reader import Reader
from instrument_agent.core.anchors import Anchor
from instrument_agent.core.canonical import NO_HASH, record_hash
from instrument_agent.core.ledger import Interval, joined, totals_ns
from instrument_agent.receiver.ledger import Item, Ledger, StoreResult

Key = tuple[str, int, str]
"""Epoch, seq and hash of a record; the box is the one that is asked about."""
Record = Mapping[str, Any]


class RecordingLedger(Ledger):
    """The reference platform's ledger that also keeps every key it was ever given, and can be put back to a backup."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.given: dict[str, set[Key]] = defaultdict(set)
        self.restored = 0
        super().__init__(f"sqlite:///{path}")

    def store(self, box_id: str, epoch: str, items: Iterable[Item]) -> StoreResult:
        listed = list(items)
        self.given[box_id] |= {(epoch, item["record"]["seq"], item["hash"]) for item in listed}
        return super().store(box_id, epoch, listed)

    def back_up(self, to: Path) -> None:
        """Copy the whole ledger as it is now."""
        _copy(self.path, to)

    def restore(self, backup: Path) -> None:
        """Put a backup in the place of the ledger, under the running platform: what came after it is lost here."""
        _copy(backup, self.path)
        self.restored += 1

    def keys(self, box_id: str) -> list[Key]:
        return [(item["record"]["epoch"], item["record"]["seq"], item["hash"]) for item in self.items(box_id)]


def _copy(source: Path, to: Path) -> None:
    with closing(sqlite3.connect(source, timeout=30)) as old, closing(sqlite3.connect(to, timeout=30)) as new:
        old.backup(new)


def committed(state_dir: Path) -> list[Key]:
    """Return the keys of all records on the box, in the order of the log."""
    reader = Reader(state_dir)
    try:
        return [tuple(row) for row in reader.rows("select epoch, seq, hash from records order by id")]
    finally:
        reader.close()


def delivery_problems(ledger: RecordingLedger, box_id: str, state_dir: Path) -> list[str]:
    """Hold the platform against the box; for when nothing waits for delivery any more."""
    made, there = committed(state_dir), ledger.keys(box_id)
    problems = []
    if len(set(made)) != len(made) or len(set(there)) != len(there):
        problems.append("a key stands twice")
    if lost := set(made) - set(there):
        problems.append(f"{len(lost)} committed records are not at the platform, such as {sorted(lost)[:3]}")
    if foreign := (ledger.given[box_id] | set(there)) - set(made):
        problems.append(f"{len(foreign)} records were sent that were never committed, such as {sorted(foreign)[:3]}")
    if refused := ledger.rejected(box_id):
        problems.append(f"{len(refused)} records were refused, such as {refused[0]}")
    records = ledger.records(box_id)
    return problems + chain_problems(ledger.items(box_id)) + twice_problems(records)


def chain_problems(items: Sequence[Item]) -> list[str]:
    """Return where an epoch has a gap, a hash does not fit, or an epoch does not name the one before it."""
    problems = []
    epochs: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        epochs[item["record"]["epoch"]].append(item)
    ends = {(epoch, item["record"]["seq"]): item["hash"] for epoch, listed in epochs.items() for item in listed}
    for epoch, listed in epochs.items():
        listed.sort(key=lambda item: item["record"]["seq"])
        seqs = [item["record"]["seq"] for item in listed]
        if seqs != list(range(1, len(seqs) + 1)):
            problems.append(f"epoch {epoch} has gaps: {len(seqs)} records up to {seqs[-1]}")
        before = NO_HASH
        for item in listed:
            record = item["record"]
            if record["prev_hash"] != before or record_hash(record) != item["hash"]:
                problems.append(f"the chain of {epoch} is broken at {record['seq']}")
                break
            before = item["hash"]
        first = listed[0]["record"]
        data = first["data"]
        if first["type"] != "epoch_started":
            problems.append(f"epoch {epoch} begins with {first['type']}")
        elif "previous_epoch" in data:
            named = (data["previous_epoch"], data["previous_seq"])
            if ends.get(named) != data["previous_hash"]:
                problems.append(f"epoch {epoch} names {named}, which is not there with that hash")
    return problems


def twice_problems(records: Iterable[Record], utc_ms: Callable[[str, int], float] | None = None) -> list[str]:
    """Return where two facts of one kind count the same second of an instrument.

    With ``utc_ms`` (boot id and boot-clock ms to true time) facts of different boots are compared as well.
    """
    spans: dict[tuple[str, ...], list[tuple[float, float]]] = defaultdict(list)
    for record in records:
        if record["type"] not in ("run_session", "power_session", "observation_gap"):
            continue
        data, boot_id = record["data"], record["boot_id"]
        if utc_ms is None:
            key: tuple[str, ...] = (record["type"], record["instrument_id"], boot_id)
            span = data["start_ms"], data["end_ms"]
        else:
            key = (record["type"], record["instrument_id"])
            span = utc_ms(boot_id, data["start_ms"]), utc_ms(boot_id, data["end_ms"])
        spans[key].append(span)
        if span[0] > span[1]:
            return [f"{' '.join(key)} ends before it begins: {span}"]
    return [
        f"{' '.join(key)} counts {min(a[1], b[1]) - b[0]:.0f} ms twice at {b[0]:.0f} ms"
        for key, listed in spans.items()
        for a, b in pairwise(sorted(listed))
        if b[0] < a[1]
    ]


def chains(state_dir: Path) -> dict[tuple[str, str], list[Interval]]:
    """Return the whole chain of each instrument in each boot, with the interval that is still open at its end.

    Raises:
        ValueError: a nanosecond is missing or there twice.
    """
    reader = Reader(state_dir)
    try:
        resumed = states(reader)
        found: dict[tuple[str, str], list[Interval]] = {}
        keys = {(name, boot) for name, boot in reader.rows("select distinct instrument_id, boot_id from intervals")}
        for name, boot_id in sorted(keys | {(name, state.boot_id) for name, state in resumed.items()}):
            chain = intervals(reader, name, boot_id)
            if resumed[name].boot_id == boot_id:
                chain.append(resumed[name].line.open)
            found[name, boot_id] = joined(chain)
    finally:
        reader.close()
    return found


def conservation_problems(chain: Sequence[Interval]) -> list[str]:
    """Return whether off + standby + running + unknown is the elapsed time, to the nanosecond."""
    elapsed_ns = chain[-1].end_ns - chain[0].start_ns
    spent_ns = sum(totals_ns(chain).values())
    unexplained = sum(item.reason is None for item in chain if item.activity == "unknown")
    problems = [] if spent_ns == elapsed_ns else [f"{spent_ns} ns accounted for of {elapsed_ns} ns"]
    return problems + ([f"{unexplained} unknown intervals have no reason"] if unexplained else [])


def anchors_of(records: Iterable[Record]) -> list[Anchor]:
    """Return the sights of UTC as the platform has them: whoever has the records can work out every time."""
    return [
        Anchor(
            record["boot_id"],
            record["data"]["boottime_ms"] * 1_000_000,
            record["data"]["utc_ms"] * 1_000_000,
            record["data"]["error_ms"] * 1_000_000,
            record["data"]["source"],
        )
        for record in records
        if record["type"] == "time_anchor"
    ]


def secret_problems(secret: str, *texts: str) -> list[str]:
    """Return where a canary stands that should be known to nobody."""
    return [f"the secret stands in: {text[max(0, at - 80) : at]}" for text in texts if (at := text.find(secret)) >= 0]
