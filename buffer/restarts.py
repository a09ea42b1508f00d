"""When the agent last started itself anew for a bus that hung: a fact for the auditor, and what the next start asks."""

from collections.abc import Sequence

from instrument_agent.buffer.reader import Readable
from instrument_agent.buffer.store import Store
from instrument_agent.core.readings import NS_PER_MS
from instrument_agent.core.records import Fact, RecordType

KIND = "restart_for_hung_bus"


def save_restart(store: Store, boot_id: str, at_ns: int, buses: Sequence[str]) -> None:
    """Put a ``fault`` in the log: the agent ends itself because these buses hang.

    Raises:
        StoreUnavailable: it could not be written down.
    """
    with store.write() as change:
        change.append(Fact(RecordType.FAULT, boot_id, at_ns, {"kind": KIND, "buses": ", ".join(buses)}))


def last_restart_ns(source: Readable, boot_id: str) -> int | None:
    """Return when that was last in this boot, on its clock; None if never.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    rows = source.rows(
        "select max(json_extract(body, '$.at_ms')) from records where type = ?"
        " and json_extract(body, '$.data.kind') = ? and json_extract(body, '$.boot_id') = ?",
        (RecordType.FAULT.value, KIND, boot_id),
    )
    at_ms: int | None = rows[0][0]
    return None if at_ms is None else at_ms * NS_PER_MS
