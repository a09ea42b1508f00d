"""The SD cards of the box: what was ever committed on each, and what it was rid of, seen from below SQLite."""

import shutil
import sqlite3
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from machine import BOX, CHECKPOINT_S, KEPT_NS, POLL_S, Killed
from oracle import Key
from truth import NS

from instrument_agent.core.ledger import Interval
from instrument_agent.core.readings import Activity, UnknownReason

if TYPE_CHECKING:
    from world import World

WHICH_RECORDS = "select epoch, seq, hash, json_extract(body, '$.boot_id'), json_extract(body, '$.at_ms') from"
WHICH_INTERVALS = "select instrument_id, boot_id, start_ns, end_ns, activity, reason from"
WRITES = ("insert", "update", "delete", "commit")
LEFT_OUT = shutil.ignore_patterns("lock", "ballast")


STOPPED, KILLED, LOST_POWER = "stopped", "killed", "lost power"


@dataclass(frozen=True)
class Life:
    """One life of the agent on a card, in ns of true time, and the instrument it did not watch.

    ``end`` is how it ended; empty if it did not begin, because the card took nothing.
    """

    start_ns: int
    end_ns: int
    end: str
    left_out: str


@dataclass
class Card:
    """One card: the keys of all records ever committed on it, the intervals that were pruned, and how far it saw.

    ``watched_to_ns`` says until when (true time) each boot of an instrument must be accounted for, ``blind_s`` how much
    of the end of it could not be written down, ``lives`` when the agent lived on it. ``directory`` is where the card
    lies while it is not in the box.
    """

    keys: set[Key] = field(default_factory=set)
    newest_id: int = 0
    pruned: dict[tuple[str, str, int], Interval] = field(default_factory=dict)
    watched_to_ns: dict[tuple[str, str], int] = field(default_factory=dict)
    blind_s: dict[tuple[str, str], float] = field(default_factory=dict)
    lives: list[Life] = field(default_factory=list)
    directory: Path | None = None

    def copied(self, state_dir: Path, to: Path) -> "Card":
        """Return a copy of the card in the box as it is at this moment, files and all."""
        shutil.copytree(state_dir, to, ignore=LEFT_OUT)
        seen = dict(self.watched_to_ns), dict(self.blind_s), list(self.lives)
        return Card(set(self.keys), self.newest_id, dict(self.pruned), *seen, to)

    def note(self, rows: sqlite3.Cursor) -> None:
        """Take notice of what was just committed: rows of id, epoch, seq and hash."""
        for newest_id, *key in rows.fetchall():
            self.newest_id = newest_id
            self.keys.add(tuple(key))


def copy_card(world: "World") -> Card:
    """Copy the card in the box as it is now."""
    copy = world.card.copied(world.state_dir, world.directory / f"card-{len(world.cards)}")
    if world.agent is not None:
        copy.lives.append(replace(world.life, end_ns=world.now_ns, end=LOST_POWER))
    note_watched(world, copy)
    world.cards.append(copy)
    return copy


def put_in(world: "World", card: Card) -> Card:
    """Put another card in the box, and return the one that was in it."""
    before, world.card = world.card, card
    assert card.directory is not None
    before.directory = world.directory / f"card-{world.cards.index(before)}-taken-out"
    world.state_dir.rename(before.directory)
    card.directory.rename(world.state_dir)
    card.directory = None
    return before


def note_watched(world: "World", card: Card) -> None:
    """Note that everything up to now is to be accounted for on this card, except what it could not take."""
    if world.now_ns - world.life.start_ns > CHECKPOINT_S * NS:
        failing_ns, until_ns = world.storage_fault_ns
        blind = world.now_ns < until_ns + 2 * POLL_S * NS  # what was kept in memory is written at one of the next polls
        for truth in (truth for truth in world.truths if truth.instrument_id != world.life.left_out):
            book = truth.instrument_id, world.boot.boot_id
            card.watched_to_ns[book] = world.now_ns
            card.blind_s[book] = (world.now_ns - failing_ns) / NS if blind else 0.0


def note_ended(world: "World", end: str) -> None:
    """Note that the agent that was started last is no more, and how it ended."""
    world.card.lives.append(replace(world.life, end_ns=world.now_ns, end=end))
    note_watched(world, world.card)


def hear(world: "World", sql: str = "") -> None:
    """Hear of a statement before (``sql``) and after it: the card may fail, the process may be killed in it."""
    if world.statements_left:
        world.statements_left -= 1
        if not world.statements_left:
            world.seen["killed in a transaction"] += 1
            raise Killed(reboot=world.rng.random() < 0.3)
    if world.now_ns < world.storage_fault_ns[1] and sql.lstrip()[:6].lower() in WRITES:
        world.seen["writes refused by the card"] += 1
        raise sqlite3.OperationalError("database or disk is full")


def watched_by(world: "World") -> type[sqlite3.Connection]:
    """Return a connection under the product's own that tells the world of each statement before and after it."""

    class Watched(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            hear(world, sql)
            if sql.startswith("delete from records"):
                _records_go(world, super().execute(sql.replace("delete from", WHICH_RECORDS, 1), *parameters))
            elif sql.startswith("delete from intervals"):
                _intervals_go(world, super().execute(sql.replace("delete from", WHICH_INTERVALS, 1), *parameters))
            cursor = super().execute(sql, *parameters)
            if sql == "commit":
                after = "select id, epoch, seq, hash from records where id > ? order by id"
                world.card.note(super().execute(after, (world.card.newest_id,)))
            hear(world)
            return cursor

    return Watched


def _records_go(world: "World", rows: sqlite3.Cursor) -> None:
    """What is pruned must be old, and must have arrived everywhere."""
    for epoch, seq, digest, boot_id, at_ms in rows.fetchall():
        world.seen["records pruned"] += 1
        age_ns = world.now_ns - world.boots[boot_id].true_ns(at_ms * 1_000_000)
        if age_ns < KEPT_NS - NS:
            world.problems.append(f"record {seq} of {epoch} was pruned at an age of {age_ns / NS:.0f} s")
        for platform in world.platforms:
            if (epoch, seq, digest) not in platform.ledger.given[BOX]:
                world.problems.append(f"record {seq} of {epoch} was pruned, and {platform.name} never got it")


def _intervals_go(world: "World", rows: sqlite3.Cursor) -> None:
    for name, boot_id, start_ns, end_ns, activity, reason in rows.fetchall():
        world.seen["intervals pruned"] += 1
        told = None if reason is None else UnknownReason(reason)
        world.card.pruned[name, boot_id, start_ns] = Interval(start_ns, end_ns, Activity(activity), told)
        age_ns = world.now_ns - world.boots[boot_id].true_ns(end_ns)
        if age_ns < KEPT_NS - NS:
            world.problems.append(f"an interval of {name} was pruned at an age of {age_ns / NS:.0f} s")
