"""Far ends of lines that misbehave on purpose, for drivers to be tried against: no device is needed.

A driver with a ``port`` is given a pseudo-terminal, one with a ``host`` a TCP server on loopback.
"""

import os
import select
import socket
import threading
import tty
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from itertools import cycle
from types import TracebackType
from typing import Any, Self

UNASKED_S = 0.08
"""A driver that only listens asks nothing: after so long the far end acts by itself."""
PAUSE_S = 0.02
# No digit, no letter: whatever a driver makes of this, it is no number. Some of it ends lines, some never does.
JUNK = (b"\xff" * 9, b"\x00\x81\x90\xfe\r\n", b"\xc3(\xa0\xa1\n!!\n", b"\x80" * 300, b"\r\n\r\n\n")

Behaviour = Callable[["FarEnd", int], None]
"""What a far end does on an open connection (a descriptor), until it is told to stop."""


def silent(end: "FarEnd", fd: int) -> None:
    """Answer nothing."""
    while end.heard(fd, None) is not None:
        pass


def junk(end: "FarEnd", fd: int) -> None:
    """Answer every question with bytes that mean nothing."""
    while end.heard(fd, UNASKED_S) is not None:
        os.write(fd, next(end.junk))


def dribbling(end: "FarEnd", fd: int) -> None:
    """Send a byte every now and then, for ever."""
    while end.heard(fd, PAUSE_S) is not None:
        os.write(fd, b"\x81")


def flooding(end: "FarEnd", fd: int) -> None:
    """Send as much as the line takes, for ever."""
    while end.heard(fd, 0.0005) is not None:
        os.write(fd, b"\x90" * 64)


def leaving(end: "FarEnd", fd: int) -> None:
    """Be pulled out in the middle of the first read."""
    end.heard(fd, UNASKED_S)
    end.unplugged.set()


class FarEnd(ABC):
    """The other end of a driver's line, in a thread of its own."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.unplugged = threading.Event()
        self.junk = cycle(JUNK)
        self._behaviour = behaviour
        self._stop_reading, self._stop_writing = os.pipe()
        self._thread = threading.Thread(target=self._serve, name="far end", daemon=True)

    def __enter__(self) -> Self:
        """Begin to misbehave."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End it."""
        os.write(self._stop_writing, b"x")
        self._thread.join()
        os.close(self._stop_reading)
        os.close(self._stop_writing)
        self._close()

    @abstractmethod
    def options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return a driver's options with the line replaced by this one."""

    @abstractmethod
    def _serve(self) -> None:
        """Misbehave on every connection until the end."""

    @abstractmethod
    def _close(self) -> None:
        """Take the line away."""

    def heard(self, fd: int, within_s: float | None) -> bytes | None:
        """Return what was asked in time (nothing if nothing was), or None if it is time to stop."""
        ready = select.select([fd, self._stop_reading], [], [], within_s)[0]
        if self._stop_reading in ready:
            return None
        return os.read(fd, 4096) or None if ready else b""

    def _stopped(self, fd: int) -> bool:
        return self._stop_reading in select.select([fd, self._stop_reading], [], [])[0]

    def _misbehave(self, fd: int) -> None:
        try:
            self._behaviour(self, fd)
        except OSError:  # the driver has closed its end
            return


class PtyEnd(FarEnd):
    """A pseudo-terminal; ours of the two ends stays open when a driver closes its own."""

    def __init__(self, behaviour: Behaviour) -> None:
        super().__init__(behaviour)
        self._near, self._far = os.openpty()
        tty.setraw(self._far)
        os.set_blocking(self._near, False)  # a full line loses bytes, like a UART that is not read
        self._port = os.ttyname(self._far)
        self._open = True

    def options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options with this port."""
        return {**options, "port": self._port}

    def _serve(self) -> None:
        while not self.unplugged.is_set():
            self._misbehave(self._near)
            if self.unplugged.is_set():
                self._close()
            elif select.select([self._stop_reading], [], [], PAUSE_S)[0]:
                return

    def _close(self) -> None:
        if self._open:
            self._open = False
            os.close(self._near)
            os.close(self._far)


class TcpEnd(FarEnd):
    """A server on loopback, for one connection after the other."""

    def __init__(self, behaviour: Behaviour) -> None:
        super().__init__(behaviour)
        self._server = socket.create_server(("127.0.0.1", 0))
        self._tcp_port: int = self._server.getsockname()[1]

    def options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options with this address."""
        return {**options, "host": "127.0.0.1", "tcp_port": self._tcp_port}

    def _serve(self) -> None:
        while not self.unplugged.is_set() and not self._stopped(self._server.fileno()):
            connection, _address = self._server.accept()
            connection.setblocking(False)
            with connection:
                self._misbehave(connection.fileno())
        if self.unplugged.is_set():
            self._close()

    def _close(self) -> None:
        self._server.close()


def far_end_for(options: Mapping[str, Any], names: set[str]) -> type[FarEnd] | None:
    """Return the kind of line a driver with these options is on, ``names`` being all it knows; None is none of ours."""
    if "port" in names and not options.get("host"):
        return PtyEnd
    return TcpEnd if {"host", "tcp_port"} <= names else None
