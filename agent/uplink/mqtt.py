"""Contract v1 through an MQTT broker: the same bodies as over HTTPS, and the platform's own reply to each.

The broker's acknowledgement (PUBACK) means that the broker has a message, not that the platform has stored it, so it
frees nothing here. A request goes to ``.../up/WHAT/SESSION/NUMBER``; what the platform answers comes back on
``.../down/SESSION/NUMBER`` with the status HTTP would have had. One request is on its way at a time, and what got no
answer is given up and sent anew when the retry policy says so: no queue of the library's grows, and none at the broker.
"""

import gzip
import json
import queue
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from instrument_agent.clock import boottime_ns
from instrument_agent.core.errors import PayloadTooLarge, PlatformUnavailable, ReplyTooLong
from instrument_agent.core.readings import NS_PER_S
from instrument_agent.i18n import _
from instrument_agent.uplink.answers import LARGEST_REPLY, OK, Reply, decoded, judge, one_line, replied
from instrument_agent.uplink.broker import Link, Message, broken_off, broker_at, login

DEADLINE_S = 30.0
"""What a platform gets for its reply, from the moment the request is given to the broker's connection."""
LARGEST_REQUEST = 512_000
"""Brokers drop the connection over a message they find too large, without a word that could be understood."""
LINGER_S = 90.0
"""How long the connection for records stays after the last one: a box at rest holds one connection, not two."""
BIRTH = b'{"status":"online"}'
WILL = b'{"reason":"lost","status":"offline"}'
FAREWELL = b'{"reason":"stopped","status":"offline"}'


class MqttTransport:
    """One destination, spoken to by one thread; a transport whose first request is a heartbeat is the live one.

    The live one stays connected, under a client id that is always the same, with birth and last will on the box's
    retained status topic. Any other comes and goes under an id of its own.
    """

    def __init__(
        self,
        url: str,
        box_id: str,
        credential_file: Path | None,
        ca_file: Path | None,
        client_cert: tuple[Path, Path | None] | None = None,
    ) -> None:
        self.now_ns: Callable[[], int] = boottime_ns
        self._broker = broker_at(url, ca_file, client_cert)
        self._box_id = box_id
        self._credential_file = credential_file
        self._base = f"{self._broker.prefix}v1/boxes/{box_id}"
        self._status = f"{self._base}/status"
        self._lock = threading.Lock()
        self._link: Link | None = None
        self._live = False
        self._session = ""
        self._number = 0
        self._awaited = ""
        self._answers: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
        self._rest: threading.Timer | None = None

    def records(self, envelope: Mapping[str, Any]) -> Reply:
        """Send a batch of records; raises as the other transport does."""
        return self._exchange("records", envelope)

    def heartbeat(self, body: Mapping[str, Any]) -> Reply:
        """Send live state."""
        return self._exchange("heartbeat", body)

    def watermark(self) -> Reply:
        """Ask what the platform has."""
        return self._exchange("watermark", None)

    def enrol(self, body: Mapping[str, Any]) -> Reply:
        """Show a one-time code and a public key."""
        return self._exchange("enrol", body)

    def key(self, body: Mapping[str, Any]) -> Reply:
        """Show a new public key, signed with the old one."""
        return self._exchange("key", body)

    def close(self) -> None:
        """Take leave of the broker."""
        with self._lock:
            self._drop()

    def _exchange(self, what: str, body: Mapping[str, Any] | None) -> Reply:
        text = b"" if body is None else json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        data = gzip.compress(text, 6) if text else b""
        if len(data) > LARGEST_REQUEST:
            raise PayloadTooLarge(_("{count} bytes are too many for one message").format(count=len(data)))
        with self._lock:
            self._stay()
            try:
                link = self._opened(live=what == "heartbeat")
                started_ns = self.now_ns()
                answer = self._asked(link, what, data)
                round_trip_s = (self.now_ns() - started_ns) / NS_PER_S
            finally:
                self._rest_later()
        return _judged(answer, round_trip_s)

    def _opened(self, *, live: bool) -> Link:
        if self._link is not None and self._link.alive:
            return self._link
        self._drop()
        self._session, self._number, self._answers = secrets.token_hex(4), 0, queue.SimpleQueue()
        credential = login(self._credential_file, self._box_id)
        own = "live" if live else self._session
        will = Message(self._status, WILL) if live else None
        answers = self._answers
        link = Link(self._broker, f"{self._box_id}-{own}", credential, self._take, lambda: answers.put(("", b"")))
        self._live = live
        self._link = link  # known before it is open: a message may come at once
        link.open([f"{self._base}/down/{self._session}/+", *([self._status] if live else [])], will)
        if live:
            link.publish(Message(self._status, BIRTH), retain=True)
        return link

    def _asked(self, link: Link, what: str, data: bytes) -> bytes:
        """Send a request and wait for its answer, and for no other."""
        self._number += 1
        place = f"{self._session}/{self._number}"
        self._awaited = f"{self._base}/down/{place}"
        until_s = time.monotonic() + DEADLINE_S
        told = link.publish(Message(f"{self._base}/up/{what}/{place}", data))
        topic, answer = "", b""
        try:
            while topic != self._awaited:
                topic, answer = self._answers.get(timeout=max(0.0, until_s - time.monotonic()))
                if topic == "":
                    raise broken_off()
        except queue.Empty:
            if not told.is_published():
                link.close()  # what is on its way must not be told later
                raise PlatformUnavailable(
                    _("no answer from the broker: {error}").format(error=_("it takes too long"))
                ) from None
            raise PlatformUnavailable(
                _("the broker took it, but the platform does not answer"),
                _("tell the platform's operator; also if the broker does not let this box publish"),
            ) from None
        finally:
            self._awaited = ""
        return answer

    def _take(self, topic: str, payload: bytes) -> None:
        """Take what the broker tells, on its thread."""
        link = self._link
        if topic == self._status:
            # The last will of a connection before this one can be told after our birth, by another node of a cluster.
            if payload == WILL and link is not None and link.alive:
                with suppress(PlatformUnavailable):
                    link.publish(Message(self._status, BIRTH), retain=True)
        elif topic == self._awaited:
            self._answers.put((topic, payload))

    def _rest_later(self) -> None:
        """Let a connection that is not the live one end when nothing went over it for a while."""
        if not self._live:
            self._rest = threading.Timer(LINGER_S, self.close)
            self._rest.daemon = True
            self._rest.start()

    def _stay(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None

    def _drop(self) -> None:
        self._stay()
        link, self._link = self._link, None
        if link is not None:
            link.close(Message(self._status, FAREWELL) if self._live else None)


def _judged(answer: bytes, round_trip_s: float) -> Reply:
    if len(answer) > LARGEST_REPLY:
        raise ReplyTooLong(_("the platform's reply is longer than {count} bytes").format(count=LARGEST_REPLY))
    whole = decoded(answer)
    body = None if whole is None else whole.get("body")
    if whole is None or not isinstance(body, dict):
        raise PlatformUnavailable(
            _("the answer is not the platform's: {text}").format(text=one_line(answer.decode("utf-8", "replace"))),
            _("the platform does not keep to contract v1"),
        )
    status, retry_after_s = whole.get("status"), whole.get("retry_after_s")
    asked_s = float(retry_after_s) if type(retry_after_s) is int and retry_after_s >= 0 else None
    if status != OK or type(status) is not int:
        judge(status if type(status) is int else None, one_line(json.dumps(body, ensure_ascii=False)), asked_s)
    return replied(body, round_trip_s)
