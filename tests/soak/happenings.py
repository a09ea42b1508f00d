"""What goes wrong in the world, and how often."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cards import Card, copy_card, put_in
from machine import Killed, Stopped
from platforms import PLATFORM_FAULTS, YEAR_NS
from truth import NS

if TYPE_CHECKING:
    from world import World

DRIVER_FAULTS = ("unavailable", "error", "nonsense", "implausible", "absent", "hung")
TOLD = (
    "killed",
    "killed in a transaction",
    "stopped",
    "days without network",
    "days without one platform",
    "platform restored",
    "wall clock steps",
    "wall clock synchronized",
    "the card fails",
    "writes refused by the card",
    "card restored from a copy",
    "cards used in turn",
    "instrument left out",
    "instrument put back",
    "suspended",
    "a record refused for ever, 400",
    "a record refused for ever, listed",
    "records pruned",
    "intervals pruned",
)
"""What else must have happened in a month that shall prove something."""


@dataclass(frozen=True)
class Fault:
    """A fault of an instrument's driver or, without a name, of the card or the machine; ns of true time."""

    instrument_id: str
    kind: str
    start_ns: int
    end_ns: int


def killed(world: "World") -> None:
    world.seen["killed"] += 1
    raise Killed(reboot=world.rng.random() < 0.4)


def stopped(world: "World") -> None:
    world.seen["stopped"] += 1
    raise Stopped


def killed_in_a_transaction(world: "World") -> None:
    world.statements_left = world.rng.randint(1, 60)


def a_driver_fails(world: "World") -> None:
    name = world.rng.choice(world.truths).instrument_id
    mean_s = world.rng.choice([30, 120, 600, 7200])
    world.driver_faults[name] = fault = (world.rng.choice(DRIVER_FAULTS), world.lasting_ns(mean_s))
    world.faults.append(Fault(name, fault[0], world.now_ns, fault[1]))


def a_platform_fails(world: "World") -> None:
    platform = world.rng.choice(world.platforms)
    fault = world.rng.choice(PLATFORM_FAULTS), world.lasting_ns(world.rng.choice([60, 600, 7200]))
    if platform.fault[1] < fault[1]:
        platform.fault = fault


def a_platform_is_away(world: "World") -> None:
    """Let one of them be away for longer than facts are kept: they must be kept all the same."""
    world.seen["days without one platform"] += 1
    until_ns = world.now_ns + round(world.rng.uniform(6, 9) * 86_400) * NS
    world.rng.choice(world.platforms).fault = ("unreachable", until_ns)


def no_network_for_days(world: "World") -> None:
    world.no_network_until_ns = world.lasting_ns(3 * 86_400)
    world.seen["days without network"] += 1


def a_platform_is_restored(world: "World") -> None:
    """Back it up now, and put the backup back some hours or days later."""
    platform = world.rng.choice(world.platforms)
    backup = world.directory / f"backup-{world.rng.getrandbits(32):08x}.db"
    platform.ledger.back_up(backup)

    def restore() -> None:
        world.seen["platform restored"] += 1
        platform.restore(backup)

    world.at(world.lasting_ns(world.rng.choice([3600, 86_400])), restore)


def a_record_is_refused(world: "World") -> None:
    world.rng.choice(world.platforms).taste = world.rng.choice(["400", "listed"])


def the_card_is_copied(world: "World") -> None:
    """Copy the card, running or in the dark; put the copy in days later, and perhaps use the two in turn."""
    aside: list[Card] = []

    def copy() -> None:
        aside.append(copy_card(world))

    def change(kind: str) -> None:
        world.seen[kind] += 1
        aside.append(put_in(world, aside.pop()))

    def cut_power(kind: str) -> None:
        raise Killed(reboot=True, then=lambda: change(kind))

    at_ns = world.now_ns
    for turn in range(world.rng.choice([1, 1, 2, 3])):
        kind = "cards used in turn" if turn else "card restored from a copy"
        at_ns += round(world.rng.expovariate(1 / (3 * 86_400)) * NS)
        world.at(at_ns, lambda kind=kind: cut_power(kind))
    if world.rng.random() < 0.5:
        raise Killed(reboot=True, then=copy)
    copy()


def an_instrument_is_left_out(world: "World") -> None:
    """Take an instrument out of the config file, or put the one back that was taken out."""
    kind = "instrument put back" if world.left_out else "instrument left out"
    world.left_out = "" if world.left_out else world.rng.choice(world.truths).instrument_id
    world.seen[kind] += 1
    stopped(world)


def the_machine_sleeps(world: "World") -> None:
    """Let time pass in which nothing runs, though the boot clock does."""
    world.seen["suspended"] += 1
    until_ns = world.lasting_ns(world.rng.choice([60, 600, 7200]))
    world.faults.append(Fault("", "suspended", world.now_ns, until_ns))
    world.now_ns = until_ns


def the_wall_clock_steps(world: "World") -> None:
    world.seen["wall clock steps"] += 1
    world.wall_off_ns = world.rng.choice([0, 3600 * NS, -10 * YEAR_NS, 10 * YEAR_NS, 94 * YEAR_NS, -world.utc_ns()])


def the_card_fails(world: "World") -> None:
    world.seen["the card fails"] += 1
    world.storage_fault_ns = world.now_ns, world.lasting_ns(world.rng.choice([5, 60, 1800]))
    world.faults.append(Fault("", "card", *world.storage_fault_ns))


FAULTS: Mapping[Callable[["World"], None], float] = {
    killed: 1.0,
    stopped: 0.5,
    killed_in_a_transaction: 1.5,
    a_driver_fails: 8.0,
    a_platform_fails: 8.0,
    a_platform_is_away: 0.05,
    no_network_for_days: 0.04,
    a_platform_is_restored: 0.6,
    a_record_is_refused: 0.3,
    the_card_is_copied: 0.12,
    an_instrument_is_left_out: 0.15,
    the_machine_sleeps: 0.3,
    the_wall_clock_steps: 0.5,
    the_card_fails: 0.3,
}
"""How often a day each of them comes."""
