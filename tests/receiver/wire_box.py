"""A box that speaks the wire contract, for the tests of the platform."""

from dataclasses import dataclass
from typing import Any

import requests

from instrument_agent.core.canonical import NO_HASH, record_hash
from instrument_agent.keys import head_statement, sign

EPOCH = "0b54c7fb-7c3c-4a83-9d2f-3a1a3f5a2b10"
BOOT = "6f1d8f3e-52f0-4f6e-8b9a-0c7f2d1e4a55"


@dataclass(frozen=True)
class Box:
    """A sender of records and heartbeats to one platform; it signs if it has a private ``key``."""

    url: str
    box_id: str = "box-1"
    epoch: str = EPOCH
    key: str = ""

    @property
    def address(self) -> str:
        return f"{self.url}/v1/boxes/{self.box_id}"

    def chain(self, count: int, **changes: Any) -> list[dict[str, Any]]:
        """Return ``count`` chained items from seq 1; ``changes`` go into every record before it is hashed."""
        items: list[dict[str, Any]] = []
        for seq in range(1, count + 1):
            record = {
                "box_id": self.box_id,
                "epoch": self.epoch,
                "seq": seq,
                "type": "run_session",
                "boot_id": BOOT,
                "at_ms": seq * 1000,
                "prev_hash": items[-1]["hash"] if items else NO_HASH,
                "instrument_id": "炉-1",
                "data": ran(seq * 1000 - 500, seq * 1000),
                **changes,
            }
            items.append(sealed(record))
        return items

    def envelope(self, items: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
        head_hash = items[-1]["hash"] if items else NO_HASH
        body = {"epoch": self.epoch, "boot_id": BOOT, "boottime_ms": 60_000, "records": items, "head_hash": head_hash}
        body |= changes
        if self.key and "signature" not in changes:
            seq = body["records"][-1]["record"]["seq"]
            statement = head_statement(self.box_id, body["epoch"], seq, body["head_hash"])
            body["signature"] = sign(self.key, statement)
        return body

    def send(self, items: list[dict[str, Any]], **changes: Any) -> requests.Response:
        return requests.post(f"{self.address}/records", json=self.envelope(items, **changes), timeout=30)

    def pulse(self, **changes: Any) -> dict[str, Any]:
        """Return the body of a heartbeat."""
        body = {
            "box_id": self.box_id,
            "epoch": self.epoch,
            "boot_id": BOOT,
            "boottime_ms": 60_000,
            "agent_version": "0.1.0",
            "instruments": [{"instrument_id": "炉-1", "activity": "running", "since_ms": 42, "power_w": 810.5}],
            "queue": {"waiting": 3},
        }
        return {**body, **changes}

    def beat(self, **changes: Any) -> requests.Response:
        return requests.post(f"{self.address}/heartbeat", json=self.pulse(**changes), timeout=30)

    def watermark(self) -> dict[str, int]:
        reply = requests.get(f"{self.address}/watermark", timeout=30).json()
        return {mark["epoch"]: mark["acked_through"] for mark in reply["epochs"]}


def ran(start_ms: int, end_ms: int, **more: Any) -> dict[str, Any]:
    """Return the data of a run that was seen all the time."""
    return {"start_ms": start_ms, "end_ms": end_ms, "unseen_ms": 0, "running_ms": end_ms - start_ms, **more}


def sealed(record: dict[str, Any]) -> dict[str, Any]:
    """Return the item that carries ``record``."""
    return {"hash": record_hash(record), "record": record}


def damaged(item: dict[str, Any]) -> dict[str, Any]:
    """Return ``item`` with one digit of its content flipped on the way."""
    return {**item, "record": {**item["record"], "at_ms": item["record"]["at_ms"] + 1}}
