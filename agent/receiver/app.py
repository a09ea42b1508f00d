"""Uplink contract v1 over HTTP: records, heartbeat, watermark, enrolment, keys, the contract itself, health."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from instrument_agent.receiver.access import RequireCredential, RequireToken
from instrument_agent.receiver.body import read_json
from instrument_agent.receiver.contract import (
    ContractViolation,
    check_enrolment,
    check_heartbeat,
    check_new_key,
    check_records_request,
    is_box_id,
)
from instrument_agent.receiver.enrolment import CodeRefused, Enrolment
from instrument_agent.receiver.gate import Gate
from instrument_agent.receiver.ledger import Ledger
from instrument_agent.receiver.openapi import document
from instrument_agent.receiver.page import Page
from instrument_agent.receiver.signatures import NotSigned

WRITERS = 16
"""How many batches are stored or waiting for the database at a time; heartbeats never wait behind them."""
BEATS = 16


def create_app(
    ledger: Ledger,
    now_ns: Callable[[], int],
    token: str | None = None,
    next_heartbeat_s: int | None = None,
    enrolment: Enrolment | None = None,
    page: Page | None = None,
) -> Starlette:
    """Return the platform as an ASGI application.

    Args:
        ledger: where facts go; it stays the caller's to close.
        now_ns: UTC, nanoseconds since 1970.
        token: what every request must bear; None and no ``enrolment`` lets everybody in.
        next_heartbeat_s: how many seconds boxes shall wait between heartbeats; None leaves it to them.
        enrolment: lets boxes enrol, and then each of them in with its own credential only.
        page: what people see at ``/``; None shows nothing.

    Raises:
        ValueError: the token is empty, which would let everybody in by mistake.
    """
    if token == "":
        raise ValueError("the token is empty")
    platform = _Platform(ledger, now_ns, next_heartbeat_s, enrolment)
    middleware = [] if token is None else [Middleware(RequireToken, token=token)]
    middleware += [] if enrolment is None else [Middleware(RequireCredential, enrolment=enrolment)]
    return Starlette(
        routes=platform.routes() + ([] if page is None else page.routes()),
        middleware=middleware,
        exception_handlers=_ANSWERS,
    )


class _Platform:
    """The endpoints, over one ledger and one clock."""

    def __init__(
        self, ledger: Ledger, now_ns: Callable[[], int], next_heartbeat_s: int | None, enrolment: Enrolment | None
    ) -> None:
        self._ledger = ledger
        self._now_ns = now_ns
        self._next_heartbeat_s = next_heartbeat_s
        self._enrolment = enrolment
        self._writers = Gate(WRITERS)
        self._beats = Gate(BEATS)

    def routes(self) -> list[Route]:
        """Return the addresses of the contract."""
        return [
            Route("/v1/boxes/{box_id}/records", self.records, methods=["POST"]),
            Route("/v1/boxes/{box_id}/heartbeat", self.heartbeat, methods=["POST"]),
            Route("/v1/boxes/{box_id}/watermark", self.watermark, methods=["GET"]),
            Route("/v1/boxes/{box_id}/enrol", self.enrol, methods=["POST"]),
            Route("/v1/boxes/{box_id}/key", self.key, methods=["POST"]),
            Route("/v1/openapi.json", _openapi, methods=["GET"]),
            Route("/healthz", _healthz, methods=["GET"]),
        ]

    async def records(self, request: Request) -> Response:
        """Store a batch; reply once it is committed."""
        box_id, body = _box_id(request), await read_json(request)
        with self._writers.passing():
            return await run_in_threadpool(self._store, box_id, body)

    async def heartbeat(self, request: Request) -> Response:
        """Keep the live state of a box."""
        box_id, body = _box_id(request), await read_json(request)
        with self._beats.passing():
            return await run_in_threadpool(self._note_heartbeat, box_id, body)

    async def enrol(self, request: Request) -> Response:
        """Give a box its credential for a one-time code."""
        box_id, body = _box_id(request), await read_json(request)
        with self._beats.passing():
            return await run_in_threadpool(self._enrol, box_id, body)

    async def key(self, request: Request) -> Response:
        """Take a new key of an enrolled box."""
        box_id, body = _box_id(request), await read_json(request)
        with self._beats.passing():
            return await run_in_threadpool(self._take_key, box_id, body)

    def watermark(self, request: Request) -> Response:
        """Say how far each epoch of a box is settled."""
        marks = self._ledger.watermarks(_box_id(request))
        listed = [{"epoch": epoch, "acked_through": seq} for epoch, seq in marks.items()]
        return JSONResponse({"epochs": listed, "server_time": _utc_text(self._now_ns())})

    def _store(self, box_id: str, body: Any) -> Response:
        check_records_request(body)
        if self._enrolment is not None:
            self._enrolment.check_head(box_id, body)
        result = self._ledger.store(box_id, body["epoch"], body["records"])
        reply = {
            "epoch": body["epoch"],
            "acked_through": result.acked_through,
            "rejected": [{"seq": refusal.seq, "reason": refusal.reason} for refusal in result.rejected],
        }
        orders = self._orders()
        receipt = self._receipt(box_id, body["epoch"], result.acked_through, orders["server_time"])
        return JSONResponse({**reply, **orders, **receipt})

    def _receipt(self, box_id: str, epoch: str, acked_through: int, time: str) -> dict[str, Any]:
        """Return what an enrolled box keeps as a proof that the platform has its records."""
        if self._enrolment is None:
            return {}
        head = self._ledger.hash_at(box_id, epoch, acked_through)
        said = {"box_id": box_id, "epoch": epoch, "acked_through": acked_through, "time": time}
        return {"receipt": self._enrolment.signed(said if head is None else {**said, "head_hash": head})}

    def _enrol(self, box_id: str, body: Any) -> Response:
        check_enrolment(body)
        if self._enrolment is None:
            raise HTTPException(404, "boxes are not enrolled here")
        credential = self._enrolment.enrol(box_id, body["code"], body["public_key"], self._now_ns())
        given = {"credential": credential, "platform_key": self._enrolment.public_key}
        return JSONResponse({**given, "server_time": _utc_text(self._now_ns())})

    def _take_key(self, box_id: str, body: Any) -> Response:
        check_new_key(body)
        if self._enrolment is None:
            raise HTTPException(404, "boxes are not enrolled here")
        self._enrolment.take_key(box_id, body, self._now_ns())
        return JSONResponse({"server_time": _utc_text(self._now_ns())})

    def _note_heartbeat(self, box_id: str, body: Any) -> Response:
        check_heartbeat(box_id, body)
        self._ledger.heartbeat(box_id, body, self._now_ns())
        return JSONResponse(self._orders())

    def _orders(self) -> dict[str, Any]:
        # Read last: the box takes half the round trip as the error of this time.
        time = {"server_time": _utc_text(self._now_ns())}
        return time if self._next_heartbeat_s is None else {**time, "next_heartbeat_s": self._next_heartbeat_s}


def _healthz(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


def _openapi(_request: Request) -> Response:
    return JSONResponse(document())


def _box_id(request: Request) -> str:
    box_id: str = request.path_params["box_id"]
    if not is_box_id(box_id):
        raise ContractViolation("box_id: 1 to 64 letters, digits or . _ : - and first a letter or digit")
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


def _forbidden(_request: Request, error: Exception) -> Response:
    return _error(403, str(error))


def _unavailable(_request: Request, _exc: Exception) -> Response:
    return _error(503, "the ledger is not available now")


def _bug(_request: Request, _exc: Exception) -> Response:
    return _error(500, "internal error")


_ANSWERS: dict[Any, Callable[[Request, Exception], Response]] = {
    HTTPException: _http_error,
    ContractViolation: _bad_request,
    CodeRefused: _forbidden,
    NotSigned: _forbidden,
    ClientDisconnect: _bad_request,
    OperationalError: _unavailable,
    PoolTimeoutError: _unavailable,
    Exception: _bug,
}
