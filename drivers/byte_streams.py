"""What bytes to and from a device go through: a serial port, or a TCP connection.

Both wait for a deadline of the caller and nothing else, and say at once when they are gone.
"""

import os
import select
import socket
import time
from typing import TYPE_CHECKING, Protocol

from instrument_agent.core.errors import DeviceUnavailable
from instrument_agent.i18n import _

if TYPE_CHECKING:
    import serial

CHUNK = 512


class Stream(Protocol):
    """A way to a device that can be opened again by the same name."""

    def open(self, timeout_s: float) -> None:
        """Open it; does nothing if it is open.

        Raises:
            DeviceUnavailable: it cannot be opened.
        """

    def close(self) -> None:
        """Close it; may be called twice."""

    def send(self, data: bytes, deadline_s: float) -> None:
        """Send everything.

        Raises:
            OSError: it is gone.
        """

    def receive(self, deadline_s: float) -> bytes:
        """Return what has arrived as soon as there is something; nothing if there was none by the deadline.

        ``deadline_s`` is a time of ``time.monotonic``; one in the past still takes what is there.

        Raises:
            OSError, EOFError: it is gone.
        """


class SerialStream:
    """A serial port, opened exclusively."""

    def __init__(self, port: str, baud: int, parity: str, stop_bits: int) -> None:
        self._settings = (port, baud, parity, stop_bits)
        self._port: serial.Serial | None = None
        self._fd = -1

    def open(self, timeout_s: float) -> None:
        """Open the port, which takes no time, and forget what had arrived."""
        del timeout_s
        if self._port is None:
            from instrument_agent.drivers.serial_port import open_port

            self._port = open_port(*self._settings)
            self._fd = self._port.fileno()

    def close(self) -> None:
        """Close the port."""
        port, self._port = self._port, None  # forgotten first: an adapter that was pulled out may fail to close
        if port is not None:
            port.close()

    def send(self, data: bytes, deadline_s: float) -> None:
        """Hand everything to the port's buffer, which holds a frame many times over."""
        del deadline_s
        if self._port is None:
            raise EOFError(_("the port is gone"))
        if os.write(self._fd, data) != len(data):
            raise OSError(_("the port takes no more bytes"))

    def receive(self, deadline_s: float) -> bytes:
        """Return what has arrived."""
        if self._port is None:
            raise EOFError(_("the port is gone"))
        if not select.select([self._fd], [], [], max(0.0, deadline_s - time.monotonic()))[0]:
            return b""
        data = os.read(self._fd, CHUNK)
        if not data:
            raise EOFError(_("the port is gone"))
        return data


class TcpStream:
    """A TCP connection; ``hint`` says what to look at where nobody listens."""

    def __init__(self, host: str, tcp_port: int, hint: str) -> None:
        self._address = (host, tcp_port)
        self._hint = hint
        self._socket: socket.socket | None = None

    def open(self, timeout_s: float) -> None:
        """Connect."""
        if self._socket is not None:
            return
        try:
            self._socket = self._connected(time.monotonic() + timeout_s)
        except OSError as error:
            host, port = self._address
            raise DeviceUnavailable(
                _("no connection to {host}:{port}: {error}").format(host=host, port=port, error=error), self._hint
            ) from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _connected(self, deadline_s: float) -> socket.socket:
        """Connect to the first address that answers; they share the time until the deadline."""
        # The one wait that nobody can cut short (resolv.conf says how long it is); an address in figures has none. What
        # was found before is not used again: by now it may be the address of another device.
        found = socket.getaddrinfo(*self._address, type=socket.SOCK_STREAM)
        error: OSError = TimeoutError(_("time ran out while its name was looked up"))
        for number, (family, kind, protocol, _name, address) in enumerate(found):
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                break
            connection = socket.socket(family, kind, protocol)
            try:
                connection.settimeout(left_s / (len(found) - number))
                connection.connect(address)
            except OSError as failure:
                connection.close()
                error = failure
            else:
                return connection
        raise error

    def close(self) -> None:
        """Disconnect."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def send(self, data: bytes, deadline_s: float) -> None:
        """Send everything."""
        if self._socket is None:
            raise EOFError(_("the device closed the connection"))
        self._socket.settimeout(max(0.001, deadline_s - time.monotonic()))
        self._socket.sendall(data)

    def receive(self, deadline_s: float) -> bytes:
        """Return what has arrived."""
        if self._socket is None:
            raise EOFError(_("the device closed the connection"))
        self._socket.settimeout(max(0.0, deadline_s - time.monotonic()))
        try:
            data = self._socket.recv(CHUNK)
        except (TimeoutError, BlockingIOError):
            return b""
        if not data:
            raise EOFError(_("the device closed the connection"))
        return data
