"""Uplink contract v1 over HTTP: records, heartbeat, watermark, health."""

import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from instrument_agent.receiver.body import read_json
from instrument_agent.receiver.contract import (
    ContractViolation,
    check_heartbeat,
    check_records_request,
    is_box_id,
)
from instrument_agent.receiver.ledger import Ledger


def create_app(
    ledger: Ledger, now_ns: Callable[[], int], token: str | None = None, next_heartbeat_s: int | None = None
) -> Starlette:
    """Return the platform as an ASGI application.

    Args:
        ledger: where facts go; it stays the caller's to close.
        now_ns: UTC, nanoseconds since 1970.
        token: what every request must bear; None lets everybody in.
        next_heartbeat_s: how many seconds boxes shall wait between heartbeats; None leaves it to them.

    Raises:
        ValueError: the token is empty, which would let everybody in by mistake.
    """
    if token == "":
        raise ValueError("the token is empty")
    platform = _Platform(ledger, now_ns, next_heartbeat_s)
    return Starlette(
        routes=[
            Route("/v1/boxes/{box_id}/records", platform.records, methods=["POST"]),
            Route("/v1/boxes/{box_id}/heartbeat", platform.heartbeat, methods=["POST"]),
            Route("/v1/boxes/{box_id}/watermark", platform.watermark, methods=["GET"]),
            Route("/healthz", _healthz, methods=["GET"]),
        ],
        middleware=[] if token is None else [Middleware(_RequireToken, token=token)],
        exception_handlers={
            HTTPException: _http_error,
            ContractViolation: _bad_request,
            ClientDisconnect: _bad_request,
            OperationalError: _unavailable,
            PoolTimeoutError: _unavailable,
            Exception: _bug,
        },
    )


class _Platform:
    """The endpoints, over one ledger and one clock."""

    def __init__(self, ledger: Ledger, now_ns: Callable[[], int], next_heartbeat_s: int | None) -> None:
        self._ledger = ledger
        self._now_ns = now_ns
        self._next_heartbeat_s = next_heartbeat_s

    async def records(self, request: Request) -> Response:
        """Store a batch; reply once it is committed."""
        box_id = _box_id(request)
        return await run_in_threadpool(self._store, box_id, await read_json(request))

    async def heartbeat(self, request: Request) -> Response:
        """Keep the live state of a box."""
        box_id = _box_id(request)
        return await run_in_threadpool(self._note_heartbeat, box_id, await read_json(request))

    def watermark(self, request: Request) -> Response:
        """Say how far each epoch of a box is settled."""
        marks = self._ledger.watermarks(_box_id(request))
        listed = [{"epoch": epoch, "acked_through": seq} for epoch, seq in marks.items()]
        return JSONResponse({"epochs": listed, "server_time": _utc_text(self._now_ns())})

    def _store(self, box_id: str, body: Any) -> Response:
        check_records_request(body)
        result = self._ledger.store(box_id, body["epoch"], body["records"])
        reply = {
            "epoch": body["epoch"],
            "acked_through": result.acked_through,
            "rejected": [{"seq": refusal.seq, "reason": refusal.reason} for refusal in result.rejected],
        }
        return JSONResponse({**reply, **self._orders()})

    def _note_heartbeat(self, box_id: str, body: Any) -> Response:
        check_heartbeat(box_id, body)
        self._ledger.heartbeat(box_id, body, self._now_ns())
        return JSONResponse(self._orders())

    def _orders(self) -> dict[str, Any]:
        # Read last: the box takes half the round trip as the error of this time.
        time = {"server_time": _utc_text(self._now_ns())}
        return time if self._next_heartbeat_s is None else {**time, "next_heartbeat_s": self._next_heartbeat_s}


class _RequireToken:
    """Turn away every request that does not bear the token, before anything of its body is read."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode("utf-8")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._bears_token(Headers(scope=scope)):
            refusal = JSONResponse({"error": "unauthorized"}, 401, headers={"WWW-Authenticate": "Bearer"})
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _bears_token(self, headers: Headers) -> bool:
        scheme, _space, credential = headers.get("authorization", "").partition(" ")
        # Header bytes reach us decoded as latin-1. Comparing takes as long for a near miss as for a far one.
        return scheme.lower() == "bearer" and hmac.compare_digest(credential.encode("latin-1"), self._token)


def _healthz(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


def _box_id(request: Request) -> str:
    box_id: str = request.path_params["box_id"]
    if not is_box_id(box_id):
        raise ContractViolation("box_id: 1 to 64 letters, digits or . _ : -")
    return box_id


def _utc_text(utc_ns: int) -> str:
    seconds, ns = divmod(utc_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ns // 1_000_000:03d}Z"


def _error(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status)


def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)


def _bad_request(_request: Request, error: Exception) -> Response:
    return _error(400, str(error))


def _unavailable(_request: Request, _exc: Exception) -> Response:
    return _error(503, "the ledger is not available now")


def _bug(_request: Request, _exc: Exception) -> Response:
    return _error(500, "internal error")
