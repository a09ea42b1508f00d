"""A platform on a real socket that keeps to contract v1 until its script tells it to misbehave."""

import gzip
import json
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

from far_sides import HttpServer

SERVER_TIME = "2026-11-22T08:00:00.000Z"


@dataclass(frozen=True)
class Request:
    """What came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any

    @property
    def what(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def seqs(self) -> list[int]:
        return [item["record"]["seq"] for item in self.body["records"]]


@dataclass(frozen=True)
class Answer:
    """What goes out; a dict as JSON, bytes as they are."""

    status: int = 200
    body: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Raw:
    """Bytes on the connection instead of a reply, piece by piece with ``pause_s`` in between; then it is closed."""

    pieces: tuple[bytes, ...]
    pause_s: float = 0.0


Act = Answer | Raw | Callable[[Request], Answer | Raw]


class Platform(HttpServer):
    """Stores what it is sent. ``script`` is consumed first, one act for each request to ``scripted`` addresses.

    ``passed_s`` tells how long its clock has run on from ``SERVER_TIME``.
    """

    def __init__(self, passed_s: Callable[[], float] = lambda: 0.0) -> None:
        super().__init__(_Handler)
        self._passed_s = passed_s
        self.requests: list[Request] = []
        self.script: deque[Act] = deque()
        self.scripted = ("records", "heartbeat", "watermark")
        self.always: Act | None = None
        self.stored: dict[str, dict[int, Any]] = {}
        self.received: list[tuple[str, int]] = []
        self.refuses: set[int] = set()
        self._lock = threading.Lock()

    def sent(self, what: str) -> list[Request]:
        """Return the requests to one address."""
        return [request for request in self.requests if request.what == what]

    def act(self, request: Request) -> Answer | Raw:
        with self._lock:
            self.requests.append(request)
            act: Act | None = None
            if request.what in self.scripted:
                act = self.script.popleft() if self.script else self.always
            if act is None:
                return self.well_behaved(request)
            return act(request) if callable(act) else act

    def well_behaved(self, request: Request) -> Answer:
        """Do what contract v1 says."""
        if request.what == "watermark":
            marks = [{"epoch": epoch, "acked_through": self.acked_through(epoch)} for epoch in self.stored]
            return Answer(body={"epochs": marks, "server_time": self.server_time()})
        if request.what == "heartbeat":
            return Answer(body={"server_time": self.server_time()})
        epoch = request.body["epoch"]
        self.store(request)
        rejected = [{"seq": seq, "reason": "schema: odd"} for seq in request.seqs if seq in self.refuses]
        return acknowledged(epoch, self.acked_through(epoch), rejected, self.server_time())

    def server_time(self) -> str:
        now = datetime.fromisoformat(SERVER_TIME) + timedelta(seconds=self._passed_s())
        return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def store(self, request: Request) -> None:
        records = self.stored.setdefault(request.body["epoch"], {})
        for item in request.body["records"]:
            seq = item["record"]["seq"]
            self.received.append((request.body["epoch"], seq))
            if seq not in self.refuses:
                assert records.setdefault(seq, item["hash"]) == item["hash"]

    def acked_through(self, epoch: str) -> int:
        settled = set(self.stored.get(epoch, {})) | self.refuses
        reached = 0
        while reached + 1 in settled:
            reached += 1
        return reached


def acknowledged(epoch: str, acked_through: Any, rejected: Any = (), server_time: str = SERVER_TIME) -> Answer:
    """Return the reply to a batch."""
    return Answer(
        body={
            "epoch": epoch,
            "acked_through": acked_through,
            "rejected": rejected,
            "server_time": server_time,
        }
    )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # a head and a body in two packets would wait 40 ms for each other

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            data = gzip.decompress(data)
        self._answer(json.loads(data))

    def do_GET(self) -> None:
        self._answer(None)

    def log_message(self, *args: Any) -> None:
        pass

    def _answer(self, body: Any) -> None:
        platform: Platform = self.server.far_side
        answer = platform.act(Request(self.command, self.path, dict(self.headers), body))
        if isinstance(answer, Raw):
            self.close_connection = True
            for piece in answer.pieces:
                self.wfile.write(piece)
                self.wfile.flush()
                if platform.stopping.wait(answer.pause_s):
                    return
            return
        data = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        self.send_response_only(answer.status)
        for name, value in {"Content-Length": str(len(data)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
