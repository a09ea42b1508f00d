"""What the log says of an instrument and its witness: what the next start goes on from."""

from instrument_agent.buffer.reader import Readable
from instrument_agent.core.readings import NS_PER_MS
from instrument_agent.core.records import RecordType
from instrument_agent.core.witness import KIND, Pair


def open_disagreement_ns(source: Readable, boot_id: str, pair: Pair) -> int | None:
    """Return since when the two contradict each other by the log, 0 if since before this boot; None if they do not.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    rows = source.rows(
        "select json_extract(body, '$.data.phase'), json_extract(body, '$.boot_id'),"
        " json_extract(body, '$.data.since_ms') from records where type = ? and instrument_id = ?"
        " and json_extract(body, '$.data.kind') = ? and json_extract(body, '$.data.witness') = ?"
        " order by id desc limit 1",
        (RecordType.FAULT.value, pair.instrument, KIND, pair.witness),
    )
    if not rows or rows[0][0] != "begin":
        return None
    since_ms: int = rows[0][2]
    return since_ms * NS_PER_MS if rows[0][1] == boot_id else 0
