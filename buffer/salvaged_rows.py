"""The rows of a damaged database besides its records: which are wanted, which count, and how many there were."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from instrument_agent.buffer.books import ANCHOR_COLUMNS, EPOCH_COLUMNS, INTERVAL_COLUMNS
from instrument_agent.buffer.calendar_days import DAY_COLUMNS, MIDNIGHT_COLUMNS
from instrument_agent.buffer.faults import UNKNOWN
from instrument_agent.buffer.proofs import PROOF_COLUMNS
from instrument_agent.buffer.salvage import Found
from instrument_agent.buffer.traces import TRACE_IN_HEX
from instrument_agent.core.rowsum import row_sum

WANTED = {
    "epochs": EPOCH_COLUMNS,
    "destinations": "name, acked_id, acked_boot_id, acked_at_ns, row_sum",
    "dead_letters": "destination, record_id, reason",
    "intervals": INTERVAL_COLUMNS,
    "anchors": ANCHOR_COLUMNS,
    "checkpoints": "instrument_id, body, sha256",
    "roots": "epoch, seq, hash, row_sum",
    "days": DAY_COLUMNS,
    "midnights": MIDNIGHT_COLUMNS,
    "buckets": TRACE_IN_HEX,
    "edges": TRACE_IN_HEX,
    "proofs": PROOF_COLUMNS,
}
"""The tables besides the records, and their columns in the order used here."""


TOLD = 50
"""So many stretches and epochs are named: a record is to stay as short as those that are found in the bytes."""


@dataclass(slots=True)
class Outcome:
    """How much was kept and what is known to be lost.

    ``lost`` are stretches of records (epoch, from_seq, to_seq), ``more_records`` counts those of which no more is known
    (None: nothing tells how many), ``epochs`` are those of which no record is left, ``holes`` are stretches of time
    whose intervals are gone, ``unread`` are tables of which some rows could not be read.
    """

    records: int = 0
    rows: int = 0
    bad_rows: int = 0
    holes: int = 0
    more_records: int | None = 0
    lost: list[dict[str, Any]] = field(default_factory=list)
    epochs: list[str] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)

    def data(self, file_name: str) -> dict[str, Any]:
        """Return what the ``fault`` record says: numbers that can be shown, and where they may not be all."""
        more = UNKNOWN if self.more_records is None else self.more_records
        return {
            "kind": "database_damaged",
            "file": file_name,
            "records_kept": self.records,
            "records_lost": sum(item["to_seq"] - item["from_seq"] + 1 for item in self.lost),
            "lost": self.lost[:TOLD],
            "rows_kept": self.rows,
            "rows_lost": max(self.bad_rows, self.holes),
            **({"more_records_lost": more} if more else {}),
            **({"epochs_lost": self.epochs[:TOLD]} if self.epochs else {}),
            **({"unread": sorted(self.unread)} if self.unread else {}),
        }


def rows(found: Found, table: str) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a table as they stand, in the order of WANTED."""
    return found.rows(table, WANTED[table])


def checked(found: Found, table: str, values: int, outcome: Outcome) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a table whose checksum (the last column) fits their first ``values`` columns."""
    for row in rows(found, table):
        good = row_sum(*row[:values]) == row[-1]
        outcome.rows += good
        outcome.bad_rows += not good
        if good:
            yield row
