"""Speaks contract v1 to somebody's platform as a box would, to see what it answers."""

import gzip
import http.client
import json
import ssl
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from instrument_agent.core.canonical import NO_HASH, record_hash
from instrument_agent.i18n import _
from instrument_agent.keys import head_statement, new_private_key, public_key_of, sign

OK = 200
TIMEOUT_S = 30.0
LARGEST_REPLY = 1_000_000
Item = dict[str, Any]


class NoAnswer(Exception):
    """The platform did not answer, or not in HTTP."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply: ``body`` is what its JSON says, None if it is none; ``size`` is in bytes."""

    status: int
    body: Any
    size: int

    @property
    def acked(self) -> int | None:
        """``acked_through``, None if there is none."""
        found = self.body.get("acked_through") if isinstance(self.body, dict) else None
        return found if type(found) is int else None

    @property
    def rejected(self) -> dict[int, str]:
        """Seq → reason of what was rejected."""
        listed = self.body.get("rejected") if isinstance(self.body, dict) else None
        items = [item for item in listed or [] if isinstance(item, dict)] if isinstance(listed, list) else []
        return {item["seq"]: str(item.get("reason", "")) for item in items if type(item.get("seq")) is int}

    @property
    def marks(self) -> dict[str, int]:
        """Epoch → ``acked_through`` of a watermark."""
        listed = self.body.get("epochs") if isinstance(self.body, dict) else None
        items = [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
        return {str(item.get("epoch")): item.get("acked_through", -1) for item in items}


class Trial:
    """A box that tries out the platform at ``url``; every chain it makes lies in an epoch of its own."""

    def __init__(self, url: str, box_id: str, token: str | None, ca_file: Path | None = None) -> None:
        parts = urlsplit(url)
        self.host = parts.hostname or ""
        self.secure = parts.scheme == "https"
        self.box_id = box_id
        self.token = token
        self.code = self.private_key = self.platform_key = ""
        self.enrolled_again: list[tuple[str, Answer]] = []
        self.boot_id = str(uuid.uuid4())
        self._port = parts.port
        self._path = parts.path.rstrip("/")
        self._tls = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))

    def enrol(self, code: str) -> Answer:
        """Enrol the box with a one-time code; from then on it bears its credential and signs what it sends.

        ``enrolled_again`` keeps what is answered to the same code again while the credential was never borne.
        """
        private_key = new_private_key()
        answer = self._show_code(code, private_key)
        if self.private_key:
            self.code = code
            retyped = code.replace("-", " ").lower()
            others = ("again", code, private_key), ("retyped", retyped, private_key), ("other", code, new_private_key())
            self.enrolled_again = [(how, self._show_code(text, key)) for how, text, key in others]
        return answer

    def _show_code(self, code: str, private_key: str) -> Answer:
        answer = self.ask("POST", "enrol", {"code": code, "public_key": public_key_of(private_key)})
        if answer.status == OK and isinstance(answer.body, dict):
            self.private_key = private_key
            self.token = str(answer.body.get("credential", ""))
            self.platform_key = str(answer.body.get("platform_key", ""))
        return answer

    def chain(self, count: int, epoch: str, **changes: Any) -> list[Item]:
        """Return ``count`` chained records of an epoch from seq 1; ``changes`` go into each before it is hashed."""
        items: list[Item] = []
        for _seq in range(count):
            self.lengthen(items, epoch, **changes)
        return items

    def lengthen(self, items: list[Item], epoch: str, **changes: Any) -> None:
        """Add the next record to a chain."""
        seq = len(items) + 1
        record = {
            "box_id": self.box_id,
            "epoch": epoch,
            "seq": seq,
            "type": "fault",
            "boot_id": self.boot_id,
            "at_ms": seq * 1000,
            "prev_hash": items[-1]["hash"] if items else NO_HASH,
            "data": {"kind": "platform_check"},
            **changes,
        }
        items.append({"hash": record_hash(record), "record": record})

    def envelope(self, items: Sequence[Item], **changes: Any) -> dict[str, Any]:
        """Return the body that carries items of one epoch."""
        last = items[-1]
        where = {"epoch": last["record"]["epoch"], "boot_id": self.boot_id, "boottime_ms": 60_000}
        body = {**where, "records": list(items), "head_hash": last["hash"], **changes}
        if self.private_key and "signature" not in changes:
            signed = head_statement(self.box_id, body["epoch"], last["record"]["seq"], body["head_hash"])
            body["signature"] = sign(self.private_key, signed)
        return body

    def send(self, items: Sequence[Item], **changes: Any) -> Answer:
        """Send records."""
        return self.ask("POST", "records", self.envelope(items, **changes))

    def pulse(self, **changes: Any) -> dict[str, Any]:
        """Return the body of a heartbeat."""
        live = [{"instrument_id": "platform-check", "activity": "unknown", "since_ms": 0}]
        body = {"box_id": self.box_id, "epoch": str(uuid.uuid4()), "boot_id": self.boot_id, "boottime_ms": 60_000}
        return {**body, "agent_version": "platform-check", "instruments": live, "queue": {}, **changes}

    def watermark(self) -> Answer:
        """Ask what the platform has of this box."""
        return self.ask("GET", "watermark", None)

    def ask(
        self, method: str, what: str, body: Mapping[str, Any] | None, token: str | None = None, *, zipped: bool = False
    ) -> Answer:
        """Exchange one request for a reply; ``token`` stands in for the trial's own, "" for none.

        Raises:
            NoAnswer: there was no reply within 30 s, or none in HTTP.
        """
        headers = {"Accept": "application/json"}
        bears = self.token if token is None else token
        if bears:
            headers["Authorization"] = f"Bearer {bears}"
        data = None if body is None else json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        if data is not None:
            headers["Content-Type"] = "application/json"
        if data is not None and zipped:
            headers["Content-Encoding"] = "gzip"
            data = gzip.compress(data, 6)
        return self._exchange(method, f"{self._path}/v1/boxes/{quote(self.box_id, safe='')}/{what}", data, headers)

    def _exchange(self, method: str, path: str, data: bytes | None, headers: Mapping[str, str]) -> Answer:
        if self.secure:
            line: http.client.HTTPConnection = http.client.HTTPSConnection(
                self.host, self._port, timeout=TIMEOUT_S, context=self._tls
            )
        else:
            line = http.client.HTTPConnection(self.host, self._port, timeout=TIMEOUT_S)
        started_s = time.monotonic()
        try:
            line.request(method, path, data, dict(headers))
            reply = line.getresponse()
            text = reply.read(LARGEST_REPLY + 1)
        except (OSError, http.client.HTTPException) as error:
            waited_s = time.monotonic() - started_s
            raise NoAnswer(
                _("no answer after {seconds:.1f} s: {error}").format(seconds=waited_s, error=error or type(error))
            ) from error
        finally:
            line.close()
        return Answer(reply.status, _json(text), len(text))


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
