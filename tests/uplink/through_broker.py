"""The far side of a broker: a scripted platform, and a listener to what is told of a box."""

import gzip
import json
import queue
import threading
from collections.abc import Callable
from typing import Any, Self

from scripted_platform import Answer, Platform, Request

from instrument_agent.uplink.broker import Link, Message, broker_at


class Listener:
    """Hears what is told on some topics, as (topic, JSON or text)."""

    def __init__(self, url: str, *topics: str) -> None:
        self.heard: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self.link = Link(broker_at(url), f"listener-{id(self)}", None, self._take, lambda: None)
        self._topics = topics

    def __enter__(self) -> Self:
        self.link.open(self._topics or ("trial/nothing",))
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.link.close()

    def next(self) -> Any:
        """Return what is told next."""
        return self.heard.get(timeout=10)[1]

    def _take(self, topic: str, payload: bytes) -> None:
        self.heard.put((topic, json.loads(payload) if payload else None))


class BrokerPlatform:
    """Lets a scripted platform answer what comes through a broker; ``silent`` says to which requests it does not."""

    def __init__(self, url: str, platform: Platform) -> None:
        self.silent: Callable[[Request], bool] = lambda _request: False
        self._platform = platform
        self._stopping = threading.Event()
        self._came: queue.SimpleQueue[tuple[str, bytes] | None] = queue.SimpleQueue()
        self.link = Link(broker_at(url), "scripted", None, lambda *told: self._came.put(told), lambda: None)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self.link.open(["trial/v1/boxes/+/up/#"])
        self._thread.start()
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._came.put(None)
        self._thread.join()
        self.link.close()

    def _serve(self) -> None:
        while (told := self._came.get()) is not None:
            topic, payload = told
            base, _up, rest = topic.partition("/up/")
            what, _slash, place = rest.partition("/")
            body = json.loads(gzip.decompress(payload)) if payload else None
            request = Request("POST", f"/{base}/{what}", {}, body)
            answer = self._platform.act(request)
            assert isinstance(answer, Answer)
            if not self.silent(request):
                self.link.publish(Message(f"{base}/down/{place}", _wrapped(answer)))


def _wrapped(answer: Answer) -> bytes:
    if isinstance(answer.body, bytes):
        return answer.body
    wait = answer.headers.get("Retry-After")
    asked = {} if wait is None else {"retry_after_s": int(wait)}
    return json.dumps({"status": answer.status, **asked, "body": answer.body}).encode()
