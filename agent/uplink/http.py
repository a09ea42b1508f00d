"""Contract v1 over HTTPS: JSON in, JSON out, and an error class for every way a reply can be no answer."""

import gzip
import json
import re
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import requests
from requests.auth import AuthBase

from instrument_agent.clock import boottime_ns
from instrument_agent.core.errors import PlatformUnauthorized, PlatformUnavailable, ReplyTooLong
from instrument_agent.core.readings import NS_PER_S
from instrument_agent.i18n import _
from instrument_agent.rights import UnsafeFile, read_ordinary
from instrument_agent.uplink.answers import (
    LARGEST_REPLY,
    OK,
    Reply,
    decoded,
    judge,
    network_hint,
    network_reason,
    one_line,
    replied,
)
from instrument_agent.uplink.deadline import DEADLINE_S, DeadlineAdapter
from instrument_agent.uplink.enrolled import KeyFile

CONNECT_S = 10.0


class _Bearer(AuthBase):
    """Puts the credential on each request; read anew each time, so that a renewed file is used at once.

    What enrolment gave comes before the file of the config. Being an explicit auth it also keeps requests from taking
    one out of ~/.netrc.
    """

    def __init__(self, path: Path | None, keys: KeyFile | None) -> None:
        self._path = path
        self._keys = keys

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        enrolled = None if self._keys is None else self._keys.read()
        if enrolled is not None:
            request.headers["Authorization"] = f"Bearer {enrolled.credential}"
        elif self._path is not None:
            try:
                token = read_ordinary(self._path).strip()
            except UnsafeFile as error:
                raise PlatformUnauthorized(str(error), error.hint) from error
            except (OSError, UnicodeDecodeError) as error:
                raise PlatformUnauthorized(
                    _("the credential file {path} cannot be read").format(path=self._path),
                    _("put the credential there, readable only by the agent's user"),
                ) from error
            if not re.fullmatch("[!-~]+", token):
                raise PlatformUnauthorized(
                    _("the credential file {path} does not hold one word of ASCII").format(path=self._path),
                    _("put the credential there as the platform gave it, and nothing else"),
                )
            request.headers["Authorization"] = f"Bearer {token}"
        return request


class _Nobody(AuthBase):
    """Puts no credential on a request; also none out of ~/.netrc."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class HttpTransport:
    """One destination, spoken to by one thread; ``keys`` is what enrolment gave, ``client_cert`` a PEM file and key.

    ``now_ns`` is the boot clock anchors are placed by: round trips are told by the same one.
    """

    def __init__(
        self,
        url: str,
        box_id: str,
        credential_file: Path | None,
        ca_file: Path | None,
        keys: KeyFile | None = None,
        client_cert: tuple[Path, Path | None] | None = None,
    ) -> None:
        self.now_ns: Callable[[], int] = boottime_ns
        self._base = f"{url.rstrip('/')}/v1/boxes/{quote(box_id, safe='')}"
        self._session = requests.Session()
        # Plain http goes to this machine only: a proxy named in the environment would carry the credential elsewhere.
        self._session.trust_env = urlsplit(url).scheme == "https"
        self._session.auth = _Bearer(credential_file, keys)
        if client_cert is not None:
            certificate, key = client_cert
            self._session.cert = str(certificate) if key is None else (str(certificate), str(key))
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, DeadlineAdapter())
        self._verify: bool | str = True if ca_file is None else str(ca_file)

    def records(self, envelope: Mapping[str, Any]) -> Reply:
        """Send a batch of records.

        Raises:
            PlatformUnavailable: keep them and try again.
            PlatformRejected: one of them is refused.
            PayloadTooLarge: send fewer at a time.
            PlatformUnauthorized: the credential is refused.
        """
        return self._exchange("POST", "records", envelope)

    def heartbeat(self, body: Mapping[str, Any]) -> Reply:
        """Send live state; raises as ``records`` does."""
        return self._exchange("POST", "heartbeat", body)

    def watermark(self) -> Reply:
        """Ask what the platform has; raises as ``records`` does."""
        return self._exchange("GET", "watermark", None)

    def enrol(self, body: Mapping[str, Any]) -> Reply:
        """Show a one-time code and a public key, and no credential: it may be missing; raises as ``records`` does."""
        return self._exchange("POST", "enrol", body, _Nobody())

    def key(self, body: Mapping[str, Any]) -> Reply:
        """Show a new public key, signed with the old one; raises as ``records`` does."""
        return self._exchange("POST", "key", body)

    def close(self) -> None:
        """Drop the connections."""
        self._session.close()

    def _exchange(
        self, method: str, what: str, body: Mapping[str, Any] | None, speaker: AuthBase | None = None
    ) -> Reply:
        # A compressed reply could grow a thousandfold before its size is seen, so none is asked for and none is read.
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        data = None
        if body is not None:
            data = gzip.compress(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(), 6)
            headers |= {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        started_ns = self.now_ns()
        try:
            with self._session.request(
                method,
                f"{self._base}/{what}",
                data=data,
                headers=headers,
                auth=speaker,
                timeout=(CONNECT_S, DEADLINE_S),
                allow_redirects=False,
                stream=True,
                verify=self._verify,
            ) as response:
                text = _read(response)
                round_trip_s = (self.now_ns() - started_ns) / NS_PER_S
        except (requests.RequestException, OSError) as error:
            raise PlatformUnavailable(
                _("no answer from the platform: {error}").format(error=_cause(error)), network_hint(_innermost(error))
            ) from error
        _judge(response, text)
        return _reply(response, text, round_trip_s)


def _innermost(error: BaseException) -> BaseException:
    """Take off the wrappings that requests and urllib3 put around an error."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error


def _cause(error: BaseException) -> str:
    """Return the innermost reason in a few words."""
    error = _innermost(error)
    if isinstance(error, OSError) and not isinstance(error, requests.RequestException):
        return network_reason(error)
    return _("the reply is broken off or is not HTTP")


def _read(response: requests.Response) -> bytes:
    """Read a body of limited size, which requests alone does not bound."""
    if response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
        raise PlatformUnavailable(
            _("the platform's reply is compressed, which was not asked for"),
            _("the platform, or a proxy before it, does not keep to Accept-Encoding"),
        )
    text = b""
    for piece in response.iter_content(16_384):
        text += piece
        if len(text) > LARGEST_REPLY:
            raise ReplyTooLong(_("the platform's reply is longer than {count} bytes").format(count=LARGEST_REPLY))
    return text


def _judge(response: requests.Response, text: bytes) -> None:
    if response.status_code != OK:
        judge(response.status_code, _shown(response, text), _retry_after_s(response))


def _shown(response: requests.Response, text: bytes) -> str:
    """Return the beginning of a body as one line without the credential, which some servers send back."""
    said = text.decode("utf-8", "replace")
    token = str(response.request.headers.get("Authorization", "")).removeprefix("Bearer ")
    if token:
        said = said.replace(token, "***")
    return one_line(said)


def _retry_after_s(response: requests.Response) -> float | None:
    """Return Retry-After in seconds, given as seconds or as a date (RFC 9110, 10.2.3)."""
    header = response.headers.get("Retry-After", "").strip()
    if header.isascii() and header.isdigit():
        return float(header[:9])
    try:
        # Both times are the platform's: the box's own wall clock is not trusted.
        wanted = parsedate_to_datetime(header)
        return max(0.0, (wanted - parsedate_to_datetime(response.headers.get("Date", ""))).total_seconds())
    except (TypeError, ValueError, OverflowError):  # an OverflowError: a year or a zone of twenty digits
        return None


def _reply(response: requests.Response, text: bytes, round_trip_s: float) -> Reply:
    body = decoded(text)
    if body is None:
        raise PlatformUnavailable(
            _("the answer is not the platform's: {text}").format(text=_shown(response, text)),
            _("a login page of the network may stand in between"),
        )
    return replied(body, round_trip_s)
