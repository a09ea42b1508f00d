"""Who is let in: everybody with one token, or each box with the credential it was enrolled with."""

import hmac
import re

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from instrument_agent.receiver.enrolment import Enrolment

VOUCHED = "instrument_agent.vouched"
"""Stands in the scope of a request that came through a broker, which has seen to who speaks; no header can set it."""
_OF_A_BOX = re.compile(r"/v1/boxes/([^/]*)/(?:records|heartbeat|watermark|key)/?")


class RequireToken:
    """Turn away every request that does not bear the token, before anything of its body is read."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode("utf-8")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        # Comparing takes as long for a near miss as for a far one.
        if scope["type"] == "http" and not hmac.compare_digest(borne(Headers(scope=scope)) or b"", self._token):
            await unauthorized()(scope, receive, send)
            return
        await self._app(scope, receive, send)


class RequireCredential:
    """Turn away whoever speaks for a box without its credential, before anything of the body is read."""

    def __init__(self, app: ASGIApp, enrolment: Enrolment) -> None:
        self._app = app
        self._enrolment = enrolment

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        asked = _OF_A_BOX.fullmatch(scope["path"]) if scope["type"] == "http" else None
        if asked is not None:
            if scope.get(VOUCHED):
                good = await run_in_threadpool(self._enrolment.admits, asked[1])
            else:
                token = borne(Headers(scope=scope))
                good = token is not None and await run_in_threadpool(self._enrolment.bears, asked[1], token)
            if not good:
                await unauthorized()(scope, receive, send)
                return
        await self._app(scope, receive, send)


def borne(headers: Headers) -> bytes | None:
    """Return the bearer token of a request, None without one."""
    scheme, _space, credential = headers.get("authorization", "").partition(" ")
    # Header bytes reach us decoded as latin-1.
    return credential.encode("latin-1") if scheme.lower() == "bearer" and credential else None


def unauthorized() -> JSONResponse:
    """Return the refusal of a request without a credential that fits."""
    return JSONResponse({"error": "unauthorized"}, 401, headers={"WWW-Authenticate": "Bearer"})
