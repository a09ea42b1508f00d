"""Takes what boxes send through an MQTT broker, and answers it: contract v1, with the broker in between.

Each message becomes the request it would have been over HTTPS and goes through the same application, so every demand
of the contract is kept by the same lines. Who speaks for a box is settled by the broker, which lets a box publish
under its own topics only. The session is clean: what waited at the broker would be an old copy of what comes again.
"""

import asyncio
import logging
import random
import secrets
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

from starlette.types import ASGIApp, Message, Scope

from instrument_agent.core.errors import AgentError, PlatformUnavailable
from instrument_agent.i18n import _
from instrument_agent.receiver.access import VOUCHED
from instrument_agent.receiver.gate import RETRY_AFTER_S
from instrument_agent.uplink import broker
from instrument_agent.uplink.broker import Link, broker_at, login

log = logging.getLogger(__name__)

AT_A_TIME = 256
"""How many requests are being answered at a time; the others are asked to come again."""
AGAIN_S = (0.5, 15.0)
"""The shortest and the longest pause before the broker is tried again."""
_START_S = 30.0
_GZIP = b"\x1f\x8b"
_METHODS = {"records": "POST", "heartbeat": "POST", "watermark": "GET", "enrol": "POST", "key": "POST"}
_BUSY = b'{"status":429,"retry_after_s":%d,"body":{"error":"too many at once"}}' % RETRY_AFTER_S
_BUG = b'{"status":500,"body":{"error":"internal error"}}'


class MqttConsumer:
    """A running consumer, as a context manager; ``app`` is a platform of its own, which nobody else calls."""

    def __init__(
        self, url: str, app: ASGIApp, credential_file: Path | None = None, ca_file: Path | None = None
    ) -> None:
        self._broker = broker_at(url, ca_file)
        self._app = app
        self._credential_file = credential_file
        self._topic = f"{self._broker.prefix}v1/boxes/+/up/#"
        self._stopping = threading.Event()
        self._begun = threading.Event()
        self._refusal: Exception | None = None
        self._change = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        """Begin, and wait until the broker was reached once.

        Raises:
            AgentError: it was not.
        """
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="platform mqtt", daemon=True)
        self._thread.start()
        if not self._begun.wait(_START_S):
            self._refusal = PlatformUnavailable(
                _("no answer from the broker: {error}").format(error=_("it takes too long"))
            )
            self._stopping.set()
            self._wake()
        if self._refusal is not None:
            self._thread.join()
            raise self._refusal
        return self

    def __exit__(self, *_exc_info: object) -> None:
        """Answer what is being answered, then take leave of the broker."""
        self._stopping.set()
        self._wake()
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._change.set)

    async def _serve(self) -> None:
        pause_s = AGAIN_S[0]
        while not self._stopping.is_set():
            self._change.clear()
            try:
                link = await asyncio.to_thread(self._opened)
            except Exception as error:  # a loop that ends behind a platform that looks alive is the worst failure
                if not self._begun.is_set():
                    self._refusal = error
                    self._begun.set()
                    return
                if pause_s == AGAIN_S[0]:
                    log.warning("the broker does not answer: %s", error, exc_info=not isinstance(error, AgentError))
                await _wait(self._change, random.uniform(0, pause_s))  # noqa: S311  # spreads load, guards nothing
                pause_s = min(pause_s * 2, AGAIN_S[1])
                continue
            log.info("connected to the broker %s", self._broker.host)
            pause_s = AGAIN_S[0]
            self._begun.set()
            while link.alive and not self._stopping.is_set():
                await self._change.wait()
                self._change.clear()
            if self._tasks:
                await asyncio.wait(set(self._tasks))
            await asyncio.to_thread(link.close)

    def _opened(self) -> Link:
        def take(topic: str, payload: bytes) -> None:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._begin, link, topic, payload)

        credential = login(self._credential_file, "platform")
        client_id = f"platform-{secrets.token_hex(4)}"
        link = Link(self._broker, client_id, credential, take, self._wake, room=AT_A_TIME * 4)
        link.open([self._topic])
        return link

    def _begin(self, link: Link, topic: str, payload: bytes) -> None:
        parts = topic.removeprefix(self._broker.prefix).split("/")
        # v1/boxes/BOX/up/WHAT/SESSION/NUMBER
        if len(parts) != 7 or parts[4] not in _METHODS:  # noqa: PLR2004  # as many as the line above has
            log.debug("nothing answers to the topic %s", topic)
            return
        box_id, what = parts[2], parts[4]
        to = f"{self._broker.prefix}v1/boxes/{box_id}/down/{parts[5]}/{parts[6]}"
        if len(self._tasks) >= AT_A_TIME:
            _tell(link, to, _BUSY)
            return
        task = asyncio.create_task(self._answer(link, to, f"/v1/boxes/{box_id}/{what}", what, payload))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, link: Link, to: str, path: str, what: str, payload: bytes) -> None:
        try:
            answer = await _asked(self._app, _METHODS[what], path, payload)
        except Exception:
            log.exception("a bug in answering %s", path)
            answer = _BUG
        _tell(link, to, answer)


async def _asked(app: ASGIApp, method: str, path: str, payload: bytes) -> bytes:
    """Return what the application answers, as it goes through the broker."""
    headers = [(b"content-type", b"application/json")]
    if payload.startswith(_GZIP):
        headers.append((b"content-encoding", b"gzip"))
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "mqtt",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "client": None,
        "server": None,
        VOUCHED: True,
    }
    said: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": payload, "more_body": False}

    async def send(message: Message) -> None:
        said.append(message)

    await app(scope, receive, send)
    begin, body = said[0], b"".join(piece.get("body", b"") for piece in said[1:])
    wait = dict(begin.get("headers", ())).get(b"retry-after", b"")
    asked = b'"retry_after_s":%d,' % int(wait) if wait.isdigit() else b""
    # The body is JSON already, as it would go over HTTPS.
    return b'{"status":%d,%s"body":%s}' % (begin["status"], asked, body)


def _tell(link: Link, to: str, answer: bytes) -> None:
    try:
        link.publish(broker.Message(to, answer))
    except AgentError as error:
        log.warning("an answer was not told, so the box will ask again: %s", error)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
