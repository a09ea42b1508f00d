"""What goes wrong in the world, how often, and the line to the platform on which half of it happens."""

import json
import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from instrument_agent.core.errors import (
    PayloadTooLarge,
    PlatformRejected,
    PlatformUnauthorized,
    PlatformUnavailable,
)
from instrument_agent.receiver.contract import check_heartbeat, check_records_request
from instrument_agent.uplink.http import Reply

if TYPE_CHECKING:
    from world import World

NS = 1_000_000_000
YEAR_NS = 366 * 86_400 * NS
DRIVER_FAULTS = ("unavailable", "error", "nonsense", "implausible", "absent", "hung")
TOLD = (
    "killed",
    "killed in a transaction",
    "stopped",
    "days without network",
    "platform restored",
    "wall clock steps",
    "wall clock synchronized",
    "the card fails",
    "writes refused by the card",
)
"""What else must have happened in a month that shall prove something."""
PLATFORM_FAULTS = ("unreachable", "acknowledgements lost", "401", "413", "400", "wrong year", "no time")


class Killed(BaseException):
    """The process is gone from one moment to the next; ``reboot`` takes the boot with it."""

    def __init__(self, reboot: bool) -> None:
        super().__init__(reboot)
        self.reboot = reboot


class Stopped(BaseException):
    """The process was asked to stop."""


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
    world.driver_faults[name] = (world.rng.choice(DRIVER_FAULTS), world.lasting_ns(mean_s))


def the_platform_fails(world: "World") -> None:
    world.platform_fault = (world.rng.choice(PLATFORM_FAULTS), world.lasting_ns(world.rng.choice([60, 600, 7200])))


def no_network_for_days(world: "World") -> None:
    world.platform_fault = ("unreachable", world.lasting_ns(3 * 86_400))
    world.seen["days without network"] += 1


def the_platform_is_restored(world: "World") -> None:
    """Back it up now, and put the backup back some hours or days later."""
    backup = world.directory / f"backup-{world.rng.getrandbits(32):08x}.db"
    world.ledger.back_up(backup)

    def restore() -> None:
        world.seen["platform restored"] += 1
        world.ledger.restore(backup)
        backup.unlink()

    world.at(world.lasting_ns(world.rng.choice([3600, 86_400])), restore)


def the_wall_clock_steps(world: "World") -> None:
    world.seen["wall clock steps"] += 1
    world.wall_off_ns = world.rng.choice([0, 3600 * NS, -10 * YEAR_NS, 10 * YEAR_NS, 94 * YEAR_NS, -world.utc_ns()])


def the_card_fails(world: "World") -> None:
    world.seen["the card fails"] += 1
    world.storage_fault_ns = world.now_ns, world.lasting_ns(world.rng.choice([5, 60, 1800]))


FAULTS: Mapping[str, Callable[["World"], None]] = {
    "killed": killed,
    "stopped": stopped,
    "killed in a transaction": killed_in_a_transaction,
    "a driver fails": a_driver_fails,
    "the platform fails": the_platform_fails,
    "no network for days": no_network_for_days,
    "the platform is restored": the_platform_is_restored,
    "the wall clock steps": the_wall_clock_steps,
    "the card fails": the_card_fails,
}
PER_DAY: Mapping[str, float] = {
    "killed": 1.0,
    "stopped": 0.5,
    "killed in a transaction": 1.5,
    "a driver fails": 8.0,
    "the platform fails": 4.0,
    "no network for days": 0.04,
    "the platform is restored": 0.3,
    "the wall clock steps": 0.5,
    "the card fails": 0.3,
}


class Line:
    """The transport to the platform's ledger: the same calls as over HTTP, and the same errors."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def records(self, envelope: Mapping[str, Any]) -> Reply:
        world, sent = self._world, json.loads(json.dumps(envelope))

        def store() -> dict[str, Any]:
            check_records_request(sent)
            result = world.ledger.store("soak-box", sent["epoch"], sent["records"])
            refused = [{"seq": item.seq, "reason": item.reason} for item in result.rejected]
            return {"epoch": sent["epoch"], "acked_through": result.acked_through, "rejected": refused}

        return self._exchange(store, len(sent["records"]))

    def heartbeat(self, body: Mapping[str, Any]) -> Reply:
        check_heartbeat("soak-box", json.loads(json.dumps(body)))
        return self._exchange(dict)

    def watermark(self) -> Reply:
        def listed() -> dict[str, Any]:
            marks = self._world.ledger.watermarks("soak-box")
            return {"epochs": [{"epoch": epoch, "acked_through": seq} for epoch, seq in marks.items()]}

        return self._exchange(listed)

    def close(self) -> None:
        pass

    def _exchange(self, work: Callable[[], dict[str, Any]], size: int = 0) -> Reply:
        world = self._world
        fault, until_ns = world.platform_fault
        if world.now_ns >= until_ns:
            fault = ""
        if fault:
            world.seen[f"platform {fault}"] += 1
        _refuse(fault, size, world.rng)
        there_ns, back_ns = (round(world.rng.expovariate(5.0) * NS) for _ in range(2))
        world.now_ns += there_ns
        world.statement("")  # a kill may come before the platform has it,
        body = work()
        server_ns = world.utc_ns() // 1_000_000 * 1_000_000
        world.now_ns += back_ns
        world.statement("")  # or after
        if fault == "acknowledgements lost":
            raise PlatformUnavailable("the reply was lost")
        time_ns = None if fault == "no time" else server_ns + (94 * YEAR_NS if fault == "wrong year" else 0)
        return Reply(body, (there_ns + back_ns) / NS, time_ns)


def _refuse(fault: str, size: int, rng: random.Random) -> None:
    if fault == "unreachable":
        raise PlatformUnavailable("no answer", retry_after_s=rng.choice([None, None, 30.0]))
    if fault == "401":
        raise PlatformUnauthorized("the platform answered 401")
    if fault == "413" and size > 1:
        raise PayloadTooLarge("the platform answered 413")
    if fault == "400":
        raise PlatformRejected("the platform answered 400")
