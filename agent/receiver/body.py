"""Read the JSON body of a request, plain or gzip, and never more of it than we are willing to hold."""

import json
import math
import zlib
from typing import Any, NoReturn

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request

from instrument_agent.receiver.contract import ContractViolation

MAX_BODY_BYTES = 16 * 1024 * 1024
_GZIP_ONLY = 16 + zlib.MAX_WBITS  # zlib's notation for "a gzip header, nothing else"


async def read_json(request: Request) -> Any:
    """Return what the body says.

    Raises:
        HTTPException: 413 for more than MAX_BODY_BYTES, as sent or decompressed; 415 for another content type or
            encoding.
        ContractViolation: broken gzip or JSON.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise HTTPException(415, "content type must be application/json")
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip"):
        raise HTTPException(415, "content encoding must be gzip or none")
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_BODY_BYTES:
            raise _too_large()
    return await run_in_threadpool(_parse, bytes(raw), compressed=encoding == "gzip")


def _parse(raw: bytes, *, compressed: bool) -> Any:
    text = _decompress(raw) if compressed else raw
    try:
        return json.loads(text.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError:
        raise ContractViolation("body: JSON nested too deeply") from None
    except ValueError as error:
        raise ContractViolation(f"body: not JSON: {error}") from error


def _decompress(raw: bytes) -> bytes:
    stream = zlib.decompressobj(wbits=_GZIP_ONLY)
    try:
        text = stream.decompress(raw, MAX_BODY_BYTES + 1)
    except zlib.error as error:
        raise ContractViolation(f"body: not gzip: {error}") from error
    if len(text) > MAX_BODY_BYTES:
        raise _too_large()
    if not stream.eof or stream.unused_data:
        raise ContractViolation("body: gzip cut short, or followed by something else")
    return text


def _too_large() -> HTTPException:
    return HTTPException(413, f"body: more than {MAX_BODY_BYTES} bytes")


def _refuse_constant(name: str) -> NoReturn:
    # Python reads NaN and Infinity, which are not JSON and which no other reader of our data would take.
    raise ValueError(f"{name} is not a number")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:20]} is out of range")
    return value
