"""Modbus RTU: frames without a number, on a line where only one may talk at a time.

An answer does not say which question it belongs to, so a late one could be taken for the answer to the next
question (docs/decisions/0012). Three things prevent that:

- Silence. After a question that was not answered properly the line is closed, opened by the next question, and
  then listened to until the late answer has come, or until as much time has passed as the longest answer of this
  slave ever took (as it was given now, if it never answered). Whoever asks next gives at most half of its time to this.
- Doubt. For LATEST deadlines after such a question the slave is first asked for another number of registers than
  in any question it may still answer. Slaves answer in the order they are asked: once an answer of that length is
  there, nothing older can follow. Only then is the question itself asked.
- Sorting out. The echo of our own question, which some adapters send back, is skipped; so are sound frames of slaves
  in doubt that cannot be the answer. Anything else that is not the answer is an error.
"""

import time
from dataclasses import dataclass, field
from itertools import islice

from instrument_agent.drivers.byte_streams import SerialStream, Stream, TcpStream
from instrument_agent.drivers.modbus_exchange import Line
from instrument_agent.drivers.modbus_frames import (
    EXCEPTION_FLAG,
    RTU_OVERHEAD,
    ExceptionAnswer,
    Question,
    is_sound,
    rtu_answer,
    rtu_length,
    rtu_request,
    with_other_length,
)
from instrument_agent.i18n import _

LATEST = 4
"""An answer is late by at most three deadlines: it comes within four of them after its question, or never."""
LENGTHS_TRIED = 4
# 3.5 characters of silence end a frame, but never less than 1.75 ms (Modbus over serial line V1.02, 2.5.1.1).
FRAME_GAP_CHARACTERS = 3.5
SHORTEST_SILENCE_S = 0.00175
# What baud rate there is behind a serial server cannot be known: 3.5 characters at 2400 baud are 16 ms.
NETWORK_SILENCE_S = 0.016


@dataclass(slots=True)
class _Slave:
    """What a line remembers of one slave; times are those of ``time.monotonic``.

    ``given_s`` is the longest time it ever had for an answer, ``longest_s`` the longest it took for one (0 if it never
    answered), ``unanswered_s`` when the oldest question since its last answer was asked, and ``asked`` holds when it
    was asked for how many bytes lately.
    """

    given_s: float = 0.0
    longest_s: float = 0.0
    doubted_until_s: float = 0.0
    unanswered_s: float = 0.0
    asked: list[tuple[float, int]] = field(default_factory=list)

    def note_asked(self, now_s: float, deadline_s: float, answer_bytes: int) -> None:
        """Note a question, and forget those that can no longer be answered."""
        self.given_s = max(self.given_s, deadline_s - now_s)
        self.unanswered_s = self.unanswered_s or now_s
        self.asked = [(at_s, count) for at_s, count in self.asked if at_s + LATEST * self.given_s > now_s]
        self.asked.append((now_s, answer_bytes))

    def note_answered(self, took_s: float) -> None:
        """Note that it answered, late or in time; it will be heard out for as long in future."""
        self.longest_s = min(max(self.longest_s, took_s), LATEST * self.given_s)
        self.unanswered_s = 0.0

    def doubt(self, now_s: float) -> None:
        """From now on for LATEST deadlines, what it says may belong to something older."""
        self.doubted_until_s = now_s + LATEST * self.given_s


class RtuLine(Line):
    """RTU frames on a stream; ``silence_s`` is what ends a frame."""

    def __init__(self, stream: Stream, silence_s: float) -> None:
        super().__init__(stream)
        self._silence_s = silence_s
        self._slaves: dict[int, _Slave] = {}
        self._received = b""
        self._heard_s = 0.0  # when the last byte came; 0 if the line was just opened
        self._awaited = 0
        self._quiet_until_s = 0.0

    def close(self) -> None:
        """Close the line."""
        super().close()
        self._received, self._heard_s = b"", 0.0

    def _exchange(self, question: Question, deadline_s: float) -> list[int]:
        slave = self._slaves.setdefault(question.unit, _Slave())
        self._hear_out(deadline_s)
        if self._fall_silent(deadline_s) >= RTU_OVERHEAD:
            slave.doubt(time.monotonic())  # somebody spoke unasked
        if time.monotonic() < slave.doubted_until_s:
            self._settle(slave, question, deadline_s)
        return self._converse(slave, question, deadline_s)

    def _no_answer_hint(self) -> str:
        return _("check the wiring, the unit id and the baud rate on the meter's display")

    def _hear_out(self, deadline_s: float) -> None:
        """Leave the line to a slave that may still answer, for at most half of the time there is."""
        until_s = min(self._quiet_until_s, (time.monotonic() + deadline_s) / 2)
        while time.monotonic() < until_s:
            self._receive(until_s)
            try:
                frame = self._next_frame(b"")
            except ValueError:
                self._received = b""
                continue
            if frame and self._is_late(frame) and frame[0] == self._awaited:
                until_s = 0.0
        self._quiet_until_s = 0.0

    def _fall_silent(self, deadline_s: float) -> int:
        """Throw away what is still arriving, until a frame would be over; return how many bytes that was."""
        self._heard_s = self._heard_s or time.monotonic()
        thrown_away = len(self._received)
        self._received = b""
        while self._receive(self._heard_s + self._silence_s):
            thrown_away += len(self._received)
            self._received = b""
            if time.monotonic() > deadline_s:
                raise TimeoutError(_("the line does not fall silent"))
        return thrown_away

    def _settle(self, slave: _Slave, question: Question, deadline_s: float) -> None:
        """Get an answer from a slave in doubt that can be no late one."""
        taken = {answer_bytes for _at_s, answer_bytes in slave.asked}
        for other in islice(with_other_length(question, taken), LENGTHS_TRIED):
            try:
                self._converse(slave, other, deadline_s)
            except ExceptionAnswer:
                # A refusal is as long as any other: it may be late itself, and so may the answer to this question be.
                slave.doubt(time.monotonic())
            else:
                slave.doubted_until_s = 0.0
                return
        raise ValueError(_("late answers may still come, and it refuses to be read in another length"))

    def _converse(self, slave: _Slave, question: Question, deadline_s: float) -> list[int]:
        request = rtu_request(question)
        asked_s = time.monotonic()
        slave.note_asked(asked_s, deadline_s, question.answer_bytes)
        try:
            self._stream.send(request, deadline_s)
            words = rtu_answer(self._answer(request, question, deadline_s), question)
        except ExceptionAnswer:
            slave.unanswered_s = 0.0
            raise
        except BaseException as error:
            slave.doubt(asked_s)
            # What was answered badly has been answered; what was not answered may still be.
            from_s = deadline_s if isinstance(error, TimeoutError) else asked_s
            self._awaited, self._quiet_until_s = question.unit, from_s + (slave.longest_s or deadline_s - asked_s)
            raise
        slave.note_answered(self._heard_s - asked_s)
        return words

    def _answer(self, request: bytes, question: Question, deadline_s: float) -> bytes:
        """Wait for a frame that claims to be the answer."""
        mine = (question.unit, question.function, question.answer_bytes)
        refused = (question.unit, question.function | EXCEPTION_FLAG)
        echo = request
        while True:
            frame = self._next_frame(echo)
            if not frame:
                if not self._receive(deadline_s):
                    raise TimeoutError(_("time ran out after {count} bytes").format(count=len(self._received)))
            elif frame == echo:
                echo = b""  # there is one, if any
            elif tuple(frame[:3]) == mine or tuple(frame[:2]) == refused or not self._is_late(frame):
                return frame

    def _is_late(self, frame: bytes) -> bool:
        """Tell whether this is the answer to an older question."""
        slave = self._slaves.get(frame[0])
        if slave is None or time.monotonic() > slave.doubted_until_s or not is_sound(frame):
            return False
        slave.note_answered(time.monotonic() - slave.unanswered_s)
        return True

    def _next_frame(self, echo: bytes) -> bytes:
        """Take the next whole frame from what was received; nothing if it is not whole yet."""
        start = self._received[: len(echo)]
        if start and echo.startswith(start):
            # An answer that begins like its question would be cut here: no answer rather than a wrong one.
            length = len(echo)
        else:
            length = rtu_length(self._received) or len(self._received) + 1
        if length > len(self._received):
            return b""
        frame, self._received = self._received[:length], self._received[length:]
        return frame

    def _receive(self, deadline_s: float) -> bool:
        """Wait for more bytes; False if none came by the deadline."""
        more = self._stream.receive(deadline_s)
        if more:
            self._received += more
            self._heard_s = time.monotonic()
        return bool(more)


class SerialLine(RtuLine):
    """Modbus RTU on a serial port."""

    def __init__(self, port: str, baud: int, parity: str, stop_bits: int) -> None:
        character_bits = 1 + 8 + (parity != "N") + stop_bits
        silence_s = max(FRAME_GAP_CHARACTERS * character_bits / baud, SHORTEST_SILENCE_S)
        super().__init__(SerialStream(port, baud, parity, stop_bits), silence_s)


class RtuOverTcpLine(RtuLine):
    """Modbus RTU frames on a TCP connection, as serial servers pass them on; not Modbus TCP."""

    def __init__(self, host: str, tcp_port: int) -> None:
        hint = _("check the address, and that the serial server listens on this port")
        super().__init__(TcpStream(host, tcp_port, hint), NETWORK_SILENCE_S)

    def _no_answer_hint(self) -> str:
        return _("check the wiring and the unit id, and the baud rate set in the serial server")
