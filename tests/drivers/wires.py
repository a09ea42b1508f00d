"""Far ends of a Modbus line that answer whatever a test wants: bytes on a pseudo-terminal or on a TCP connection."""

import os
import select
import socket
import struct
import time
import tty
from collections.abc import Callable, Iterable

from far_sides import FarEnd
from rtu_sum import crc

Answer = Callable[[bytes], Iterable[bytes]]
"""From the bytes of a question to the pieces to send; each piece is a write of its own."""

RTU_QUESTION = 8
TCP_QUESTION = 12


def registers(number: float, *more: float) -> bytes:
    """Return float32 numbers as they stand in registers, most significant word first."""
    return struct.pack(f">{1 + len(more)}f", number, *more)


def rtu(question: bytes, data: bytes, **changes: int) -> bytes:
    """Return the right answer to an RTU question, or one with another ``unit``, ``function`` or ``count``."""
    head = [changes.get("unit", question[0]), changes.get("function", question[1]), changes.get("count", len(data))]
    frame = bytes(head) + data
    return frame + crc(frame)


def tcp(question: bytes, data: bytes, **changes: int) -> bytes:
    """Return the right answer to a TCP question, or one in which a field of the header is another."""
    pdu = bytes([changes.get("function", question[7]), changes.get("count", len(data))]) + data
    return (
        struct.pack(
            ">HHHB",
            changes.get("transaction", int.from_bytes(question[:2], "big")),
            changes.get("protocol", 0),
            changes.get("length", len(pdu) + 1),
            changes.get("unit", question[6]),
        )
        + pdu
    )


class Answering(FarEnd):
    """Reads questions of one size in a thread and sends what ``answer`` makes of them; ``asked`` keeps them."""

    question_size: int

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer
        self.asked: list[bytes] = []

    def _converse(self, fd: int) -> None:
        """Answer on ``fd`` until it is closed at the other side or the test ends."""
        data = b""
        while not self.stopping.is_set():
            if self._stop_reading in select.select([fd, self._stop_reading], [], [])[0]:
                return
            try:
                more = os.read(fd, 4096)
                if not more:
                    return
                data += more
                while len(data) >= self.question_size:
                    question, data = data[: self.question_size], data[self.question_size :]
                    self.asked.append(question)
                    for piece in self.answer(question):
                        os.write(fd, piece)
            except (ConnectionError, BrokenPipeError):
                return


class SerialFarEnd(Answering):
    """On a pseudo-terminal; ``port`` is what the driver opens."""

    question_size = RTU_QUESTION

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer)
        self._near, self._far = os.openpty()
        tty.setraw(self._far)
        self.port = os.ttyname(self._far)

    def send(self, data: bytes) -> None:
        os.write(self._near, data)

    def close(self) -> None:
        super().close()
        os.close(self._near)
        os.close(self._far)

    def _serve(self) -> None:
        self._converse(self._near)


class TcpFarEnd(Answering):
    """On a loopback port, one connection after the other; ``connections`` counts them."""

    question_size = TCP_QUESTION
    port: int

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.connections = 0

    def close(self) -> None:
        super().close()
        self._server.close()

    def _serve(self) -> None:
        while self._stop_reading not in select.select([self._server, self._stop_reading], [], [])[0]:
            connection, _address = self._server.accept()
            self.connections += 1
            with connection:
                self._converse(connection.fileno())


class SerialServer(TcpFarEnd):
    """RTU frames on a TCP connection, as cheap serial servers pass them on."""

    question_size = RTU_QUESTION


class LateSlave(SerialFarEnd):
    """Answers in the order it is asked, each answer ``delay_s(question)`` after its question.

    Every register and every coil holds its own address, so an answer shows what was asked. An answer that would be
    later than ``latest_s`` is not sent, and neither is one whose delay is None.
    """

    def __init__(self, delay_s: Callable[[bytes], float | None], latest_s: float = 1e9) -> None:
        super().__init__(own_addresses)
        self.delay_s = delay_s
        self.latest_s = latest_s
        self.asked_at_s: list[float] = []
        self._due: list[tuple[float, float, bytes]] = []

    def _converse(self, fd: int) -> None:
        data = b""
        while True:
            left_s = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
            ready = select.select([fd, self._stop_reading], [], [], left_s)[0]
            if self._stop_reading in ready:
                return
            if fd in ready:
                data += os.read(fd, 4096)
            while len(data) >= self.question_size:
                self._take(data[: self.question_size])
                data = data[self.question_size :]
            while self._due and self._due[0][0] <= time.monotonic():
                _due_s, latest_s, frame = self._due.pop(0)
                if time.monotonic() < latest_s:
                    os.write(fd, frame)

    def _take(self, question: bytes) -> None:
        now_s = time.monotonic()
        self.asked.append(question)
        self.asked_at_s.append(now_s)
        delay_s = self.delay_s(question)
        if delay_s is not None:
            due_s = max([now_s + delay_s, *(due_s for due_s, _latest_s, _frame in self._due)])
            self._due.append((due_s, now_s + self.latest_s, b"".join(self.answer(question))))


def own_addresses(question: bytes) -> list[bytes]:
    """Answer an RTU question for registers with the address of each."""
    address, count = struct.unpack(">HH", question[2:6])
    return [rtu(question, struct.pack(f">{count}H", *range(address, address + count)))]
