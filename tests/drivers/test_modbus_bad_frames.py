"""Whatever is wrong with an answer on the wire, it never becomes a value."""

import struct
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing

import pytest
from rtu_sum import crc
from wires import Answering, SerialFarEnd, TcpFarEnd, registers, rtu, tcp

from instrument_agent.core.errors import DeviceUnavailable
from instrument_agent.drivers.modbus_exchange import Line
from instrument_agent.drivers.modbus_frames import Question
from instrument_agent.drivers.modbus_line import SerialLine, TcpLine

POWER = Question(unit=1, function=4, address=0x000C, count=2)
ENERGY = Question(unit=1, function=4, address=0x0048, count=2)
BLOCK = Question(unit=1, function=4, address=0x0000, count=20)
NEIGHBOUR = Question(unit=2, function=4, address=0x000C, count=2)
DATA = registers(1900.0)
WORDS = list(struct.unpack(">HH", DATA))
TIMEOUT_S = 1.0  # for a right answer
NO_ANSWER_S = 0.1
BUSY_S = 1.0
"""So much later than the product means to, a busy machine may let it go on."""


def ask(line: Line, question: Question = POWER, timeout_s: float = TIMEOUT_S) -> list[int] | None:
    return line.ask(question, time.monotonic() + timeout_s)


def right_rtu(question: bytes) -> list[bytes]:
    return [rtu(question, (DATA * 63)[: 2 * question[5]])]


def right_tcp(question: bytes) -> list[bytes]:
    return [tcp(question, DATA)]


@pytest.fixture
def serial_end() -> Iterator[SerialFarEnd]:
    with SerialFarEnd(right_rtu) as end:
        yield end


@pytest.fixture
def tcp_end() -> Iterator[TcpFarEnd]:
    with TcpFarEnd(right_tcp) as end:
        yield end


@pytest.fixture
def serial_line(serial_end: SerialFarEnd) -> Iterator[SerialLine]:
    with closing(SerialLine(serial_end.port, 9600, "N", 1)) as line:
        yield line


@pytest.fixture
def tcp_line(tcp_end: TcpFarEnd) -> Iterator[TcpLine]:
    with closing(TcpLine("127.0.0.1", tcp_end.port)) as line:
        yield line


def damaged(frame: bytes, at: int) -> bytes:
    return frame[:at] + bytes([frame[at] ^ 0x01]) + frame[at + 1 :]


def exception(question: bytes, function: int) -> bytes:
    return rtu(question, b"", function=function, count=4)


SERIAL_DEFECTS: dict[str, Callable[[bytes], Iterable[bytes]]] = {
    "silence": lambda _q: [],
    "wrong CRC": lambda q: [damaged(rtu(q, DATA), 8)],
    "a damaged value": lambda q: [damaged(rtu(q, DATA), 4)],
    "another unit": lambda q: [rtu(q, DATA, unit=2)],
    "another function": lambda q: [rtu(q, DATA, function=3)],
    "a write confirmed": lambda q: [rtu(q, DATA, function=6)],
    "a short frame": lambda q: [rtu(q, DATA)[:-1]],
    "only its head": lambda q: [rtu(q, DATA)[:3]],
    "fewer registers": lambda q: [rtu(q, DATA[:2])],
    "more registers": lambda q: [rtu(q, registers(1900.0, 1.0))],
    "byte count too low": lambda q: [rtu(q, DATA, count=2)],
    "byte count odd": lambda q: [rtu(q, DATA, count=3)],
    "byte count too high": lambda q: [rtu(q, DATA, count=6)],
    "echo of the question": lambda q: [q],
    "two echoes": lambda q: [q + q + rtu(q, DATA)],
    "the echo of another question": lambda q: [q[:3] + b"\x48" + q[4:6] + crc(q[:3] + b"\x48" + q[4:6]) + rtu(q, DATA)],
    "a zero byte before": lambda q: [b"\x00" + rtu(q, DATA)],
    "noise before": lambda q: [b"\xff\xfe\x80" + rtu(q, DATA)],
    "zeros": lambda _q: [bytes(64)],
    "ones": lambda _q: [b"\xff" * 64],
    "exception with wrong CRC": lambda q: [damaged(exception(q, 0x84), 4)],
    "exception to another function": lambda q: [exception(q, 0x83)],
    "exception of another unit": lambda q: [rtu(q, b"", unit=2, function=0x84, count=4)],
}

TCP_DEFECTS: dict[str, Callable[[bytes], Iterable[bytes]]] = {
    "silence": lambda _q: [],
    "an older transaction": lambda q: [tcp(q, DATA, transaction=0xFFFF)],
    "transaction 0": lambda q: [tcp(q, DATA, transaction=0)],
    "another protocol": lambda q: [tcp(q, DATA, protocol=1)],
    "another unit": lambda q: [tcp(q, DATA, unit=2)],
    "another function": lambda q: [tcp(q, DATA, function=3)],
    "a write confirmed": lambda q: [tcp(q, DATA, function=16)],
    "a short frame": lambda q: [tcp(q, DATA)[:-1]],
    "only its header": lambda q: [tcp(q, DATA)[:7]],
    "fewer registers": lambda q: [tcp(q, DATA[:2])],
    "more registers": lambda q: [tcp(q, registers(1900.0, 1.0))],
    "byte count too low": lambda q: [tcp(q, DATA, count=2)],
    "byte count odd": lambda q: [tcp(q, DATA + b"\x00", count=5)],
    "byte count too high": lambda q: [tcp(q, DATA, count=6)],
    "bytes behind the registers": lambda q: [tcp(q, DATA + b"\x01\x02", count=4)],
    "length 0": lambda q: [tcp(q, DATA, length=0)],
    "length 1": lambda q: [tcp(q, DATA, length=1)],
    "length 2": lambda q: [tcp(q, b"", function=0x84, length=2)],
    "longer than any frame": lambda q: [tcp(q, bytes(400), length=403, count=4)],
    "length too low": lambda q: [tcp(q, DATA, length=5)],
    "echo of the question": lambda q: [q],
    "a byte before": lambda q: [b"\x00" + tcp(q, DATA)],
    "HTTP": lambda _q: [b"HTTP/1.1 400 Bad Request\r\n\r\n"],
    "exception to another function": lambda q: [tcp(q, b"", function=0x83, count=4)],
}


@pytest.mark.parametrize("defect", SERIAL_DEFECTS.values(), ids=SERIAL_DEFECTS.keys())
def test_a_bad_rtu_answer_is_no_answer_and_the_next_good_one_counts(
    serial_end: SerialFarEnd, serial_line: SerialLine, defect: Callable[[bytes], Iterable[bytes]]
) -> None:
    serial_end.answer = defect
    with pytest.raises(DeviceUnavailable, match="unit 1") as caught:
        ask(serial_line, timeout_s=NO_ANSWER_S)
    assert "baud" in caught.value.hint
    serial_end.answer = right_rtu
    assert ask(serial_line) == WORDS


@pytest.mark.parametrize("defect", TCP_DEFECTS.values(), ids=TCP_DEFECTS.keys())
def test_a_bad_tcp_answer_is_no_answer_and_the_next_good_one_counts(
    tcp_end: TcpFarEnd, tcp_line: TcpLine, defect: Callable[[bytes], Iterable[bytes]]
) -> None:
    tcp_end.answer = defect
    with pytest.raises(DeviceUnavailable, match="unit 1") as caught:
        ask(tcp_line, timeout_s=NO_ANSWER_S)
    assert "unit id" in caught.value.hint
    assert "baud" not in caught.value.hint  # there is none on a network
    tcp_end.answer = right_tcp
    assert ask(tcp_line) == WORDS


def test_no_single_flipped_bit_of_an_rtu_answer_gets_through(serial_end: SerialFarEnd) -> None:
    for bit in range(8 * 9):

        def flipped(question: bytes, bit: int = bit) -> list[bytes]:
            frame = bytearray(rtu(question, DATA))
            frame[bit // 8] ^= 1 << bit % 8
            return [bytes(frame)]

        serial_end.answer = flipped
        line = SerialLine(serial_end.port, 9600, "N", 1)
        with pytest.raises(DeviceUnavailable):
            ask(line, timeout_s=0.05)


@pytest.mark.parametrize("pieces", [1, 2, 8], ids=["whole", "in two", "byte by byte"])
def test_an_adapter_that_echoes_every_question_is_read_like_any_other(
    serial_end: SerialFarEnd, serial_line: SerialLine, pieces: int
) -> None:
    size = 8 // pieces
    serial_end.answer = lambda q: [*(q[at : at + size] for at in range(0, 8, size)), rtu(q, DATA)]
    assert [ask(serial_line) for _ in range(3)] == [WORDS] * 3
    assert len(serial_end.asked) == 3


def test_the_echo_of_a_question_for_bits_is_not_taken_for_its_answer(
    serial_end: SerialFarEnd, serial_line: SerialLine
) -> None:
    """It is as long as the answer, and its CRC is right."""
    coils = Question(unit=1, function=1, address=0x0300, count=24)
    serial_end.answer = lambda question: [question]
    with pytest.raises(DeviceUnavailable):
        ask(serial_line, coils, NO_ANSWER_S)
    serial_end.answer = lambda question: [question, rtu(question, b"\x05\x00\x80\xff"[: (question[5] + 7) // 8])]
    assert ask(serial_line, coils) == [1, 0, 1] + [0] * 20 + [1]


def test_noise_after_an_answer_does_not_disturb_the_next(serial_end: SerialFarEnd, serial_line: SerialLine) -> None:
    serial_end.answer = lambda question: [rtu(question, DATA) + b"\xff\x00\x01\x04"]
    assert [ask(serial_line) for _ in range(3)] == [WORDS] * 3


def test_an_answer_in_single_bytes_is_whole(
    serial_end: SerialFarEnd, serial_line: SerialLine, tcp_end: TcpFarEnd, tcp_line: TcpLine
) -> None:
    serial_end.answer = lambda question: [bytes([byte]) for byte in rtu(question, DATA)]
    tcp_end.answer = lambda question: [bytes([byte]) for byte in tcp(question, DATA)]
    assert ask(serial_line) == ask(tcp_line) == WORDS


def test_an_exception_answer_is_an_answer_without_registers(
    serial_end: SerialFarEnd, serial_line: SerialLine, tcp_end: TcpFarEnd, tcp_line: TcpLine
) -> None:
    serial_end.answer = lambda question: [exception(question, 0x84)]
    tcp_end.answer = lambda question: [tcp(question, b"", function=0x84, count=2)]
    assert ask(serial_line) is None
    assert ask(tcp_line) is None
    tcp_end.answer = right_tcp
    assert ask(tcp_line) == WORDS
    assert tcp_end.connections == 1


def test_after_a_timeout_on_tcp_the_late_answer_stays_on_the_old_connection(
    tcp_end: TcpFarEnd, tcp_line: TcpLine
) -> None:
    tcp_end.answer = lambda _question: []
    with pytest.raises(DeviceUnavailable):
        ask(tcp_line, timeout_s=NO_ANSWER_S)
    tcp_end.answer = right_tcp
    assert ask(tcp_line, ENERGY) == WORDS
    assert tcp_end.connections == 2


def test_a_second_answer_to_one_question_on_tcp_is_not_the_answer_to_the_next(
    tcp_end: TcpFarEnd, tcp_line: TcpLine
) -> None:
    tcp_end.answer = lambda question: [tcp(question, DATA) * 2]
    assert ask(tcp_line) == WORDS
    tcp_end.answer = lambda question: [tcp(question, registers(7.0))]
    with pytest.raises(DeviceUnavailable):
        ask(tcp_line, ENERGY)


def test_a_dribbling_device_costs_no_more_than_its_time(
    serial_end: SerialFarEnd, serial_line: SerialLine, tcp_end: TcpFarEnd, tcp_line: TcpLine
) -> None:
    def dribble(end: Answering) -> Callable[[bytes], Iterable[bytes]]:
        def answer(question: bytes) -> Iterator[bytes]:
            frame = (rtu if end is serial_end else tcp)(question, DATA * 10)
            for byte in frame:
                if end.stopping.wait(0.05):
                    return
                yield bytes([byte])

        return answer

    for end, line in ((serial_end, serial_line), (tcp_end, tcp_line)):
        end.answer = dribble(end)
        start_s = time.monotonic()
        with pytest.raises(DeviceUnavailable):
            ask(line, BLOCK, 0.3)
        assert 0.2 < time.monotonic() - start_s < 0.3 + BUSY_S
        end.stopping.set()


def test_a_line_that_never_falls_silent_costs_no_more_than_its_time(
    serial_end: SerialFarEnd, serial_line: SerialLine
) -> None:
    def babble(_question: bytes) -> Iterator[bytes]:
        while not serial_end.stopping.wait(0.001):
            yield b"\x55" * 4

    serial_end.answer = babble
    for _ in range(2):
        start_s = time.monotonic()
        with pytest.raises(DeviceUnavailable):
            ask(serial_line, POWER, 0.2)
        assert time.monotonic() - start_s < 0.2 + BUSY_S


@pytest.mark.parametrize("function", [1, 2])
def test_bits_are_read_over_rtu_and_over_tcp(
    serial_end: SerialFarEnd, serial_line: SerialLine, tcp_end: TcpFarEnd, tcp_line: TcpLine, function: int
) -> None:
    serial_end.answer = lambda question: [rtu(question, b"\xcd\x02")]
    tcp_end.answer = lambda question: [tcp(question, b"\xcd\x02")]
    for line in (serial_line, tcp_line):
        assert ask(line, Question(1, function, 19, 10)) == [1, 0, 1, 1, 0, 0, 1, 1, 0, 1]
    assert serial_end.asked[0][1:6] == tcp_end.asked[0][7:] == bytes([function, 0, 19, 0, 10])


def test_bits_of_another_number_of_bytes_are_no_answer(tcp_end: TcpFarEnd, tcp_line: TcpLine) -> None:
    for data in (b"\xcd", b"\xcd\x02\x00"):
        tcp_end.answer = lambda question, data=data: [tcp(question, data)]
        with pytest.raises(DeviceUnavailable):
            ask(tcp_line, Question(1, 2, 19, 10))
