"""The platforms the box reports to, each with faults of its own, and the line to them."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cards import hear
from machine import BOX, GAP_S, MIN_ON_S, POLL_S
from oracle import Key, RecordingLedger
from truth import NS, live_problems

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

YEAR_NS = 366 * 86_400 * NS
LIVE_S = GAP_S + MIN_ON_S + 3 * POLL_S
"""So old may be what a heartbeat says: a value holds so long, and what comes next must be proven."""
PLATFORM_FAULTS = ("unreachable", "acknowledgements lost", "401", "413", "400", "wrong year", "no time")


class Platform:
    """One platform, and the transport to it: the same calls as over HTTP, and the same errors.

    ``fault`` is what is wrong with it and until when; ``lost`` is what it had and lost by being restored. ``taste`` is
    how it will refuse, for ever, one of the next records it gets: the whole request ("400") or in a list.
    """

    def __init__(self, world: "World", name: str) -> None:
        self._world = world
        self.name = name
        self.ledger = RecordingLedger(world.directory / f"{name}.db")
        self.fault = ("", 0)
        self.lost: set[Key] = set()
        self.taste = ""
        self._refused_whole: set[tuple[str, int]] = set()

    @property
    def fault_now(self) -> str:
        """What is wrong with it, or with the way there."""
        world, (fault, until_ns) = self._world, self.fault
        if world.now_ns < world.no_network_until_ns:
            return "unreachable"
        return fault if world.now_ns < until_ns else ""

    def restore(self, backup: Path) -> None:
        """Put a backup in its place."""
        before = set(self.ledger.keys(BOX))
        self.ledger.restore(backup)
        self.lost |= before - set(self.ledger.keys(BOX))
        backup.unlink()

    def records(self, envelope: Mapping[str, Any]) -> Reply:
        sent = json.loads(json.dumps(envelope))

        def store() -> dict[str, Any]:
            check_records_request(sent)
            places = [(sent["epoch"], item["record"]["seq"]) for item in sent["records"]]
            self._dislike_one(sent)
            spoilt = self._refused_whole.intersection(places)
            if not spoilt or len(places) == 1:
                result = self.ledger.store(BOX, sent["epoch"], sent["records"])
            if spoilt:
                raise PlatformRejected("the platform answered 422")
            refused = [{"seq": item.seq, "reason": item.reason} for item in result.rejected]
            return {"epoch": sent["epoch"], "acked_through": result.acked_through, "rejected": refused}

        return self._exchange(store, len(sent["records"]))

    def heartbeat(self, body: Mapping[str, Any]) -> Reply:
        check_heartbeat(BOX, json.loads(json.dumps(body)))
        world = self._world
        late = (item for item in world.faults if item.kind == "suspended" and item.end_ns > world.now_ns - LIVE_S * NS)
        back_s = LIVE_S + sum(item.end_ns - item.start_ns for item in late) / NS
        world.problems += live_problems(world.truths, body["instruments"], world.now_ns / NS, back_s)
        return self._exchange(dict)

    def watermark(self) -> Reply:
        def listed() -> dict[str, Any]:
            marks = self.ledger.watermarks(BOX)
            return {"epochs": [{"epoch": epoch, "acked_through": seq} for epoch, seq in marks.items()]}

        return self._exchange(listed)

    def close(self) -> None:
        pass

    def _dislike_one(self, sent: Mapping[str, Any]) -> None:
        """Choose a record nobody gave it before, if it is time for one."""
        keys = [(sent["epoch"], item["record"]["seq"], item["hash"]) for item in sent["records"]]
        new = [key for key in keys if key not in self.ledger.given[BOX]]
        if self.taste and new:
            epoch, seq, _hash = self._world.rng.choice(new)
            self._world.seen[f"a record refused for ever, {self.taste}"] += 1
            self.ledger.refused.add((epoch, seq))
            self._refused_whole |= {(epoch, seq)} if self.taste == "400" else set()
            self.taste = ""

    def _exchange(self, work: Callable[[], dict[str, Any]], size: int = 0) -> Reply:
        world, fault = self._world, self.fault_now
        if fault:
            world.seen[f"platform {fault}"] += 1
        self._refuse(fault, size)
        there_ns, back_ns = (round(world.rng.expovariate(5.0) * NS) for _ in range(2))
        world.now_ns += there_ns
        hear(world)  # a kill may come before the platform has it,
        body = work()
        server_ns = world.utc_ns() // 1_000_000 * 1_000_000
        world.now_ns += back_ns
        hear(world)  # or after
        if fault == "acknowledgements lost":
            raise PlatformUnavailable("the reply was lost")
        time_ns = None if fault == "no time" else server_ns + (94 * YEAR_NS if fault == "wrong year" else 0)
        return Reply(body, (there_ns + back_ns) / NS, time_ns)

    def _refuse(self, fault: str, size: int) -> None:
        if fault == "unreachable":
            raise PlatformUnavailable("no answer", retry_after_s=self._world.rng.choice([None, None, 30.0]))
        if fault == "401":
            raise PlatformUnauthorized("the platform answered 401")
        if fault == "413" and size > 1:
            raise PayloadTooLarge("the platform answered 413")
        if fault == "400":
            raise PlatformRejected("the platform answered 400")
