"""What every transport of contract v1 has in common: what it can do, a reply, and an error for every other answer."""

import json
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from instrument_agent.core.errors import (
    PayloadTooLarge,
    PlatformRejected,
    PlatformUnauthorized,
    PlatformUnavailable,
)
from instrument_agent.i18n import _, why

LARGEST_REPLY = 1_000_000
SHOWN = 200
"""How many characters of a reply that is none are shown."""
OK = 200


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply and how long it took: ``server_utc_ns`` is None if the platform did not say what time it is."""

    body: Mapping[str, Any]
    round_trip_s: float
    server_utc_ns: int | None


class Transport(Protocol):
    """The way to one destination, used by one thread.

    Each exchange raises PlatformUnavailable (keep what was sent and try again), PlatformRejected (something in it is
    refused), PayloadTooLarge (send less at a time) or PlatformUnauthorized (the credential is refused). ``now_ns`` is
    the boot clock, which tells how long an exchange took.
    """

    now_ns: Callable[[], int]

    def records(self, envelope: Mapping[str, Any]) -> Reply:
        """Send a batch of records."""

    def heartbeat(self, body: Mapping[str, Any]) -> Reply:
        """Send live state."""

    def watermark(self) -> Reply:
        """Ask what the platform has."""

    def enrol(self, body: Mapping[str, Any]) -> Reply:
        """Show a one-time code and a public key."""

    def key(self, body: Mapping[str, Any]) -> Reply:
        """Show a new public key, signed with the old one."""

    def close(self) -> None:
        """Drop the connections."""


def judge(status: object, shown: str, retry_after_s: float | None) -> None:
    """Raise what a status (as of HTTP) other than 200 means for the sender; ``shown`` is the beginning of the reply."""
    if status == OK:
        return
    message = _("the platform answered {status}: {text}").format(status=status, text=shown)
    if status in (401, 403):
        hint = _("check the credential file, or enrol the box again")
        raise PlatformUnauthorized(message, hint, retry_after_s)
    if status == 413:  # noqa: PLR2004  # HTTP status codes are clearer as numbers
        raise PayloadTooLarge(message)
    if status in (400, 422):
        raise PlatformRejected(message)
    raise PlatformUnavailable(message, _("check the platform's address"), retry_after_s)


def network_reason(error: OSError) -> str:
    """Return in a few words why there was no connection, or none any more."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _("its certificate is not accepted: {reason}").format(reason=error.verify_message)
    if isinstance(error, ssl.SSLError):
        return _("no TLS connection: {reason}").format(reason=error.reason or type(error).__name__)
    for kind, sentence in (
        (socket.gaierror, _("its name is not known here (DNS)")),
        (ConnectionRefusedError, _("connection refused")),
        (TimeoutError, _("it takes too long")),
        (ConnectionError, _("the connection broke off")),
    ):
        if isinstance(error, kind):
            return sentence
    return why(error)


def network_hint(error: BaseException) -> str:
    """Return what to look at when there was no connection."""
    if isinstance(error, ssl.SSLError):
        return _("compare ca_file with the platform's certificate, and look at the date of the box: timedatectl")
    return _("look at the network cable, the address in the config file and the firewall")


def one_line(text: str) -> str:
    """Return the beginning of a reply as one line that can be shown."""
    return "".join(character if character.isprintable() else " " for character in text[:SHOWN])


def decoded(text: bytes) -> dict[str, Any] | None:
    """Return the JSON object a reply is; None if it is none."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def replied(body: Mapping[str, Any], round_trip_s: float) -> Reply:
    """Return a reply with the time it tells."""
    return Reply(body, round_trip_s, _utc_ns(body.get("server_time")))


def _utc_ns(text: object) -> int | None:
    """Return an RFC 3339 time with zone as nanoseconds since 1970."""
    try:
        moment = datetime.fromisoformat(str(text))
        return None if moment.tzinfo is None else round(moment.timestamp() * 1_000) * 1_000_000
    except (ValueError, OverflowError):
        return None
