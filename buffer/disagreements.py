"""When an instrument and its witness began and ended to contradict each other: facts for the auditor."""

from instrument_agent.buffer.reader import Readable
from instrument_agent.buffer.store import Store
from instrument_agent.core.readings import NS_PER_MS
from instrument_agent.core.records import Fact, RecordType

KIND = "witness_disagrees"


def save_disagreement(
    store: Store, at: tuple[str, int], pair: tuple[str, str], since_ns: int, said: tuple[str, str] | None
) -> None:
    """Put in the log that an instrument and its witness (``pair``) contradict each other by what they ``said``.

    Without that, that they do no longer. ``at`` is the boot and its time.

    Raises:
        StoreUnavailable: it could not be written down.
    """
    data = {
        "kind": KIND,
        "phase": "end" if said is None else "begin",
        "instrument": pair[0],
        "witness": pair[1],
        "since_ms": since_ns // NS_PER_MS,
        **({} if said is None else dict(zip(("instrument_says", "witness_says"), said, strict=True))),
    }
    with store.write() as change:
        change.append(Fact(RecordType.FAULT, *at, data, pair[0]))


def open_disagreement_ns(source: Readable, boot_id: str, pair: tuple[str, str]) -> int | None:
    """Return since when the pair contradicts each other by the log; 0 if since before this boot, None if it does not.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    rows = source.rows(
        "select json_extract(body, '$.boot_id'), json_extract(body, '$.data.phase'), json_extract(body,"
        " '$.data.since_ms') from records where type = ? and instrument_id = ?"
        " and json_extract(body, '$.data.kind') = ? and json_extract(body, '$.data.witness') = ?"
        " order by id desc limit 1",
        (RecordType.FAULT.value, pair[0], KIND, pair[1]),
    )
    if not rows or rows[0][1] != "begin":
        return None
    found_boot_id, _phase, since_ms = rows[0]
    return since_ms * NS_PER_MS if found_boot_id == boot_id else 0
