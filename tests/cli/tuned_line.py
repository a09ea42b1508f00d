"""A serial line on a pseudo-terminal whose meters hear only what was sent at their own baud rate and parity.

A pseudo-terminal passes bytes at any setting; but its far end shows what the other side has set (tcgetattr), so
meters here are deaf to everybody who set it otherwise, as on a real line. It refuses parities altogether; within
``taking_parities`` it seems to take them, in this process.
"""

import errno
import os
import select
import struct
import termios
import threading
import tty
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from far_sides import FarEnd
from rtu_sum import crc

SPEEDS = {getattr(termios, f"B{baud}"): baud for baud in (300, 1200, 2400, 4800, 9600, 19200)}
Tuning = tuple[int, str]
PARITY_FLAGS = termios.PARENB | termios.PARODD
Listener = Callable[[bytes], bytes]
ELSEWHERE = """
[box]
id = "b"
[[instrument]]
id = "x"
[instrument.driver]
name = "modbus"
host = "192.0.2.1"
[instrument.activity]
off_below = 5
run_above = 500
"""
"""The config of a box that reads no line of ours."""


_parities: dict[int, int] = {}


@contextmanager
def taking_parities() -> Iterator[None]:
    """Let pseudo-terminals take parities: the flags are kept beside them."""
    ask, tell = termios.tcgetattr, termios.tcsetattr

    def tcgetattr(fd: int) -> list[Any]:
        found: list[Any] = ask(fd)
        found[2] |= _parities.get(os.fstat(fd).st_rdev, 0)
        return found

    def tcsetattr(fd: int, when: int, attributes: list[Any]) -> None:
        _parities[os.fstat(fd).st_rdev] = attributes[2] & PARITY_FLAGS
        tell(fd, when, [*attributes[:2], attributes[2] & ~PARITY_FLAGS, *attributes[3:]])

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(termios, "tcgetattr", tcgetattr)
        patched.setattr(termios, "tcsetattr", tcsetattr)
        yield


@contextmanager
def refusing_parities() -> Iterator[None]:
    """An adapter that knows no parity and says so: the system call fails with EINVAL."""
    tell = termios.tcsetattr

    def tcsetattr(fd: int, when: int, attributes: list[Any]) -> None:
        if attributes[2] & termios.PARENB:
            raise termios.error(errno.EINVAL, "Invalid argument")
        tell(fd, when, attributes)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(termios, "tcsetattr", tcsetattr)
        yield


def floats(values: Mapping[int, float]) -> dict[int, int]:
    """Words of float32 numbers by address, most significant word first."""
    words: dict[int, int] = {}
    for address, number in values.items():
        words[address], words[address + 1] = struct.unpack(">HH", struct.pack(">f", number))
    return words


def refused_or_read(words: Mapping[int, int], function: int, pdu: bytes) -> bytes:
    """What a meter answers to a request: its registers, zeros between them, or that it has none there."""
    address, count = struct.unpack(">HH", pdu[1:5])
    if pdu[0] != function:
        return bytes([pdu[0] | 0x80, 1])
    if address < min(words) or address + count - 1 > max(words):
        return bytes([pdu[0] | 0x80, 2])
    asked = [words.get(address + offset, 0) for offset in range(count)]
    return bytes([function, 2 * count]) + struct.pack(f">{count}H", *asked)


class ModbusMeter:
    """Registers read by one function at one unit id."""

    def __init__(self, unit: int, function: int, words: Mapping[int, int]) -> None:
        self.unit, self.function, self.words = unit, function, words

    def __call__(self, heard: bytes) -> bytes:
        if len(heard) != 8 or heard[0] != self.unit or crc(heard[:-2]) != heard[-2:]:
            return b""
        frame = bytes([self.unit]) + refused_or_read(self.words, self.function, heard[1:6])
        return frame + crc(frame)


def dlt645_meter(address: str) -> Listener:
    """A meter that speaks DL/T 645-2007 and tells its address when all are asked for it."""

    def answer(heard: bytes) -> bytes:
        if heard.lstrip(b"\xfe") != bytes.fromhex("68aaaaaaaaaaaa681300df16"):
            return b""
        digits = bytes(reversed(bytes.fromhex(address)))
        frame = b"\x68" + digits + b"\x68\x93\x06" + bytes((byte + 0x33) % 256 for byte in digits)
        return b"\xfe\xfe" + frame + bytes([sum(frame) % 256, 0x16])

    return answer


class TunedLine(FarEnd):
    """The line; ``heard`` keeps every question with the setting it came at."""

    def __init__(self, *meters: tuple[Tuning, Listener]) -> None:
        super().__init__()
        self.heard: list[tuple[Tuning, bytes]] = []
        self.asked = threading.Event()
        self._meters = meters
        self._near, self._far = os.openpty()
        tty.setraw(self._far)
        self.port = os.ttyname(self._far)

    def close(self) -> None:
        super().close()
        os.close(self._near)
        os.close(self._far)

    def tuning(self) -> Tuning:
        """What the other side has set."""
        flags, speed = termios.tcgetattr(self._far)[2], termios.tcgetattr(self._far)[5]
        parity = "N" if not flags & termios.PARENB else "O" if flags & termios.PARODD else "E"
        return SPEEDS[speed], parity

    def _serve(self) -> None:
        while self._stop_reading not in select.select([self._near, self._stop_reading], [], [])[0]:
            heard, tuning = os.read(self._near, 4096), self.tuning()
            self.heard.append((tuning, heard))
            self.asked.set()
            for own, meter in self._meters:
                if own == tuning and (answer := meter(heard)):
                    os.write(self._near, answer)


SDM120 = floats(
    {
        0x0000: 229.4,
        0x0006: 6.52,
        0x000C: 1402.0,
        0x0012: 1495.7,
        0x0018: 521.0,
        0x001E: 0.94,
        0x0046: 49.98,
        0x0048: 12.5,
        0x004A: 0.0,
        0x0156: 12.5,
    }
)
DDSU666 = floats(
    {0x2000: 231.0, 0x2002: 2.0, 0x2004: 0.44, 0x2006: 0.1, 0x200A: 0.95, 0x200E: 50.0, 0x4000: 7.0, 0x400A: 0}
)
