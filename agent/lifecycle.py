"""What people do to an instrument over its life, behind the commands `relocate`, `transfer` and `retire`."""

import threading
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from instrument_agent.appending import Place, tell
from instrument_agent.buffer.books import newest_lifecycle
from instrument_agent.buffer.boots import chronology
from instrument_agent.buffer.chain import roots
from instrument_agent.buffer.headfile import sync_directory
from instrument_agent.buffer.reader import Reader
from instrument_agent.config import Config, DestinationConfig, InstrumentConfig
from instrument_agent.config.change import change_identity
from instrument_agent.control import NoAgent, RequestFailed, ask
from instrument_agent.core.errors import AgentError
from instrument_agent.core.readings import NS_PER_MS
from instrument_agent.core.records import LifecycleWord
from instrument_agent.handover import in_use
from instrument_agent.i18n import _
from instrument_agent.report.sealed import Seal
from instrument_agent.report.writing import all_that_waits, signer_of, write_sealed
from instrument_agent.uplink.enrolled import KeyFile
from instrument_agent.uplink.replies import watermarks
from instrument_agent.uplink.transports import transport_to

DONE_WITHIN_S = 30.0
LOOK_EVERY_S = 0.2
ENDS = "select epoch, max(seq) from records where id <= ? group by epoch"
WAITING = (
    "select count(*) from records where id <= ?"
    " and id > coalesce((select acked_id from destinations where name = ?), 0)"
)


@dataclass(frozen=True, slots=True)
class Delivered:
    """How one platform stands: ``missing`` records it did not confirm, ``refused`` ones, or why it cannot be asked."""

    name: str
    missing: int
    refused: int
    error: str = ""

    @property
    def whole(self) -> bool:
        """Whether it has every record of this box."""
        return not (self.missing or self.refused or self.error)


def relocate(config: Config, instrument: InstrumentConfig, location: str, by: Mapping[str, str]) -> Place:
    """Put in the log that an instrument stands elsewhere, then in the config file; its hours go on.

    Raises:
        AgentError: it was not done; ``hint`` says what to do.
    """
    told = {**by, "from": instrument.location, "to": location}
    place = tell(config, instrument.id, LifecycleWord.RELOCATED, told)
    change_identity(config.path, instrument.id, {"location": location})
    return place


def transfer(
    config: Config, instrument: InstrumentConfig, identity: Mapping[str, str], by: Mapping[str, str]
) -> dict[str, Any]:
    """Give an instrument to another owner: first in the config file, then the agent splits its books and records it.

    If it ends in between, the next agent finds another owner in the file and splits the books then.

    Raises:
        AgentError: it was not done; ``hint`` says what to do.
    """
    _answering(config)
    change_identity(config.path, instrument.id, identity)
    return _carried_out(config, instrument.id, LifecycleWord.TRANSFERRED, by)


def retire(config: Config, instrument: InstrumentConfig, by: Mapping[str, str]) -> dict[str, Any]:
    """Have the agent close the books of an instrument for good; return the record with what it did in all.

    Raises:
        AgentError: it was not done; ``hint`` says what to do.
    """
    return _carried_out(config, instrument.id, LifecycleWord.RETIRED, by)


def told_of(config: Config, instrument_id: str, word: LifecycleWord) -> dict[str, Any] | None:
    """Return the newest record of one kind; None if there is none, or no database yet."""
    with closing(Reader(config.box.state_dir)) as reader:
        return newest_lifecycle(reader, instrument_id, word)


def dated(config: Config, record: Mapping[str, Any]) -> int | None:
    """Return when a record was made, in ms UTC since 1970; None if the box cannot tell (yet)."""
    with closing(Reader(config.box.state_dir)) as reader:
        utc = chronology(reader).moment(record["boot_id"], record["at_ms"] * NS_PER_MS).utc
    return None if utc is None else utc.in_ms()[0]


def left_in_use(config: Config) -> list[str]:
    """Return the instruments of a box that are not retired."""
    with closing(Reader(config.box.state_dir)) as reader:
        return [item.id for item in in_use(config, reader).instruments]


def take_up(config: Config) -> bool:
    """Have the running agent read its config again, and return once it did; False if none runs.

    Raises:
        RequestFailed: it could not; ``hint`` says what to do.
    """
    epoch = _running_epoch(config)
    if epoch:
        ask(config.box.runtime_dir, {"do": "reload"})
        _await_next(config, epoch)
    return bool(epoch)


def deliver(config: Config, within_s: float) -> list[Delivered]:
    """Have everything sent, and ask each platform what it has of this box: its word counts, not ours.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    try:
        ask(config.box.runtime_dir, {"do": "try_now"})
    except (NoAgent, RequestFailed):
        within_s = 0.0
    with closing(Reader(config.box.state_dir)) as reader:
        last_id = reader.rows("select coalesce(max(id), 0) from records")[0][0]
        rooted = roots(reader)  # what is pruned was confirmed by all, and a platform that came later never gets it
        ends = {epoch: seq for epoch, seq in reader.rows(ENDS, (last_id,)) if epoch not in rooted}
        end_s = time.monotonic() + within_s
        while any(_waiting(reader, item.name, last_id) for item in config.destinations) and time.monotonic() < end_s:
            threading.Event().wait(LOOK_EVERY_S)  # the agent is another process: there is no event to wait on
        waiting = {item.name: _waiting(reader, item.name, last_id) for item in config.destinations}
        refused = dict(reader.rows("select destination, count(*) from dead_letters group by destination"))
    return [
        _confirmed(config, item, ends, waiting[item.name], refused.get(item.name, 0)) for item in config.destinations
    ]


def hand_over(config: Config, path: Path, destination: str | None) -> Seal:
    """Write all that has not arrived yet into a sealed file for one platform; return its seal.

    Raises:
        AgentError: it cannot be written, or signed.
    """
    with closing(Reader(config.box.state_dir)) as reader:
        contents = all_that_waits(config, reader, datetime.now(ZoneInfo(config.box.timezone)).date())
        return write_sealed(path, reader, contents, signer_of(config, destination))


def wipe(files: list[Path]) -> list[Path]:
    """Delete files that hold secrets; return those that could not be deleted."""
    left = []
    for path in files:
        try:
            path.unlink(missing_ok=True)
            sync_directory(path.parent)
        except OSError:
            left.append(path)
    return left


def _running_epoch(config: Config) -> str:
    """Return the epoch of the agent that runs, empty if none does."""
    try:
        return str(ask(config.box.runtime_dir, {"do": "status"})["epoch"])
    except NoAgent:
        return ""


def _await_next(config: Config, epoch: str) -> None:
    """Return once the agent after that of ``epoch`` answers, so that the next command finds it."""
    end_s = time.monotonic() + DONE_WITHIN_S
    while _running_epoch(config) in ("", epoch) and time.monotonic() < end_s:
        threading.Event().wait(LOOK_EVERY_S)  # the agent is another process: there is no event to wait on


def _answering(config: Config) -> str:
    """Return the epoch of the agent that runs.

    Raises:
        AgentError: none does.
    """
    epoch = _running_epoch(config)
    if not epoch:
        raise AgentError(
            _("no agent is running, so nobody can close the books at this instant"),
            _("start it, then do this again: sudo systemctl start instrument-agent"),
        )
    return epoch


def _carried_out(config: Config, instrument_id: str, word: LifecycleWord, by: Mapping[str, str]) -> dict[str, Any]:
    """Order it from the running agent, and wait until its record is written."""
    epoch, before = _answering(config), told_of(config, instrument_id, word)
    order = {"instrument": instrument_id, "event": word.value, "data": dict(by)}
    ask(config.box.runtime_dir, {"do": "reload", "order": order})
    end_s = time.monotonic() + DONE_WITHIN_S
    while time.monotonic() < end_s:
        found = told_of(config, instrument_id, word)
        if found is not None and found != before:
            _await_next(config, epoch)
            return found
        threading.Event().wait(LOOK_EVERY_S)  # the agent is another process: there is no event to wait on
    raise AgentError(
        _("the agent did not record it within {seconds} s").format(seconds=round(DONE_WITHIN_S)),
        _("see why: journalctl -u instrument-agent; then do this again"),
    )


def _waiting(reader: Reader, destination: str, last_id: int) -> int:
    """Return how many records up to ``last_id`` a destination has not settled."""
    rows = reader.rows(WAITING, (last_id, destination))
    return int(rows[0][0])


def _confirmed(
    config: Config, destination: DestinationConfig, ends: Mapping[str, int], waiting: int, refused: int
) -> Delivered:
    keys = KeyFile(config.box.state_dir, destination.name)
    with closing(transport_to(destination, config.box.id, keys)) as transport:
        try:
            there = watermarks(transport.watermark())
        except AgentError as error:
            return Delivered(destination.name, waiting, refused, str(error))
    if there is None:
        return Delivered(destination.name, waiting, refused, _("its reply is not understood"))
    missing = sum(max(0, last - there.get(epoch, 0)) for epoch, last in ends.items())
    return Delivered(destination.name, missing, refused)
