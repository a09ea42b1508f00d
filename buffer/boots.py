"""The boots a database knows, and the UTC of what happened in them."""

from instrument_agent.buffer.books import anchors, states
from instrument_agent.buffer.reader import Readable
from instrument_agent.core.chronology import Boot, Chronology
from instrument_agent.core.readings import NS_PER_MS


def boots(source: Readable) -> list[Boot]:
    """Return every boot in which the agent ran, oldest first, from its first start to the last trace it left.

    Raises:
        StoreUnavailable: the database cannot be read, or is damaged.
    """
    rows = source.rows(
        "select boot_id, min(started_ns), max(started_ns) from epochs group by boot_id order by min(number)"
    )
    traces = _traces(source)
    return [
        Boot(boot_id, first_ns, max([latest_ns, *(at_ns for seen, at_ns in traces if seen == boot_id)]))
        for boot_id, first_ns, latest_ns in rows
    ]


def chronology(source: Readable) -> Chronology:
    """Return what tells the UTC of any moment of any boot.

    Raises:
        StoreUnavailable: the database cannot be read, or is damaged.
    """
    return Chronology(boots(source), anchors(source))


def _traces(source: Readable) -> list[tuple[str, int]]:
    """Return when each boot was seen to go on: orderly stops, last records, intervals, anchors and checkpoints."""
    last_records = source.rows(
        # An epoch may hold what became certain of the boot before it, on that boot's clock.
        "select json_extract(r.body, '$.boot_id'), json_extract(r.body, '$.at_ms') from epochs e join records r"
        " on r.epoch = e.epoch and r.seq = (select max(seq) from records where epoch = e.epoch)"
    )
    found = [(state.boot_id, state.latest_ns) for state in states(source).values()]
    found += [(boot_id, at_ms * NS_PER_MS) for boot_id, at_ms in last_records]
    for query in (
        "select boot_id, stopped_ns from epochs where stopped_ns is not null",
        "select boot_id, max(end_ns) from intervals group by boot_id",
        "select boot_id, max(boottime_ns) from anchors group by boot_id",
    ):
        found += [(boot_id, at_ns) for boot_id, at_ns in source.rows(query)]
    return found
