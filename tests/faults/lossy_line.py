"""A line to the platform that lets the work be done and keeps some of the replies for itself."""

import http.client
import random
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from far_sides import HttpServer


class LossyLine(HttpServer):
    """An HTTP proxy on loopback; ``losing`` is the share of replies that are lost after the platform has worked."""

    def __init__(self, upstream_url: str, losing: float, seed: int) -> None:
        super().__init__(_Handler)
        self.lost = 0
        self.losing = losing
        self.upstream = urlsplit(upstream_url).netloc
        self.rng = random.Random(seed)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) < length:  # the sender was killed in the middle of it
            self.close_connection = True
            return
        self._pass_on(body)

    def do_GET(self) -> None:
        self._pass_on(None)

    def log_message(self, *args: Any) -> None:
        pass

    def _pass_on(self, body: bytes | None) -> None:
        line: LossyLine = self.server.far_side
        upstream = http.client.HTTPConnection(line.upstream, timeout=30)
        try:
            kept = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
            upstream.request(self.command, self.path, body, kept)
            reply = upstream.getresponse()
            text = reply.read()
        finally:
            upstream.close()
        if line.rng.random() < line.losing:
            line.lost += 1
            self.close_connection = True
            return
        self.send_response_only(reply.status)
        self.send_header("Content-Type", reply.headers.get("Content-Type", ""))
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
