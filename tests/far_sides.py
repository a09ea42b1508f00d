"""What stands at the other end of the box's lines during a test, each in a thread of its own."""

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


class FarSide:
    """Runs ``_serve`` in a thread from entering to leaving."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="far side", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stopping.set()
        self._stop()
        self._thread.join()
        self.close()

    def _serve(self) -> None:
        raise NotImplementedError

    def _stop(self) -> None:
        """Make ``_serve`` return."""
        raise NotImplementedError

    def close(self) -> None:
        """Take the line away, which nobody serves any more."""
        raise NotImplementedError


class FarEnd(FarSide):
    """One that waits on descriptors: ``_stop_reading`` becomes readable when it is to end."""

    def __init__(self) -> None:
        super().__init__()
        self._stop_reading, self._stop_writing = os.pipe()

    def _stop(self) -> None:
        os.write(self._stop_writing, b"x")

    def close(self) -> None:
        os.close(self._stop_reading)
        os.close(self._stop_writing)


class HttpServer(FarSide):
    """An HTTP server at ``url`` on loopback; its handlers find this object as ``self.server.far_side``."""

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__()
        self.server = _Server(("127.0.0.1", 0), handler)
        self.server.far_side = self
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def _serve(self) -> None:
        self.server.serve_forever(0.01)

    def _stop(self) -> None:
        self.server.shutdown()

    def close(self) -> None:
        self.server.server_close()


class _Server(ThreadingHTTPServer):
    far_side: Any
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle of a request is what many tests are about."""
