"""Recent readings, by which a run can be argued about; when room is short they are the first to go.

``buckets`` hold the lowest, the mean and the highest number of every ten seconds, some ten minutes in a row of the
table; ``edges`` each reading around the start or the end of a run. A row is compressed JSON, whose own checksum (zlib)
tells whether it is as it was written. Times are whole milliseconds of the boot clock.
"""

import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from instrument_agent.buffer.reader import Readable, damaged
from instrument_agent.buffer.store import Store, Transaction
from instrument_agent.core.errors import StoreDamaged
from instrument_agent.core.readings import UnknownReason, Value
from instrument_agent.i18n import _

TRACE_COLUMNS = "instrument_id, boot_id, start_ms, end_ms, body"
TRACE_IN_HEX = TRACE_COLUMNS.replace("body", "hex(body)")
BUCKET_MS = 10_000
BUCKET_ROWS = 60_000
"""Some 60 MB: a year of one instrument, or three weeks of sixteen."""
EDGE_ROWS = 40_000
"""Two for each of 50 runs a day on 400 days; some 50 MB."""
SPARE_PAGES = 1024
"""How many pages of the file (4 kB each) are to be free while the disk is full."""
AT_ONCE = 1000

Seen = tuple[int, Value | UnknownReason]
"""When, in ms, and what was read of the judged channel, or why nothing was."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """The judged numbers of ten seconds: ``number`` counts them from boot, ``count`` the readings in them."""

    number: int
    low: float
    mean: float
    high: float
    count: int

    @property
    def start_ms(self) -> int:
        """When the ten seconds begin."""
        return self.number * BUCKET_MS


def save_buckets(change: Transaction, instrument_id: str, boot_id: str, buckets: Sequence[Bucket]) -> None:
    """Write down some buckets, oldest first; numbers keep four digits: every one more wears out the card."""
    first = buckets[0].number
    rows = [
        [item.number - first, *(float(f"{number:.4g}") for number in (item.low, item.mean, item.high)), item.count]
        for item in buckets
    ]
    span = (buckets[0].start_ms, buckets[-1].start_ms + BUCKET_MS)
    _insert(change, "buckets", instrument_id, boot_id, span, [first, rows])


def save_edge(change: Transaction, instrument_id: str, boot_id: str, seen: Sequence[Seen]) -> None:
    """Write down every reading around a start or an end, oldest first, as it was read."""
    steps = [after[0] - before[0] for before, after in pairwise(seen)]
    values = [None if isinstance(value, UnknownReason) else value for _at, value in seen]
    reasons = {number: value.value for number, (_at, value) in enumerate(seen) if isinstance(value, UnknownReason)}
    _insert(change, "edges", instrument_id, boot_id, (seen[0][0], seen[-1][0]), [steps, values, reasons])


def load_buckets(
    source: Readable, instrument_id: str, boot_id: str, from_ms: int = 0, to_ms: int = 1 << 62
) -> Iterator[Bucket]:
    """Yield the buckets of a boot that touch a span, oldest first.

    Raises:
        StoreDamaged: one of them is not as it was written.
    """
    for _start_ms, body in _rows(source, "buckets", instrument_id, boot_id, from_ms, to_ms):
        first, rows = _unpacked(body)
        for offset, *numbers in rows:
            bucket = Bucket(first + offset, *numbers)
            if bucket.start_ms + BUCKET_MS > from_ms and bucket.start_ms <= to_ms:
                yield bucket


def load_edges(
    source: Readable, instrument_id: str, boot_id: str, from_ms: int = 0, to_ms: int = 1 << 62
) -> list[list[Seen]]:
    """Return the stretches of single readings of a boot that touch a span; none overlaps another.

    Raises:
        StoreDamaged: one of them is not as it was written.
    """
    found: list[list[Seen]] = []
    for start_ms, body in sorted(_rows(source, "edges", instrument_id, boot_id, from_ms, to_ms)):
        steps, values, reasons = _unpacked(body)
        at_ms, seen = start_ms, []
        for number, (step_ms, value) in enumerate(zip([0, *steps], values, strict=True)):
            at_ms += step_ms
            reason = reasons.get(str(number))
            seen.append((at_ms, value if reason is None else UnknownReason(reason)))
        if found and seen[0][0] <= found[-1][-1][0]:
            found[-1] += [item for item in seen if item[0] > found[-1][-1][0]]
        else:
            found.append(seen)
    return found


def traced_boots(source: Readable, instrument_id: str) -> list[str]:
    """Return the boots of which there are buckets of an instrument, oldest first."""
    rows = source.rows(
        "select boot_id from buckets where instrument_id = ? group by boot_id order by min(id)", (instrument_id,)
    )
    return [boot_id for (boot_id,) in rows]


def prune_traces(store: Store, bucket_rows: int = BUCKET_ROWS, edge_rows: int = EDGE_ROWS) -> int:
    """Delete the oldest rows over so many; return how many went.

    Raises:
        StoreUnavailable: the database refused it.
    """
    gone = 0
    for table, rows in (("buckets", bucket_rows), ("edges", edge_rows)):
        first, last = _ends(store, table)
        while first <= last - rows:
            through = min(first + AT_ONCE - 1, last - rows)
            gone += _delete(store, table, through)
            first = through + 1
    return gone


def make_room(store: Store) -> int:
    """Delete the oldest traces until facts have room inside the file; return how many rows went.

    Raises:
        StoreUnavailable: the database refused it.
    """
    gone = 0
    for table in ("buckets", "edges"):
        first, last = _ends(store, table)
        while first <= last and store.rows("pragma freelist_count")[0][0] < SPARE_PAGES:
            gone += _delete(store, table, first + AT_ONCE - 1)
            first += AT_ONCE
    return gone


def save_again(change: Transaction, table: str, row: tuple[Any, ...]) -> None:
    """Write a salvaged row, whose body comes in hex, if it is as it was written."""
    try:
        body = bytes.fromhex(row[-1])
        _unpacked(body)
    except (StoreDamaged, TypeError, ValueError):
        return
    change.execute(f"insert into {table} ({TRACE_COLUMNS}) values (?, ?, ?, ?, ?)", (*row[:-1], body))  # noqa: S608  # a constant


def _insert(
    change: Transaction, table: str, instrument_id: str, boot_id: str, span: tuple[int, int], data: object
) -> None:
    body = zlib.compress(json.dumps(data, separators=(",", ":")).encode())
    change.execute(
        f"insert into {table} ({TRACE_COLUMNS}) values (?, ?, ?, ?, ?)",  # noqa: S608  # a constant
        (instrument_id, boot_id, *span, body),
    )


def _rows(
    source: Readable, table: str, instrument_id: str, boot_id: str, from_ms: int, to_ms: int
) -> Iterable[tuple[int, bytes]]:
    rows = source.rows(
        f"select start_ms, body from {table} where instrument_id = ? and boot_id = ?"  # noqa: S608  # a constant
        " and end_ms >= ? and start_ms <= ? order by id",
        (instrument_id, boot_id, from_ms, to_ms),
    )
    return ((start_ms, body) for start_ms, body in rows)


def _unpacked(body: bytes) -> Any:
    try:
        return json.loads(zlib.decompress(body))
    except (zlib.error, ValueError) as error:
        raise damaged(_("a stored trace is not as it was written")) from error


def _ends(source: Readable, table: str) -> tuple[int, int]:
    first, last = source.rows(f"select (select min(id) from {table}), (select max(id) from {table})")[0]  # noqa: S608
    return (first, last) if first is not None else (1, 0)


def _delete(store: Store, table: str, through_id: int) -> int:
    with store.write() as change:
        return change.execute(f"delete from {table} where id <= ?", (through_id,)).rowcount  # noqa: S608  # a constant
