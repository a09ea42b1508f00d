"""SDM120 meters on a pseudo-terminal at the pace of a real wire; a process of its own for `modbus_rtu.py`.

Arguments: baud rate, then the units that answer. Prints the path of the port; when something is written to its
standard input, prints (JSON, seconds of the monotonic clock) for every unit when it was asked for its first block, and
from when to when the wire was busy with an exchange and the silence after it.

A question is there when its last bit has gone over the wire, which is 8 characters after it was written here; the
answer begins after 3.5 characters of silence and is handed over when its last bit has come.
"""

import json
import os
import select
import struct
import sys
import time
import tty

from pymodbus.framer import FramerRTU

CHARACTER_BITS = 10  # 8N1
SILENCE_CHARACTERS = 3.5
QUESTION_BYTES = 8


def answer(question: bytes) -> bytes:
    """Return registers of zeros, as many as were asked for."""
    unit, function, _address, count = struct.unpack(">BBHH", question[:6])
    frame = bytes([unit, function, 2 * count]) + bytes(2 * count)
    return frame + FramerRTU.compute_CRC(frame).to_bytes(2, "big")


class Line:
    """The line; ``asked`` and ``busy`` are what is told in the end."""

    def __init__(self, near: int, character_s: float, units: set[int]) -> None:
        self.asked: dict[int, list[float]] = {}
        self.busy: list[tuple[float, float]] = []
        self._near, self._character_s, self._units = near, character_s, units
        self._asked_s, self._due_s, self._frame = 0.0, 0.0, b""

    def serve(self) -> None:
        """Answer until told to stop."""
        data = b""
        while True:
            wait_s = max(0.0, self._due_s - time.monotonic()) if self._frame else None
            ready = select.select([self._near, sys.stdin], [], [], wait_s)[0]
            if sys.stdin in ready:
                return
            if self._near in ready:
                data += os.read(self._near, 4096)
            if len(data) >= QUESTION_BYTES:
                self._take(data[:QUESTION_BYTES])
                data = data[QUESTION_BYTES:]
            elif self._frame and time.monotonic() >= self._due_s:
                os.write(self._near, self._frame)
                self.busy.append((self._asked_s, time.monotonic() + SILENCE_CHARACTERS * self._character_s))
                self._frame = b""

    def _take(self, question: bytes) -> None:
        self._asked_s = time.monotonic()
        if question[2:4] == b"\x00\x00":
            self.asked.setdefault(question[0], []).append(self._asked_s)
        self._frame = answer(question) if question[0] in self._units else b""
        characters = QUESTION_BYTES + SILENCE_CHARACTERS + len(self._frame)
        self._due_s = self._asked_s + self._character_s * characters


def main() -> None:
    """Serve one line."""
    baud, *units = (int(argument) for argument in sys.argv[1:])
    near, far = os.openpty()
    tty.setraw(far)
    print(os.ttyname(far), flush=True)
    line = Line(near, CHARACTER_BITS / baud, set(units))
    line.serve()
    print(json.dumps({"asked": line.asked, "busy": line.busy}), flush=True)


if __name__ == "__main__":
    main()
