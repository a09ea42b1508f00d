"""The page for people: which boxes are there, what their instruments do and did. It shows, and changes nothing."""

import base64
import binascii
import hmac
from collections.abc import Callable
from zoneinfo import ZoneInfo

from sqlalchemy.exc import OperationalError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from instrument_agent.receiver.contract import is_box_id
from instrument_agent.receiver.ledger import Ledger
from instrument_agent.receiver.look import look, look_at, lost
from instrument_agent.receiver.markup import Frame, box_page, list_page, trouble_page
from instrument_agent.receiver.tongue import Speak, speaking_to
from instrument_agent.receiver.views import box_ids, hours_of

HOURS = (24, 7 * 24, 31 * 24)
"""Which timelines there are."""
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept-Language",
    "X-Content-Type-Options": "nosniff",
}


class Page:
    """The page over a ledger and a clock; without a password it is shown to this machine only.

    A request that came through a proxy is not from this machine, wherever the proxy runs.
    """

    def __init__(
        self, ledger: Ledger, now_ns: Callable[[], int], password: str | None = None, zone: str = "Asia/Shanghai"
    ) -> None:
        self._ledger = ledger
        self._now_ns = now_ns
        self._password = password
        self._zone = ZoneInfo(zone)

    def routes(self) -> list[Route]:
        """Return where it is found."""
        return [
            Route("/", self._list, methods=["GET"]),
            Route("/boxes/{box_id}", self._box, methods=["GET"]),
        ]

    async def _list(self, request: Request) -> Response:
        refusal = self._refused(request)
        return refusal if refusal is not None else await run_in_threadpool(self._safely, self._show_list, request)

    async def _box(self, request: Request) -> Response:
        refusal = self._refused(request)
        return refusal if refusal is not None else await run_in_threadpool(self._safely, self._show_box, request)

    def _show_list(self, request: Request) -> Response:
        frame, number = self._frame(request), _number(request.query_params.get("page"), 1)
        boxes, pages = look(self._ledger, frame.now_ns, frame.hours, number)
        offline = lost(self._ledger, frame.now_ns)
        return _html(list_page(_speak(request), boxes, offline, frame, (number, pages)), request)

    def _show_box(self, request: Request) -> Response:
        box_id: str = request.path_params["box_id"]
        _ = _speak(request)
        if not is_box_id(box_id) or box_id not in box_ids(self._ledger):
            return _html(trouble_page(_, _("There is no such box.")), request, 404)
        frame = self._frame(request)
        shown = look_at(self._ledger, box_id, frame.now_ns, frame.hours)
        return _html(box_page(_, shown, hours_of(self._ledger, box_id), frame), request)

    def _frame(self, request: Request) -> Frame:
        asked = _number(request.query_params.get("hours"), HOURS[0])
        return Frame(self._now_ns(), asked if asked in HOURS else HOURS[0], self._zone)

    def _safely(self, show: Callable[[Request], Response], request: Request) -> Response:
        try:
            return show(request)
        except OperationalError:
            _ = _speak(request)
            return _html(trouble_page(_, _("The database does not answer now. This page tries again.")), request, 503)

    def _refused(self, request: Request) -> Response | None:
        """Return why this reader sees nothing, None if it may look."""
        if self._password is not None:
            if _gives(request, self._password):
                return None
            return PlainTextResponse("401", 401, {"WWW-Authenticate": 'Basic realm="platform", charset="UTF-8"'})
        here = request.client is not None and request.client.host in {"127.0.0.1", "::1"}
        if here and not {"forwarded", "x-forwarded-for"} & set(request.headers):
            return None
        return PlainTextResponse("This page needs --page-password-file to be seen from other machines.", 403)


def _gives(request: Request, password: str) -> bool:
    scheme, _space, given = request.headers.get("authorization", "").partition(" ")
    try:
        _name, _colon, said = base64.b64decode(given, validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return False
    return scheme.lower() == "basic" and hmac.compare_digest(said, password.encode())


def _html(text: str, request: Request, status: int = 200) -> Response:
    return HTMLResponse(text, status, {**_HEADERS, "Content-Language": _speak(request).code})


def _speak(request: Request) -> Speak:
    return speaking_to(request.headers.get("accept-language", ""))


def _number(text: str | None, otherwise: int) -> int:
    return max(1, int(text[:6])) if text is not None and text.isascii() and text.isdigit() else otherwise
