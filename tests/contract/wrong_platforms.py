"""Platforms that break the contract, each in one way: the reference platform with something twisted on its wire."""

import gzip
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from instrument_agent.core.canonical import NO_HASH, record_hash

Body = dict[str, Any]


class Carrier:
    """Lets one server carry the platform of each test in turn."""

    app: ASGIApp

    def __init__(self) -> None:
        self.url = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


@dataclass
class Exchange:
    """What was asked and what the good platform answers."""

    what: str
    asked: Body | None
    zipped: bool
    status: int = 0
    reply: Body = field(default_factory=dict)

    @property
    def items(self) -> list[Body]:
        return (self.asked or {}).get("records", []) if self.what == "records" else []

    def reject(self, items: list[Body], reason: str) -> None:
        self.reply["rejected"] = [
            *self.reply.get("rejected", []),
            *({"seq": item["record"]["seq"], "reason": reason} for item in items),
        ]


Twist = Callable[[Exchange], None]


class Twisted:
    """Lets ``before`` change what was asked, and ``after`` what is answered."""

    def __init__(self, app: ASGIApp, before: Twist | None = None, after: Twist | None = None) -> None:
        self._app = app
        self._before = before
        self._after = after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent = bytearray()
        while scope["method"] == "POST":
            message = await receive()
            sent += message.get("body", b"")
            if not message.get("more_body"):
                break
        zipped = sent[:2] == b"\x1f\x8b"
        text = gzip.decompress(bytes(sent)) if zipped else bytes(sent)
        exchange = Exchange(scope["path"].rpartition("/")[2], json.loads(text or b"null"), zipped)
        if self._before is not None:
            self._before(exchange)
        await self._ask(scope, exchange)
        if self._after is not None:
            self._after(exchange)
        await JSONResponse(exchange.reply, exchange.status)(scope, receive, send)

    async def _ask(self, scope: Scope, exchange: Exchange) -> None:
        answered = bytearray()
        headers = [(name, value) for name, value in scope["headers"] if name != b"content-encoding"]

        async def listen() -> Message:
            return {"type": "http.request", "body": json.dumps(exchange.asked).encode(), "more_body": False}

        async def tell(message: Message) -> None:
            exchange.status = message.get("status", exchange.status)
            answered.extend(message.get("body", b""))

        await self._app({**scope, "headers": headers}, listen, tell)
        exchange.reply = json.loads(bytes(answered))


def all_of(*twists: Twist) -> Twist:
    def twist(exchange: Exchange) -> None:
        for one in twists:
            one(exchange)

    return twist


def refuses_repetitions() -> Twist:
    seen: set[tuple[str, str]] = set()

    def after(exchange: Exchange) -> None:
        keys = {(exchange.asked["epoch"], item["hash"]): item for item in exchange.items if exchange.status == 200}
        exchange.reject([item for key, item in keys.items() if key in seen], "duplicate") if keys else None
        seen.update(keys)

    return after


def forgets_conflicts(exchange: Exchange) -> None:
    if exchange.items and exchange.status == 200:
        exchange.reply["rejected"] = [item for item in exchange.reply["rejected"] if item["reason"] != "conflict"]


def acknowledges_the_highest(exchange: Exchange) -> None:
    if exchange.items and exchange.status == 200:
        exchange.reply["acked_through"] = max(item["record"]["seq"] for item in exchange.items)


def stops_at_a_rejected_record(exchange: Exchange) -> None:
    if exchange.status == 200 and exchange.reply.get("rejected"):
        exchange.reply["acked_through"] = exchange.reply["rejected"][0]["seq"] - 1


def forgets_what_it_rejected() -> Twist:
    seen: dict[str, int] = {}

    def after(exchange: Exchange) -> None:
        if exchange.items and exchange.status == 200:
            epoch = exchange.reply["epoch"]
            if exchange.reply["rejected"]:
                seen[epoch] = exchange.reply["rejected"][0]["seq"]
            elif epoch in seen and all(item["record"]["seq"] > seen[epoch] for item in exchange.items):
                exchange.reply["acked_through"] = seen[epoch] - 1

    return after


def believes_every_hash(exchange: Exchange) -> None:
    whole = [item for item in exchange.items if "epoch" in item["record"]]
    head_fits = bool(exchange.items) and exchange.asked.get("head_hash") == exchange.items[-1]["hash"]
    for item in whole:
        item["hash"] = record_hash(item["record"])
    if head_fits:
        exchange.asked["head_hash"] = exchange.items[-1]["hash"]


def hashes_json_of_its_own(exchange: Exchange) -> None:
    def own(record: Body) -> str:
        return hashlib.sha256(json.dumps(record, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    if exchange.status == 200:
        whole = [item for item in exchange.items if "epoch" in item["record"]]
        good = [item for item in whole if record_hash(item["record"]) == item["hash"]]
        exchange.reject([item for item in good if own(item["record"]) != item["hash"]], "hash_mismatch")


def knows_no_new_types(exchange: Exchange) -> None:
    if exchange.status == 200:
        exchange.reject([item for item in exchange.items if item["record"].get("type") == "platform_check"], "type")


def takes_anything(exchange: Exchange) -> None:
    if exchange.what == "records" and exchange.status == 400:
        exchange.status = 200


def refuses_gzip(exchange: Exchange) -> None:
    if exchange.zipped:
        exchange.status, exchange.reply = 415, {"error": "no gzip"}


def leaves_out_what_was_rejected(exchange: Exchange) -> None:
    exchange.reply.pop("rejected", None) if not exchange.reply.get("rejected") else None


def tells_the_time_without_a_zone(exchange: Exchange) -> None:
    if "server_time" in exchange.reply:
        exchange.reply["server_time"] = exchange.reply["server_time"].removesuffix("Z")


def tells_of_the_newest_epoch_only(exchange: Exchange) -> None:
    if "epochs" in exchange.reply:
        exchange.reply["epochs"] = exchange.reply["epochs"][-1:]


def listens_to_any_box(exchange: Exchange) -> None:
    if exchange.what == "heartbeat":
        exchange.asked["box_id"] = "platform-check"


def refuses_what_does_not_link(exchange: Exchange) -> None:
    whole = [item for item in exchange.items if "epoch" in item["record"]]
    links = {NO_HASH, *(item["hash"] for item in whole)}
    if exchange.status == 200:
        exchange.reject([item for item in whole if item["record"]["prev_hash"] == "a" * 64 not in links], "chain")


def fails_on_large_batches(exchange: Exchange) -> None:
    if len(exchange.items) > 100:
        exchange.status, exchange.reply = 500, {"error": "too much"}


def loses_what_comes_meanwhile(status: int) -> dict[str, Twist]:
    """One that stores one batch at a time, and says ``status`` to the others without keeping them."""
    inside: list[Exchange] = []
    lost: list[Exchange] = []

    def before(exchange: Exchange) -> None:
        if exchange.items and inside:
            lost.append(exchange)
            exchange.what, exchange.asked = "", {**(exchange.asked or {}), "head_hash": "0" * 64}
        elif exchange.items:
            inside.append(exchange)

    def after(exchange: Exchange) -> None:
        if exchange in inside:
            inside.remove(exchange)
        if any(exchange is one for one in lost):
            said = {"acked_through": exchange.asked["records"][-1]["record"]["seq"], "rejected": []}
            exchange.status, exchange.reply = status, {"epoch": exchange.asked["epoch"], **said}

    return {"before": before, "after": after}
