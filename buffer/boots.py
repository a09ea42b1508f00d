"""The boots a database knows, and the UTC of what happened in them."""

from instrument_agent.buffer.books import anchors, epochs, states
from instrument_agent.buffer.reader import Readable
from instrument_agent.core.chronology import Boot, Chronology
from instrument_agent.core.readings import NS_PER_MS


def boots(source: Readable) -> list[Boot]:
    """Return every boot in which the agent ran, oldest first, from its first start to the last trace it left.

    Raises:
        StoreUnavailable: the database cannot be read, or is damaged.
    """
    first_ns: dict[str, int] = {}
    latest_ns: dict[str, int] = {}
    known = epochs(source)
    starts = [(epoch.boot_id, epoch.started_ns) for epoch in known]
    stops = [(epoch.boot_id, epoch.stopped_ns) for epoch in known if epoch.stopped_ns is not None]
    for boot_id, at_ns in starts:
        first_ns[boot_id] = min(at_ns, first_ns.get(boot_id, at_ns))
    for boot_id, at_ns in [*starts, *stops, *_traces(source)]:
        latest_ns[boot_id] = max(at_ns, latest_ns.get(boot_id, at_ns))
    return [Boot(boot_id, at_ns, latest_ns[boot_id]) for boot_id, at_ns in first_ns.items()]


def chronology(source: Readable) -> Chronology:
    """Return what tells the UTC of any moment of any boot.

    Raises:
        StoreUnavailable: the database cannot be read, or is damaged.
    """
    return Chronology(boots(source), anchors(source))


def _traces(source: Readable) -> list[tuple[str, int]]:
    """Return when each boot was seen to go on: last records, intervals, anchors and checkpoints."""
    last_records = source.rows(
        # An epoch may hold what became certain of the boot before it, on that boot's clock.
        "select json_extract(r.body, '$.boot_id'), json_extract(r.body, '$.at_ms') from epochs e join records r"
        " on r.epoch = e.epoch and r.seq = (select max(seq) from records where epoch = e.epoch)"
    )
    found = [(state.boot_id, state.latest_ns) for state in states(source).values()]
    found += [(boot_id, at_ms * NS_PER_MS) for boot_id, at_ms in last_records]
    for query in (
        "select boot_id, max(end_ns) from intervals group by boot_id",
        "select boot_id, max(boottime_ns) from anchors group by boot_id",
    ):
        found += [(boot_id, at_ns) for boot_id, at_ns in source.rows(query)]
    return found
