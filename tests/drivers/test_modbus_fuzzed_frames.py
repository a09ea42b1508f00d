"""Thousands of damaged answers (FUZZ_FRAMES, 3000): none becomes a value, and nothing but "no answer" comes out.

The wires here are in memory, so that an answer costs no waiting; a last test does the same on real ones. What may be
believed is decided by a decoder of the tests' own: a damaged frame whose CRC is right by chance is a right frame.
"""

import gc
import os
import random
import struct
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rtu_sum import crc
from wires import SerialFarEnd, TcpFarEnd, rtu, tcp

from instrument_agent.core.errors import DeviceUnavailable
from instrument_agent.drivers.modbus_exchange import Line
from instrument_agent.drivers.modbus_frames import Question
from instrument_agent.drivers.modbus_line import SerialLine, TcpLine
from instrument_agent.drivers.modbus_rtu import RtuLine

FRAMES = int(os.environ.get("FUZZ_FRAMES", "3000"))
TIMEOUT_S = 0.002

# Questions and the data of their answers: examples of the Modbus application protocol V1.1b3 (6.1 to 6.4), and what
# an Eastron SDM120 says (230.2 V; 0.63 A; 136 W; 42.1 kWh).
CAPTURES = [
    (Question(1, 1, 19, 19), bytes.fromhex("CD6B05")),
    (Question(1, 2, 196, 22), bytes.fromhex("ACDB35")),
    (Question(17, 3, 107, 3), bytes.fromhex("022B00000064")),
    (Question(17, 4, 8, 1), bytes.fromhex("000A")),
    (Question(1, 4, 0x0000, 14), struct.pack(">7f", 230.2, 0, 0, 0.63, 0, 0, 136.0)),
    (Question(1, 4, 0x0048, 2), struct.pack(">f", 42.1)),
    (Question(247, 3, 0x2006, 125), bytes(range(250))),
]


@dataclass
class Wire:
    """A stream in memory: each question is answered by the pieces that ``answer`` makes of it."""

    answer: Callable[[bytes], list[bytes]] = lambda _question: []
    pieces: list[bytes] = field(default_factory=list)
    sent: bytes = b""

    def open(self, timeout_s: float) -> None:
        pass

    def close(self) -> None:
        self.pieces.clear()

    def send(self, data: bytes, deadline_s: float) -> None:
        self.pieces += self.answer(data)
        self.sent = b"".join(self.pieces)

    def receive(self, deadline_s: float) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


def decoded(question: Question, data: bytes) -> list[int]:
    """The tests' own decoder."""
    if question.function < 3:
        return [data[bit // 8] >> bit % 8 & 1 for bit in range(question.count)]
    return list(struct.unpack(f">{question.count}H", data))


def believable(sent: bytes, question: Question) -> list[list[int] | None]:
    """Everything in the bytes that is a whole right answer, wherever it begins."""
    found: list[list[int] | None] = []
    size = (question.count + 7) // 8 if question.function < 3 else 2 * question.count
    good = bytes([question.unit, question.function, size])
    refused = bytes([question.unit, question.function | 0x80])
    for start in range(len(sent) - 4):
        for head, length in ((good, 5 + size), (refused, 5)):
            frame = sent[start : start + length]
            if frame.startswith(head) and len(frame) == length and crc(frame[:-2]) == frame[-2:]:
                found.append(decoded(question, frame[3:-2]) if head == good else None)
    return found


def mutated(rng: random.Random, frame: bytes, question: bytes) -> list[bytes]:
    """Damage an answer in one to three ways, and cut it into pieces."""
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(frame) + 1)
        noise = rng.randbytes(rng.randint(1, 12))
        flipped = bytearray(frame or b"\x00")
        for _bit in range(rng.randint(1, 4)):
            flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
        other = rng.choice(CAPTURES)
        frame = rng.choice(
            [
                bytes(flipped),
                frame[:at],
                frame[at:],
                frame[:at] + noise + frame[at:],
                frame[:at] + frame[at + rng.randint(1, 3) :],
                frame + frame,
                question + frame,
                noise + frame,
                frame + noise,
                rtu(question, other[1]),
                rtu(bytes([other[0].unit, other[0].function]), other[1]),
                rtu(question, b"", function=question[1] | 0x80, count=rng.randrange(256)),
                rtu(question, frame[3:-2], count=rng.randrange(256)),
                noise,
                b"",
            ]
        )
    cuts = sorted(rng.randrange(len(frame) + 1) for _ in range(rng.randint(0, 3)))
    pieces = [frame[start:end] for start, end in zip([0, *cuts], [*cuts, len(frame)], strict=True)]
    return [piece for piece in pieces if piece]


def outcome(line: Line, question: Question, timeout_s: float = TIMEOUT_S) -> list[int] | DeviceUnavailable | None:
    try:
        return line.ask(question, time.monotonic() + timeout_s)
    except DeviceUnavailable as unavailable:
        return unavailable


def test_no_damaged_answer_becomes_a_value() -> None:
    rng = random.Random(20261122)
    wire = Wire()
    line = RtuLine(wire, 0.0)
    counts = {"no answer": 0, "right": 0, "refused": 0}
    for number in range(FRAMES):
        if number % 5 == 0:
            line = RtuLine(wire, 0.0)  # one that doubts nobody
        question, data = rng.choice(CAPTURES)
        wire.answer = lambda asked, data=data: mutated(rng, rtu(asked, data), asked)
        found = outcome(line, question)
        if isinstance(found, DeviceUnavailable):
            counts["no answer"] += 1
        else:
            assert found in believable(wire.sent, question), wire.sent.hex()
            counts["right" if found else "refused"] += 1
    assert min(counts.values()) > FRAMES / 100, counts


def test_no_damaged_answer_of_modbus_tcp_becomes_a_value() -> None:
    rng = random.Random(20261123)
    wire = Wire()
    line = TcpLine("127.0.0.1", 502)
    line._stream = wire
    for _ in range(FRAMES // 3):
        question, data = rng.choice(CAPTURES)

        def answer(asked: bytes, data: bytes = data) -> list[bytes]:
            frame = bytearray(tcp(asked, data))
            at = rng.randrange(9)  # only the header can be checked: TCP itself guards the rest
            frame[at] ^= 1 << rng.randrange(8)
            return (
                [bytes(frame[: rng.randrange(len(frame) + 1)]), bytes(frame)] if rng.random() < 0.2 else [bytes(frame)]
            )

        wire.answer = answer
        found = outcome(line, question)
        assert isinstance(found, DeviceUnavailable) or (found is None and wire.sent[7] & 0x80)


@settings(max_examples=max(200, FRAMES // 20), deadline=None)
@given(
    pieces=st.lists(st.binary(max_size=20), max_size=4),
    capture=st.sampled_from(CAPTURES),
    right_at=st.one_of(st.none(), st.integers(0, 4)),
)
def test_whatever_bytes_come_there_is_a_right_answer_or_none(
    pieces: list[bytes], capture: tuple[Question, bytes], right_at: int | None
) -> None:
    question, data = capture

    def answer(asked: bytes) -> list[bytes]:
        given = [piece for piece in pieces if piece]
        return given if right_at is None else [*given[:right_at], rtu(asked, data), *given[right_at:]]

    wire = Wire(answer)
    found = outcome(RtuLine(wire, 0.0), question)
    assert isinstance(found, DeviceUnavailable) or found in believable(wire.sent, question)


def test_damaged_answers_leave_nothing_behind_in_memory() -> None:
    rng = random.Random(3)
    wire = Wire()
    line = RtuLine(wire, 0.0)

    def abuse(rounds: int) -> int:
        for _ in range(rounds):
            question, data = rng.choice(CAPTURES)
            wire.answer = lambda asked, data=data: mutated(rng, rtu(asked, data), asked)
            outcome(line, question)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = abuse(100)
        assert abuse(min(1000, FRAMES // 20)) - before < 20_000
    finally:
        tracemalloc.stop()


@pytest.fixture
def ends() -> Iterator[tuple[SerialFarEnd, TcpFarEnd]]:
    with SerialFarEnd(lambda _question: []) as serial_end, TcpFarEnd(lambda _question: []) as tcp_end:
        yield serial_end, tcp_end


@pytest.fixture
def lines(ends: tuple[SerialFarEnd, TcpFarEnd]) -> Iterator[list[Line]]:
    lines: list[Line] = [SerialLine(ends[0].port, 115200, "N", 1), TcpLine("127.0.0.1", ends[1].port)]
    yield lines
    for line in lines:
        line.close()


def test_damaged_answers_on_real_wires_leave_no_port_open(
    ends: tuple[SerialFarEnd, TcpFarEnd], lines: list[Line]
) -> None:
    rng = random.Random(4)
    serial_end, tcp_end = ends
    question, data = CAPTURES[5]
    descriptors: list[int] = []
    for number in range(40):
        serial_end.answer = lambda asked: mutated(rng, rtu(asked, data), asked)
        tcp_end.answer = lambda asked: [tcp(asked, data, transaction=rng.randrange(10), length=rng.randrange(12))]
        for line in lines:
            found = outcome(line, question, 0.02)
            assert isinstance(found, DeviceUnavailable) or found in (None, decoded(question, data))
        if number in (5, 39):  # let go of properly, a port can be had again at once
            serial_end.answer = lambda asked: [rtu(asked, (data * 63)[: 2 * asked[5]])]
            tcp_end.answer = lambda asked: [tcp(asked, data)]
            assert [outcome(line, question, 1.0) for line in lines] == [decoded(question, data)] * 2
        if number in (5, 39):
            for line in lines:
                line.close()
            descriptors.append(len(list(Path("/proc/self/fd").iterdir())))
    assert abs(descriptors[1] - descriptors[0]) <= 1  # the far end notices a closed connection in its own time
