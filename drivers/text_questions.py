"""Questions in text, each answered by the next line: nothing in a line says which question it answers.

So an answer that comes late could be taken for that of the next question, as on a Modbus line (docs/decisions/0012).
Instruments answer in the order they are asked: while an answer is owed nothing else is asked, until it has come, or
until it cannot come any more. An instrument that sends each question back before it answers is no trouble.
"""

import time

from instrument_agent.core.errors import DeviceUnavailable
from instrument_agent.drivers.text_lines import LineSplitter
from instrument_agent.drivers.text_port import TextPort
from instrument_agent.i18n import _

LATEST = 4
"""An answer is late by at most three timeouts: it comes within four of them after its question, or never."""


class Questions:
    """Asks an instrument on a port; ``terminator`` ends questions and answers."""

    def __init__(self, port: TextPort, encoding: str = "ascii", terminator: bytes = b"\n") -> None:
        self._port = port
        self._encoding = encoding
        self._terminator = terminator
        self._given_s = 0.0  # the longest time it ever had for an answer
        self._owed = ""
        self._owed_until_s = 0.0

    def ask(self, question: str, timeout_s: float) -> bytes:
        """Return the line that answers.

        Raises:
            DeviceUnavailable: there was none in time, or the port failed.
        """
        deadline_s = time.monotonic() + timeout_s
        self._given_s = max(self._given_s, timeout_s)
        if self._hear_out(deadline_s):
            self._port.await_silence(deadline_s)
            self._owed, self._owed_until_s = question, time.monotonic() + LATEST * self._given_s
            self._port.send(question.encode(self._encoding) + self._terminator)
            line = self._line(deadline_s)
            if line is not None:
                return line
        raise DeviceUnavailable(
            _("no answer to {query}").format(query=self._owed),
            _("check the cable, the baud rate and the terminator in the manual of the instrument"),
        )

    def _hear_out(self, deadline_s: float) -> bool:
        """Wait for an answer that is owed; False if it may still come after the deadline."""
        if time.monotonic() >= self._owed_until_s:
            return True
        return self._line(min(self._owed_until_s, deadline_s)) is not None or self._owed_until_s < deadline_s

    def _line(self, deadline_s: float) -> bytes | None:
        """Return the next whole line that is not the question itself; then nothing is owed. None if there is none."""
        splitter, sent_back = LineSplitter(self._terminator, midway=False), self._owed.encode(self._encoding).strip()
        while data := self._port.received(deadline_s):
            for line in splitter.feed(data):
                if line.strip() != sent_back:
                    self._owed_until_s = 0.0
                    return line
        return None
