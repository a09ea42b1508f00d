"""What must be true of a world when its time is over."""

from machine import BOX, BRIDGE_S, CHECKPOINT_S, GAP_S, MIN_OFF_S, MIN_ON_S, POLL_S
from oracle import anchors_of, chains, conservation_problems, delivery_problems, twice_problems
from truth import NS, truth_problems
from world import BORN_UTC_NS, World

from instrument_agent.core.anchors import utc_of

HELD_S = GAP_S + 2 * POLL_S
UNSEEN_AT_END_S = CHECKPOINT_S + BRIDGE_S + MIN_OFF_S + GAP_S + 3 * POLL_S
"""What a kill may cost: what came after the last checkpoint, and what was not yet certain then."""


def problems(world: World) -> list[str]:
    """Return everything that is wrong, nothing if the box kept its promises."""
    return [
        *delivery_problems(world.ledger, BOX, world.state_dir),
        *twice_problems(world.ledger.records(BOX), lambda boot, ms: world.boots[boot].true_ns(ms * 1_000_000) / 1e6),
        *_accounting(world),
        *_utc(world),
    ]


def _accounting(world: World) -> list[str]:
    found = []
    truths = {truth.instrument_id: truth for truth in world.truths}
    born: set[str] = set()
    try:
        books = chains(world.state_dir)
    except ValueError as error:
        return [str(error)]
    order = list(world.boots)
    for (name, boot_id), chain in sorted(books.items(), key=lambda item: order.index(item[0][1])):
        boot = world.boots[boot_id]
        wrong = [*conservation_problems(chain), *truth_problems(truths[name], chain, boot, HELD_S, MIN_ON_S + POLL_S)]
        if name in born and chain[0].start_ns != 0:
            wrong.append(f"accounted from {chain[0].start_ns} ns, not from the beginning of the boot")
        born.add(name)
        left_s = (boot.boottime_ns(world.watched_to_ns.get(boot_id, 0)) - chain[-1].end_ns) / NS
        if left_s > UNSEEN_AT_END_S + world.blind_s.get(boot_id, 0.0):
            wrong.append(f"{left_s:.0f} s at the end of the boot are not accounted for")
        found += [f"{name} in boot {order.index(boot_id)}: {sentence}" for sentence in wrong]
    return found


def _utc(world: World) -> list[str]:
    """Hold every time that anybody could work out from the records against the true one."""
    records = world.ledger.records(BOX)
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
