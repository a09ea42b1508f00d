"""Questions to a Modbus device and the frames they travel in; pure.

pymodbus builds and takes apart the frames; what an answer must look like to be believed is decided here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU, ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest

from instrument_agent.i18n import _

# The box only watches: these four are the only requests that can be built here.
REQUESTS = {
    1: ReadCoilsRequest,
    2: ReadDiscreteInputsRequest,
    3: ReadHoldingRegistersRequest,
    4: ReadInputRegistersRequest,
}
BIT_FUNCTIONS = (1, 2)
BITS_AT_MOST, WORDS_AT_MOST = 2000, 125  # Modbus application protocol V1.1b3, 6.1 and 6.3
ADDRESSES = 0x10000
UNITS = range(1, 0x100)  # 0 is for broadcasts, which nobody answers
EXCEPTION_FLAG = 0x80
RTU_OVERHEAD = 5  # unit, function, byte count, two bytes CRC; an exception answer is just as long
MODBUS_PROTOCOL = b"\x00\x00"
TCP_UNIT_AT = 6  # behind transaction, protocol and length
_RTU, _SOCKET = FramerRTU(DecodePDU(False)), FramerSocket(DecodePDU(False))


@dataclass(frozen=True, slots=True)
class Question:
    """Read ``count`` coils (1), discrete inputs (2), holding (3) or input registers (4) from ``address`` of ``unit``.

    Raises:
        ValueError: another function, or what no device has: nothing that writes can be asked.
    """

    unit: int
    function: int
    address: int
    count: int

    def __post_init__(self) -> None:
        most = BITS_AT_MOST if self.function in BIT_FUNCTIONS else WORDS_AT_MOST
        fits = self.address >= 0 and 1 <= self.count <= most and self.address + self.count <= ADDRESSES
        if self.function not in REQUESTS or self.unit not in UNITS or not fits:
            raise ValueError(f"this cannot be asked: {self}")

    @property
    def answer_bytes(self) -> int:
        """How many bytes of registers or bits the answer carries."""
        return (self.count + 7) // 8 if self.function in BIT_FUNCTIONS else 2 * self.count


class ExceptionAnswer(Exception):
    """The device understood and refused."""


def with_other_length(question: Question, taken: set[int]) -> Iterator[Question]:
    """Yield questions like this one whose answers are longer or shorter than any of ``taken`` bytes.

    A shorter one comes first, because a device need not have the registers behind those that are wanted; both one
    and two registers away, because some devices refuse to read half of a 32-bit value.
    """
    step = 8 if question.function in BIT_FUNCTIONS else 1
    for steps in (-1, -2, 1, 2, *(sign * away for away in range(3, WORDS_AT_MOST) for sign in (-1, 1))):
        try:
            other = replace(question, count=question.count + steps * step)
        except ValueError:
            continue
        if other.answer_bytes not in taken:
            yield other


@lru_cache(maxsize=1024)
def rtu_request(question: Question) -> bytes:
    """Return a question as an RTU frame."""
    return _RTU.buildFrame(_request(question))


def tcp_request(question: Question, transaction: int) -> bytes:
    """Return a question as a Modbus TCP frame with this transaction number."""
    return transaction.to_bytes(2, "big") + _behind_transaction(question)


def rtu_answer(frame: bytes, question: Question) -> list[int]:
    """Take an RTU answer apart.

    Raises:
        ExceptionAnswer: the device refused.
        ValueError: the frame is damaged or answers something else.
    """
    return _answer(_RTU, frame, 0, question, 0)


def tcp_answer(frame: bytes, question: Question, transaction: int) -> list[int]:
    """Take a Modbus TCP answer apart, which must carry this transaction number.

    Raises:
        ExceptionAnswer: the device refused.
        ValueError: the frame is damaged or answers something else.
    """
    if frame[:4] != transaction.to_bytes(2, "big") + MODBUS_PROTOCOL:
        raise ValueError(_("an answer to another question: {frame}").format(frame=frame.hex()))
    return _answer(_SOCKET, frame, TCP_UNIT_AT, question, transaction)


def is_sound(frame: bytes) -> bool:
    """Tell whether the CRC of an RTU frame is right."""
    return FramerRTU.check_CRC(frame[:-2], int.from_bytes(frame[-2:], "big"))


def rtu_length(start: bytes) -> int | None:
    """Return how long the RTU answer is that starts like this; None while too little of it is there.

    Raises:
        ValueError: no answer to anything that can be asked here starts like this.
    """
    for function in start[1:2]:
        if function & ~EXCEPTION_FLAG not in REQUESTS:
            raise ValueError(_("bytes that belong to no answer: {frame}").format(frame=start.hex()))
        if function & EXCEPTION_FLAG:
            return RTU_OVERHEAD
        for byte_count in start[2:3]:
            return RTU_OVERHEAD + byte_count
    return None


@lru_cache(maxsize=1024)
def _behind_transaction(question: Question) -> bytes:
    return _SOCKET.buildFrame(_request(question))[2:]


def _request(question: Question) -> ModbusPDU:
    return REQUESTS[question.function](address=question.address, count=question.count, dev_id=question.unit)


def _answer(
    framer: FramerRTU | FramerSocket, frame: bytes, unit_at: int, question: Question, transaction: int
) -> list[int]:
    """Take the answer apart; it must be whole, from the right unit, and as long as the question asked."""
    unit, function = frame[unit_at : unit_at + 2]
    if unit != question.unit or function & ~EXCEPTION_FLAG != question.function:
        raise ValueError(_("an answer of another unit or to another question: {frame}").format(frame=frame.hex()))
    _used, pdu = framer.handleFrame(frame, unit, transaction)
    # pymodbus skips what stands around a frame and rounds odd byte counts: here every byte must be as it is written.
    if pdu is None or framer.buildFrame(pdu) != frame:
        raise ValueError(_("a damaged frame: {frame}").format(frame=frame.hex()))
    if function & EXCEPTION_FLAG:
        raise ExceptionAnswer
    bits = question.function in BIT_FUNCTIONS
    if len(pdu.bits) // 8 + 2 * len(pdu.registers) != question.answer_bytes:
        raise ValueError(_("an answer to another question: {frame}").format(frame=frame.hex()))
    return [int(bit) for bit in pdu.bits[: question.count]] if bits else list(pdu.registers)
