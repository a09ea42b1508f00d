"""What must be true of a world when its time is over."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from cards import Card
from machine import BOX, MIN_ON_S, POLL_S
from oracle import (
    Key,
    anchors_of,
    chain_problems,
    chains,
    committed,
    conservation_problems,
    twice_problems,
)
from platforms import Platform
from reasons import HELD_S, UNSEEN_AT_END_S, reason_problems
from truth import NS, truth_problems
from world import BORN_UTC_NS, World

from instrument_agent.buffer.calendar_days import daily_summaries
from instrument_agent.buffer.headfile import read_head
from instrument_agent.buffer.outbox import PRUNED_SQL
from instrument_agent.buffer.reader import Reader
from instrument_agent.buffer.verify import verify
from instrument_agent.core.anchors import utc_of
from instrument_agent.core.days import midnights
from instrument_agent.core.readings import Activity

ZONE = ZoneInfo("Asia/Shanghai")
SOON_NS = 3600 * NS
"""So long after its end a day may wait to be counted."""
KNOWN = (Activity.OFF, Activity.STANDBY, Activity.RUNNING)


def problems(world: World) -> list[str]:
    """Return everything that is wrong, nothing if the box kept its promises."""
    made = set().union(*(card.keys for card in world.cards))
    found = [*world.problems, *_reused(made)]
    for platform in world.platforms:
        wrong = [*_delivery(world, platform, made), *_unsaid(world, platform)]
        wrong += [*_twice(world, platform), *_utc(world, platform)]
        found += [f"{platform.name}: {sentence}" for sentence in wrong]
    for number, card in enumerate(world.cards):
        directory = card.directory or world.state_dir
        wrong = [*_accounting(world, card, directory), *_days(world, card), *_verified(directory)]
        found += [f"card {number}: {sentence}" for sentence in wrong]
    return found


def _reused(made: set[Key]) -> list[str]:
    hashes: dict[tuple[str, int], set[str]] = defaultdict(set)
    for epoch, seq, digest in made:
        hashes[epoch, seq].add(digest)
    return [f"{place} was used for {len(found)} records" for place, found in hashes.items() if len(found) > 1]


def _delivery(world: World, platform: Platform, made: set[Key]) -> list[str]:
    """Hold a platform against all cards: the one in the box is empty, the others were taken away at some moment."""
    ledger = platform.ledger
    listed = ledger.keys(BOX)
    there, found = set(listed), []
    if len(listed) != len(there):
        found.append("a key stands twice")
    if foreign := (ledger.given[BOX] | there) - made:
        found.append(f"{len(foreign)} records were sent that were never committed, such as {min(foreign)}")
    if refused := [item for item in ledger.rejected(BOX) if (item.epoch, item.seq) not in ledger.refused]:
        found.append(f"{len(refused)} records were refused, such as {refused[0]}")
    kept = set(committed(world.state_dir))
    if kept - world.card.keys:
        found.append("the card holds what was never committed on it")
    # What a platform lost is sent again, but not if its epoch is pruned, or it was only on a card that is gone.
    lost = _liked(world.card.keys, platform) - there - (platform.lost - _unpruned(world.state_dir))
    for card in world.cards:
        if card.directory is not None:
            settled = _settled(card.directory, platform.name) - _dead_letters(card.directory, platform.name)
            lost |= _liked(settled, platform) - there - platform.lost
    if lost:
        found.append(f"{len(lost)} committed records are not there, such as {sorted(lost)[:3]}")
    dead, disliked = _dead_letters(world.state_dir, platform.name), kept - _liked(kept, platform)
    if dead != disliked:
        found.append(f"the dead letters are not the {len(disliked)} records it refuses, but {len(dead)}")
    return found + chain_problems(ledger.items(BOX), made - there)


def _unsaid(world: World, platform: Platform) -> list[str]:
    """Return what only the platform still has of a card that is gone, and the box does not say it has not."""
    newest: dict[str, int] = defaultdict(int)
    for epoch, seq, _digest in world.card.keys:
        newest[epoch] = max(newest[epoch], seq)
    reader = Reader(world.state_dir)
    try:
        faults = [json.loads(body)["data"] for (body,) in reader.rows("select body from records where type = 'fault'")]
    finally:
        reader.close()
    lost = [fault for fault in faults if fault["kind"] == "tail_lost"]
    said = {fault["epoch"]: fault["to_seq"] for fault in lost}
    strange = {fault["epoch"] for fault in faults if fault["kind"] == "epoch_unknown_here"}
    found = [
        f"the card says that it lost what it wrote: {fault}"
        for fault in lost
        if fault["from_seq"] <= newest[fault["epoch"]]
    ]
    found += [f"the card says that it never had its own epoch {epoch}" for epoch in sorted(strange & newest.keys())]
    return found + [
        f"it has {there} records of epoch {epoch}, and the card does not say what it lacks of them"
        for epoch, there in platform.ledger.watermarks(BOX).items()
        if (max(said.get(epoch, 0), newest[epoch]) < there if epoch in newest else there and epoch not in strange)
    ]


def _liked(keys: Iterable[Key], platform: Platform) -> set[Key]:
    return {key for key in keys if key[:2] not in platform.ledger.refused}


def _settled(state_dir: Path, name: str) -> set[Key]:
    query = "select epoch, seq, hash from records where id <= (select acked_id from destinations where name = ?)"
    return _keys(state_dir, query, name)


def _unpruned(state_dir: Path) -> set[Key]:
    query = f"select epoch, seq, hash from records where epoch not in (select epoch from roots) and id > ({PRUNED_SQL})"
    return _keys(state_dir, query)


def _dead_letters(state_dir: Path, name: str) -> set[Key]:
    query = (
        "select epoch, seq, hash from records where id in (select record_id from dead_letters where destination = ?)"
    )
    return _keys(state_dir, query, name)


def _keys(state_dir: Path, query: str, *parameters: str) -> set[Key]:
    reader = Reader(state_dir)
    try:
        return {tuple(row) for row in reader.rows(query, parameters)}
    finally:
        reader.close()


def _twice(world: World, platform: Platform) -> list[str]:
    """Check that no second of true time is counted twice.

    Two cards that are copies of one another both tell of the boot in which the copy was made: the boot id shows it,
    and a platform counts it once. No other second may be told by both.
    """

    def utc_ms(boot_id: str, ms: int) -> float:
        return world.boots[boot_id].true_ns(ms * 1_000_000) / 1e6

    items = [(_key(item), item["record"]) for item in platform.ledger.items(BOX)]
    found = []
    for card in world.cards:
        found += twice_problems((record for key, record in items if key in card.keys), utc_ms)
    longest: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for record in platform.ledger.records(BOX):
        if record["type"] in ("run_session", "power_session", "observation_gap"):
            longest[record["type"], record["instrument_id"], record["boot_id"]].append(record)
    return found + twice_problems((record for told in longest.values() for record in _merged(told)), utc_ms)


def _key(item: Any) -> Key:
    return item["record"]["epoch"], item["record"]["seq"], item["hash"]


def _merged(told: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Make one fact of those of one boot that overlap."""
    merged: list[dict[str, Any]] = []
    for record in sorted(told, key=lambda item: item["data"]["start_ms"]):
        data = record["data"]
        if merged and data["start_ms"] < merged[-1]["data"]["end_ms"]:
            last = merged[-1]["data"]
            merged[-1] = record | {"data": last | {"end_ms": max(last["end_ms"], data["end_ms"])}}
        else:
            merged.append(record)
    return merged


def _accounting(world: World, card: Card, directory: Path) -> list[str]:
    found = []
    truths = {truth.instrument_id: truth for truth in world.truths}
    born: set[str] = set()
    try:
        books = chains(directory, card.pruned)
    except ValueError as error:
        return [str(error)]
    order = list(world.boots)
    for (name, boot_id), chain in sorted(books.items(), key=lambda item: order.index(item[0][1])):
        boot = world.boots[boot_id]
        wrong = [*conservation_problems(chain), *truth_problems(truths[name], chain, boot, HELD_S, MIN_ON_S + POLL_S)]
        wrong += reason_problems(name, chain, boot, card, world.faults)
        if name in born and chain[0].start_ns != 0:
            wrong.append(f"accounted from {chain[0].start_ns} ns, not from the beginning of the boot")
        born.add(name)
        left_s = (boot.boottime_ns(card.watched_to_ns.get((name, boot_id), 0)) - chain[-1].end_ns) / NS
        if left_s > UNSEEN_AT_END_S + card.blind_s.get((name, boot_id), 0.0):
            wrong.append(f"{left_s:.0f} s at the end of the boot are not accounted for")
        found += [f"{name} in boot {order.index(boot_id)}: {sentence}" for sentence in wrong]
    return found


def _days(world: World, card: Card) -> list[str]:
    """Hold the sums of each day against the truth, and see that no day is closed twice on one card."""
    truths = {truth.instrument_id: truth for truth in world.truths}
    told: dict[tuple[str, str], Any] = {}
    found = []
    for item in world.platforms[0].ledger.items(BOX, "daily_summary"):
        record, data = item["record"], item["record"]["data"]
        if _key(item) not in card.keys:
            continue
        name, day = record["instrument_id"], data["day"]
        if (name, day) in told:
            found.append(f"{name}, {day} was closed twice")
        told[name, day] = data
        start_s, end_s = ((ns - BORN_UTC_NS) / NS for ns in midnights(date.fromisoformat(day), ZONE))
        truth = truths[name]
        slack_s = HELD_S * (10 + sum(start_s <= at_s < end_s for at_s in truth.starts_s))
        for activity in KNOWN:
            true_s, said_s = truth.spent_s(activity, start_s, end_s), data[f"{activity.value}_ms"] / 1e3
            unknown_s = data["unknown_ms"] / 1e3
            if not said_s - slack_s <= true_s <= said_s + unknown_s + slack_s:
                said = f"{said_s:.0f} s of {activity.value} and {unknown_s:.0f} unknown, truly {true_s:.0f} s"
                found.append(f"{name}, {day}: {said}")
    return found + (_uncounted(world) if card is world.card else [])


def _uncounted(world: World) -> list[str]:
    """Return the days up to the end that are in no sum of the card in the box, after the first that is."""
    reader = Reader(world.state_dir)
    try:
        told = [(item["instrument_id"], item["data"]["day"]) for item in daily_summaries(reader)]
    finally:
        reader.close()
    over = datetime.fromtimestamp((world.utc_ns() - SOON_NS) / NS, ZONE).date()
    found = []
    for truth in world.truths:
        days = {date.fromisoformat(day) for name, day in told if name == truth.instrument_id}
        first = min(days, default=over - timedelta(days=2))
        wanted = {first + timedelta(days=number) for number in range((over - first).days)}
        found += [f"{truth.instrument_id}, {day} is in no sum" for day in sorted(wanted - days)]
    return found


def _verified(directory: Path) -> list[str]:
    """Return what the agent's own proof finds."""
    reader = Reader(directory)
    try:
        report = verify(reader, read_head(directory))
    finally:
        reader.close()
    return [f"verify: {sentence}" for sentence in report.differences]


def _utc(world: World, platform: Platform) -> list[str]:
    """Hold every time that anybody could work out from the records against the true one."""
    records = platform.ledger.records(BOX)
    anchors = anchors_of(records)
    found = []
    for record in records:
        boot = world.boots[record["boot_id"]]
        at_ns = record["at_ms"] * 1_000_000
        utc = utc_of([anchor for anchor in anchors if anchor.boot_id == record["boot_id"]], record["boot_id"], at_ns)
        if utc is not None and abs(utc.utc_ns - BORN_UTC_NS - boot.true_ns(at_ns)) > utc.error_ns + 2_000_000:
            off_s = (utc.utc_ns - BORN_UTC_NS - boot.true_ns(at_ns)) / NS
            found.append(
                f"UTC of {record['type']} {record['seq']} is off by {off_s:.3f} s, {utc.error_ns / NS:.3f} said"
            )
    return found[:5]
