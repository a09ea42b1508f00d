"""A deadline for a whole HTTP reply.

The timeouts of requests bound each wait for the next bytes, not their sum: a server that sends a byte now and then
would hold an exchange for hours. Here every read of the socket, of headers and body alike, gets what is left.
"""

import io
import socket
import time
from http.client import HTTPResponse
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

DEADLINE_S = 30.0
"""What a platform gets for its reply, from the end of the request to the last byte."""


class DeadlineAdapter(HTTPAdapter):
    """The transport of requests, with a deadline on each reply."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the connections ours."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Make those through a proxy ours too."""
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = POOLS
        return manager


class _Bytes(io.RawIOBase):
    """The bytes of a socket up to a time of ``time.monotonic``."""

    def __init__(self, connection: socket.socket, deadline_s: float) -> None:
        self._connection = connection
        self._raw = connection.makefile("rb", buffering=0)
        self._deadline_s = deadline_s

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the reply takes too long")
        self._connection.settimeout(left_s)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        stream: Any = _Bytes(sock, time.monotonic() + DEADLINE_S)
        self.fp.close()
        self.fp = io.BufferedReader(stream)


class _Connection(HTTPConnection):
    response_class = _Response


class _SecureConnection(HTTPSConnection):
    response_class = _Response


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


POOLS = {"http": _Pool, "https": _SecurePool}
