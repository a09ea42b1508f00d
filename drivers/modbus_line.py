"""One Modbus line: a serial port or a TCP connection, shared by the meters on it.

pymodbus builds and takes apart the frames; the ports are driven here, because its synchronous client times its
waits with the wall clock (a Pi's jumps by years) and accepts a late answer to an older question. A line asks one
question, reads exactly the answer that belongs to it before the deadline, and is closed at the first doubt.
"""

import errno
import select
import socket
import stat
import termios
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import serial
from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest

from instrument_agent.core.errors import DeviceUnavailable
from instrument_agent.i18n import _
from instrument_agent.rights import group_of

# The box only watches: these two are the only requests that can be built here.
REQUESTS = {3: ReadHoldingRegistersRequest, 4: ReadInputRegistersRequest}
EXCEPTION_FLAG = 0x80
RTU_OVERHEAD = 5  # unit, function, byte count, two bytes CRC; an exception answer is just as long
MBAP_HEADER = 7  # transaction, protocol, length (two bytes each), unit
LONGEST_PDU = 253  # Modbus application protocol V1.1b3, 4.1
# 3.5 characters of silence end a frame, but never less than 1.75 ms (Modbus over serial line V1.02, 2.5.1.1).
CHARACTER_BITS = 11
SHORTEST_SILENCE_S = 0.00175


@dataclass(frozen=True, slots=True)
class Question:
    """Read ``count`` registers from ``address`` of ``unit`` with function ``function``."""

    unit: int
    function: int
    address: int
    count: int


class Line(ABC):
    """A line that is opened by the first question on it and closed at the first error."""

    @abstractmethod
    def open(self, timeout_s: float) -> None:
        """Open the port exclusively; does nothing if it is open."""

    @abstractmethod
    def close(self) -> None:
        """Close the port; may be called twice."""

    @abstractmethod
    def _exchange(self, question: Question, deadline_s: float) -> list[int]:
        """Ask, and return the registers of the answer."""

    @abstractmethod
    def _no_answer_hint(self) -> str:
        """Return what to look at when a device does not answer properly."""

    def ask(self, question: Question, deadline_s: float) -> list[int] | None:
        """Ask one question and return its registers, or None if the device answered with an exception code.

        ``deadline_s`` is a time of ``time.monotonic``.

        Raises:
            DeviceUnavailable: no proper answer in time; the line was closed.
        """
        try:
            self.open(max(0.001, deadline_s - time.monotonic()))
            return self._exchange(question, deadline_s)
        except _ExceptionAnswer:
            return None
        except (OSError, ModbusException, serial.SerialException, EOFError, ValueError) as error:
            self.close()
            raise DeviceUnavailable(
                _("no proper answer from unit {unit}: {error}").format(unit=question.unit, error=error),
                self._no_answer_hint(),
            ) from error


class _ExceptionAnswer(Exception):
    """The device understood and refused."""


class SerialLine(Line):
    """Modbus RTU on a serial port."""

    def __init__(self, port: str, baud: int, parity: str, stop_bits: int) -> None:
        self._settings = (port, baud, parity, stop_bits)
        self._port: serial.Serial | None = None
        self._framer = FramerRTU(DecodePDU(False))
        self._silence_s = max(3.5 * CHARACTER_BITS / baud, SHORTEST_SILENCE_S)

    def open(self, timeout_s: float) -> None:
        """Open the port exclusively, which takes no time."""
        del timeout_s
        if self._port is not None:
            return
        name, baud, parity, stop_bits = self._settings
        try:
            self._port = serial.Serial(
                name, baud, parity=parity, stopbits=stop_bits, timeout=0, write_timeout=1, exclusive=True
            )
        except (OSError, ValueError, termios.error) as error:
            raise DeviceUnavailable(
                _("the port {port} cannot be opened: {error}").format(port=name, error=error),
                _open_hint(Path(name), error),
            ) from error

    def close(self) -> None:
        """Close the port."""
        port, self._port = self._port, None  # forgotten first: an adapter that was pulled out may fail to close
        if port is not None:
            port.close()

    def _exchange(self, question: Question, deadline_s: float) -> list[int]:
        port = self._port
        if port is None:
            raise EOFError
        while select.select([port], [], [], self._silence_s)[0]:  # what is still arriving answers no question of ours
            if not port.read(256) or time.monotonic() > deadline_s:
                raise TimeoutError(_("the line does not fall silent"))
        port.write(self._framer.buildFrame(_request(question, 0)))
        frame = self._receive(port, RTU_OVERHEAD, deadline_s)
        if not frame[1] & EXCEPTION_FLAG:
            frame += self._receive(port, 2 * question.count, deadline_s)
        return _answer(self._framer, frame, question, 0)

    def _no_answer_hint(self) -> str:
        return _("check the wiring, the unit id and the baud rate on the meter's display")

    @staticmethod
    def _receive(port: serial.Serial, count: int, deadline_s: float) -> bytes:
        data = b""
        while len(data) < count:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or not select.select([port], [], [], left_s)[0]:
                raise TimeoutError(_("time ran out after {count} bytes").format(count=len(data)))
            more = port.read(count - len(data))
            if not more:
                raise EOFError(_("the port is gone"))
            data += more
        return data


class TcpLine(Line):
    """Modbus TCP."""

    def __init__(self, host: str, tcp_port: int) -> None:
        self._address = (host, tcp_port)
        self._socket: socket.socket | None = None
        self._framer = FramerSocket(DecodePDU(False))
        self._transaction = 0

    def open(self, timeout_s: float) -> None:
        """Connect."""
        if self._socket is not None:
            return
        try:
            self._socket = socket.create_connection(self._address, timeout=timeout_s)
        except OSError as error:
            host, port = self._address
            raise DeviceUnavailable(
                _("no connection to {host}:{port}: {error}").format(host=host, port=port, error=error),
                _("check the address, and that Modbus TCP is enabled on the device"),
            ) from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        """Disconnect."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _exchange(self, question: Question, deadline_s: float) -> list[int]:
        connection = self._socket
        if connection is None:
            raise EOFError
        self._transaction = self._transaction % 0xFFFF + 1
        connection.settimeout(max(0.001, deadline_s - time.monotonic()))
        connection.sendall(self._framer.buildFrame(_request(question, self._transaction)))
        header = self._receive(connection, MBAP_HEADER, deadline_s)
        length = int.from_bytes(header[4:6], "big")
        if not 1 < length <= 1 + LONGEST_PDU:  # the length counts the unit too
            raise ValueError(_("a frame of {count} bytes cannot be").format(count=length))
        frame = header + self._receive(connection, length - 1, deadline_s)
        return _answer(self._framer, frame, question, self._transaction)

    def _no_answer_hint(self) -> str:
        return _("check the unit id, and behind a gateway that the meter itself is connected")

    @staticmethod
    def _receive(connection: socket.socket, count: int, deadline_s: float) -> bytes:
        data = b""
        while len(data) < count:
            connection.settimeout(max(0.001, deadline_s - time.monotonic()))
            more = connection.recv(count - len(data))
            if not more:
                raise EOFError(_("the device closed the connection"))
            data += more
        return data


def _open_hint(port: Path, error: Exception) -> str:
    if getattr(error, "errno", None) != errno.EACCES:
        return _("check that the adapter is plugged in: ls /dev/serial/by-id/")
    group = group_of(port)
    shared = stat.S_IRGRP | stat.S_IWGRP
    if not group or port.stat().st_mode & shared != shared:
        return _("no group may use this port: share it by a udev rule")
    return _(
        "join the group of the port: sudo usermod -aG {group} instrument-agent,"
        " then sudo systemctl restart instrument-agent"
    ).format(group=group)


@cache
def serial_line(port: str, baud: int, parity: str, stop_bits: int) -> Line:
    """Return the line of a serial port; meters on the same port get the same line."""
    return SerialLine(port, baud, parity, stop_bits)


@cache
def tcp_line(host: str, tcp_port: int) -> Line:
    """Return the line of a TCP endpoint; meters behind the same gateway get the same line."""
    return TcpLine(host, tcp_port)


def _request(question: Question, transaction: int) -> ReadHoldingRegistersRequest | ReadInputRegistersRequest:
    request = REQUESTS[question.function](address=question.address, count=question.count, dev_id=question.unit)
    request.transaction_id = transaction
    return request


def _answer(framer: FramerRTU | FramerSocket, frame: bytes, question: Question, transaction: int) -> list[int]:
    """Take the answer apart; it must be whole, from the right unit, and as long as the question asked."""
    _used, pdu = framer.handleFrame(frame, question.unit, transaction)
    if pdu is None or pdu.function_code & ~EXCEPTION_FLAG != question.function or pdu.transaction_id != transaction:
        raise ValueError(_("a damaged frame or another unit's: {frame}").format(frame=frame.hex()))
    # pymodbus skips what stands around a frame and rounds odd byte counts: here every byte must be as it is written.
    if framer.buildFrame(pdu) != frame:
        raise ValueError(_("bytes that belong to no answer: {frame}").format(frame=frame.hex()))
    if pdu.function_code & EXCEPTION_FLAG:
        raise _ExceptionAnswer
    if len(pdu.registers) != question.count:
        raise ValueError(_("an answer to another question: {frame}").format(frame=frame.hex()))
    return list(pdu.registers)
