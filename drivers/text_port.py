"""A serial port that carries text: what arrives on it, and when nothing does."""

import select
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import serial

from instrument_agent.core.errors import DeviceUnavailable
from instrument_agent.drivers.serial_port import open_port
from instrument_agent.i18n import _

SILENCE_S = 0.02
"""A question is asked after the line was still for so long; what arrives before answers no question of this read."""
TTY_BUFFER = 4095
"""Bytes the kernel keeps for a reader (N_TTY_BUF_SIZE - 1); from then on bytes may be missing."""


class TextPort:
    """A port for this box alone; whatever fails on it, or before it is open, is DeviceUnavailable.

    Times given to its methods are deadlines of ``time.monotonic``.
    """

    def __init__(  # noqa: PLR0913  # a line has this many settings
        self,
        name: str,
        baud: int,
        parity: str = "N",
        stop_bits: int = 1,
        *,
        data_bits: int = 8,
        dtr: bool = False,
        rts: bool = False,
    ) -> None:
        self._name = name
        self._opened = partial(open_port, name, baud, parity, stop_bits, data_bits=data_bits, dtr=dtr, rts=rts)
        self._port: serial.Serial | None = None

    def open(self) -> None:
        """Open it exclusively."""
        self._port = self._opened()

    def close(self) -> None:
        """Close it; may be called twice."""
        port, self._port = self._port, None  # forgotten first: an adapter that was pulled out may fail to close
        if port is not None:
            port.close()

    def send(self, data: bytes) -> None:
        """Send everything."""
        with self._used() as port:
            port.write(data)

    def received(self, deadline_s: float) -> bytes:
        """Return what arrives next, or nothing at the deadline."""
        with self._used() as port:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or not select.select([port], [], [], left_s)[0]:
                return b""
            data: bytes = port.read(TTY_BUFFER)
            return data

    def waiting(self) -> int:
        """Return how many bytes have arrived."""
        with self._used() as port:
            return int(port.in_waiting)

    def await_silence(self, deadline_s: float) -> None:
        """Throw away what arrives until nothing more does, or until the deadline."""
        with self._used() as port:
            while select.select([port], [], [], SILENCE_S)[0]:
                port.read(TTY_BUFFER)
                if time.monotonic() > deadline_s:
                    raise TimeoutError(_("the line does not fall silent"))

    def forget(self) -> None:
        """Throw away a backlog in which bytes may be missing, and what an adapter held back behind it."""
        with self._used() as port:
            port.reset_input_buffer()
        until_s = time.monotonic() + SILENCE_S
        while self.received(until_s):
            pass

    @contextmanager
    def _used(self) -> Iterator[serial.Serial]:
        if self._port is None:
            raise DeviceUnavailable(_("the port {port} is not open").format(port=self._name))
        try:
            yield self._port
        except (OSError, termios.error) as error:
            raise DeviceUnavailable(
                _("the port {port} failed: {error}").format(port=self._name, error=error),
                _("check that the adapter is plugged in: ls /dev/serial/by-id/"),
            ) from error
