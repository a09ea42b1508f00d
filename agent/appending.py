"""What people did to an instrument, put in the log: by the agent that runs, or under the state lock if none does."""

import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from instrument_agent import __version__
from instrument_agent.buffer.books import last_epoch, place_of, rules_told, save_stop
from instrument_agent.buffer.lock import StateLock
from instrument_agent.buffer.quarantine import open_books
from instrument_agent.buffer.store import Start, Store
from instrument_agent.clock import Clock, SystemClock
from instrument_agent.config import Config
from instrument_agent.control import NoAgent, ask
from instrument_agent.core.canonical import canonical
from instrument_agent.core.errors import AgentError, StoreUnavailable
from instrument_agent.core.readings import NS_PER_MS
from instrument_agent.core.records import Fact, LifecycleWord, RecordType, rules_data
from instrument_agent.i18n import _
from instrument_agent.standing_rules import standing_rules

log = logging.getLogger(__name__)

RULES_SET = (LifecycleWord.COMMISSIONED, LifecycleWord.ADJUSTED)
WORDS = (*RULES_SET, LifecycleWord.RELOCATED, LifecycleWord.TRANSFERRED, LifecycleWord.RETIRED)
"""What people do; the other words are the agent's own."""
MOST_BYTES = 16_384
DEEPEST = 4
LARGEST = 2**53 - 1
"""A JSON number beyond this is not the same to every reader (RFC 8785)."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands in the log, and its time on the boot clock in ms."""

    epoch: str
    seq: int
    boot_id: str
    at_ms: int


def append(config: Config, store: Store, clock: Clock, request: Mapping[str, Any]) -> Place:
    """Write one ``lifecycle_event``: ``{"instrument": ID, "event": WORD, "data": {...}}``, in one transaction.

    ``data`` holds text, whole numbers, and lists and tables of these. A commissioning that does not say by which rules
    the instrument is judged is given those in force. What sets rules names the record of those before, and holds them.

    Raises:
        AgentError: the request is not one that can be written; ``hint`` says what can.
        StoreUnavailable: nothing can be written down now.
    """
    instrument_id, data = checked(request, {item.id for item in config.instruments})
    if data["event"] == LifecycleWord.COMMISSIONED and "rules" not in data:
        instrument = next(item for item in config.instruments if item.id == instrument_id)
        rules = standing_rules(instrument, store).rules
        data |= {"rules": rules_data(rules)} if rules.calibrated else {}
    told = rules_told(store, instrument_id) if data["event"] in RULES_SET else None
    if told is not None:
        data |= place_of(told) | {"before": data.get("before") or told["data"].get("rules", {})}
    at_ns = clock.boottime_ns()
    with store.write() as change:
        change.append(Fact(RecordType.LIFECYCLE_EVENT, clock.boot_id, at_ns, data, instrument_id))
        head = change.head
    log.info("%s: %s", instrument_id, data["event"])
    return Place(head.epoch, head.seq, clock.boot_id, at_ns // NS_PER_MS)


def tell(config: Config, instrument_id: str, event: LifecycleWord, data: Mapping[str, Any]) -> Place:
    """Write one ``lifecycle_event`` through the agent that runs, or without one under the state lock.

    Raises:
        AgentError: it was not written; ``hint`` says what to do.
    """
    request = {"do": "append", "instrument": instrument_id, "event": event.value, "data": dict(data)}
    try:
        return Place(**ask(config.box.runtime_dir, request))
    except NoAgent:
        clock = SystemClock()
        with with_books(config, clock) as store:
            return append(config, store, clock, request)


@contextmanager
def with_books(config: Config, clock: Clock) -> Iterator[Store]:
    """Hold the state lock and give the database, in an epoch of its own; no agent can run meanwhile.

    Why nothing is seen now was settled before, so it is left as it was: after a crash the epoch stays unended.

    Raises:
        StoreUnavailable: an agent runs, or nothing can be written down.
    """
    lock = StateLock(config.box.state_dir)
    try:
        store = open_books(config.box.state_dir, config.box.id, clock.utc_ns())
        try:
            before = last_epoch(store)
            epoch = store.begin_epoch(Start(clock.boot_id, clock.boottime_ns(), __version__, config.hash))
            try:
                yield store
            finally:
                if before is None or before.stopped_ns is not None:
                    with suppress(StoreUnavailable), store.write() as change:
                        save_stop(change, epoch, clock.boottime_ns())
        finally:
            store.close()
    finally:
        lock.release()


def checked(request: Mapping[str, Any], known: Collection[str]) -> tuple[str, dict[str, Any]]:
    """Return the instrument and the data of the event that is asked for.

    Raises:
        AgentError: it cannot be recorded.
    """
    instrument_id, event, data = (request.get(key) for key in ("instrument", "event", "data"))
    if instrument_id not in known:
        names = ", ".join(sorted(known))
        raise AgentError(
            _("there is no instrument {id}").format(id=instrument_id), _("one of {names}").format(names=names)
        )
    if event not in WORDS:
        hint = _("one of {names}").format(names=", ".join(WORDS))
        raise AgentError(_("{event} is no event that can be recorded").format(event=event), hint)
    if not isinstance(data, dict) or "event" in data or not _plain(data, DEEPEST):
        hint = _("give a table of text and whole numbers; fractions as text; without a key event")
        raise AgentError(_("the data of the event cannot be recorded"), hint)
    found = {"event": str(event), **data}
    size = len(canonical(found))
    if size > MOST_BYTES:
        problem = _("the data of the event are too large: {size} bytes").format(size=size)
        raise AgentError(problem, _("at most {most} bytes").format(most=MOST_BYTES))
    return str(instrument_id), found


def _plain(value: object, deep: int) -> bool:
    """Say whether a value may stand in a record: no floats, no booleans, no null (docs/contract)."""
    if isinstance(value, str):
        return value.isprintable() or value.replace("\n", "").isprintable()
    if isinstance(value, int) and not isinstance(value, bool):
        return -LARGEST <= value <= LARGEST
    if isinstance(value, dict) and deep:
        return all(isinstance(key, str) and _plain(key, 0) and _plain(item, deep - 1) for key, item in value.items())
    return isinstance(value, list) and deep > 0 and all(_plain(item, deep - 1) for item in value)
