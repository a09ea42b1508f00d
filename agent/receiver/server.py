"""Serve the platform from a thread of this process, on loopback unless told otherwise."""

import asyncio
import socket
import threading
from os import PathLike
from typing import Self

import uvicorn
from starlette.types import ASGIApp

CONNECTIONS = 1000
"""Beyond so many the server itself answers 503; long before that, writers are asked to come again."""
_START_S = 30.0
_DRAIN_S = 5  # what a request in flight gets to finish when the server stops


class PlatformServer:
    """A running platform, as a context manager; the listening socket is its own.

    ``port`` 0 takes a free one. With ``certfile`` and ``keyfile`` (PEM) it speaks HTTPS.
    """

    def __init__(
        self,
        app: ASGIApp,
        port: int = 0,
        certfile: str | PathLike[str] | None = None,
        keyfile: str | PathLike[str] | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        config = uvicorn.Config(
            app,
            access_log=False,
            http="h11",
            limit_concurrency=CONNECTIONS,
            proxy_headers=False,
            lifespan="off",
            log_config=None,
            loop="asyncio",
            ssl_certfile=certfile,
            ssl_keyfile=str(keyfile) if keyfile is not None else None,
            timeout_graceful_shutdown=_DRAIN_S,
            ws="none",
        )
        # The certificate is read here, so that a wrong one fails where it was named and not in the thread.
        config.load()
        self._server = _Server(config)
        self._socket = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        shown = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if config.is_ssl else 'http'}://{shown}:{self._socket.getsockname()[1]}"
        # uvicorn installs signal handlers in the main thread only, so here it leaves them alone.
        self._thread = threading.Thread(target=self._run, name="platform", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._server.settled.wait(_START_S) or not self._server.started:
            self.stop()
            raise RuntimeError("the platform did not start")
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Let requests in flight finish, then stop; may be called twice."""
        self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._server.settled.set()


class _Server(uvicorn.Server):
    """Says when it has started, which uvicorn only writes into an attribute."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.settled = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.settled.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        await asyncio.sleep(0)
        # uvicorn leaves a connection open whose client takes no answer, or that came at the very last moment.
        for connection in self.server_state.connections:
            connection.transport.abort()
        await asyncio.sleep(0)
