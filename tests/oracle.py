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
    """The reference platform's ledger that also keeps every key it was ever given, and can be put back to a backup.

    ``refused`` are (epoch, seq) it does not take, whatever they hold: they are settled there, but not stored.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.given: dict[str, set[Key]] = defaultdict(set)
        self.refused: set[tuple[str, int]] = set()
        self.restored = 0
        super().__init__(f"sqlite:///{path}")

    def store(self, box_id: str, epoch: str, items: Iterable[Item]) -> StoreResult:
        listed = [dict(item) for item in items]
        self.given[box_id] |= {(epoch, item["record"]["seq"], item["hash"]) for item in listed}
        spoilt = [
            item | {"hash": NO_HASH} if (epoch, item["record"]["seq"]) in self.refused else item for item in listed
        ]
        return super().store(box_id, epoch, spoilt)

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


def chain_problems(items: Sequence[Item], absent: Iterable[Key] = ()) -> list[str]:
    """Return where an epoch has a gap, a hash does not fit, or an epoch does not name the one before it.

    ``absent`` are records that are known to be missing here, for a good reason.
    """
    problems = []
    epochs: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        epochs[item["record"]["epoch"]].append(item)
    ends = {(epoch, seq): digest for epoch, seq, digest in absent}
    ends |= {(epoch, item["record"]["seq"]): item["hash"] for epoch, listed in epochs.items() for item in listed}
    for epoch, listed in epochs.items():
        listed.sort(key=lambda item: item["record"]["seq"])
        for item in listed:
            record = item["record"]
            before = ends.get((epoch, record["seq"] - 1)) if record["seq"] > 1 else NO_HASH
            if before is None:
                problems.append(f"epoch {epoch} has a gap before {record['seq']} of {listed[-1]['record']['seq']}")
                break
            if record["prev_hash"] != before or record_hash(record) != item["hash"]:
                problems.append(f"the chain of {epoch} is broken at {record['seq']}")
                break
        problems += _beginning(listed[0]["record"], ends)
    return problems


def _beginning(first: Record, ends: Mapping[tuple[str, int], str]) -> list[str]:
    """Return whether the first record of an epoch does not name the end of the one before it."""
    if first["seq"] > 1:
        return []
    data, epoch = first["data"], first["epoch"]
    if first["type"] != "epoch_started":
        return [f"epoch {epoch} begins with {first['type']}"]
    if "previous_epoch" not in data:
        return []
    named = (data["previous_epoch"], data["previous_seq"])
    return (
        [] if ends.get(named) == data["previous_hash"] else [f"epoch {epoch} names {named}: not there with that hash"]
    )


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


def chains(
    state_dir: Path, pruned: Mapping[tuple[str, str, int], Interval] | None = None
) -> dict[tuple[str, str], list[Interval]]:
    """Return the whole chain of each instrument in each boot, with the interval that is still open at its end.

    ``pruned`` are intervals that were there once, by instrument, boot and start.

    Raises:
        ValueError: a nanosecond is missing or there twice.
    """
    pieces: dict[tuple[str, str], dict[int, Interval]] = defaultdict(dict)
    for (name, boot_id, start_ns), interval in (pruned or {}).items():
        pieces[name, boot_id][start_ns] = interval
    reader = Reader(state_dir)
    try:
        for name, boot_id in reader.rows("select distinct instrument_id, boot_id from intervals"):
            pieces[name, boot_id] |= {item.start_ns: item for item in intervals(reader, name, boot_id)}
        found = {key: [item for _start_ns, item in sorted(chain.items())] for key, chain in pieces.items()}
        for name, state in states(reader).items():
            found.setdefault((name, state.boot_id), []).append(state.line.open)
    finally:
        reader.close()
    return {key: joined(chain) for key, chain in sorted(found.items())}


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
