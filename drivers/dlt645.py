"""DL/T 645-2007, as far as one question needs it: is there a meter that speaks it, and what is its address?

Many meters made for China ship speaking DL/T 645 and stay silent on Modbus until they are switched over. The
question is "read communication address" (control code 13H) to the address of all, AA AA AA AA AA AA; it changes
nothing in the meter. A frame is 68H, address (BCD, least significant byte first), 68H, control code, length, data
(each byte + 33H), sum of all bytes from the first 68H modulo 256, 16H; FEH bytes before it wake the receiver.
"""

import select
import termios
import time

from instrument_agent.core.errors import DeviceUnavailable
from instrument_agent.drivers.serial_port import open_port
from instrument_agent.i18n import _

START, END, WAKE_UP = 0x68, 0x16, b"\xfe" * 4
EVERYBODY = b"\xaa" * 6
READ_ADDRESS, ADDRESS_READ = 0x13, 0x93
OFFSET = 0x33
ADDRESS_BYTES = 6
PARITY = "E"
BAUDS = (2400, 9600, 1200)
"""2400 is the standard's own; the others are met as factory settings."""
ANSWER_WITHIN_S = 0.5
"""A meter answers 20 to 500 ms after the end of the question (DL/T 645-2007)."""
LONGEST_BITS = 11 * (len(WAKE_UP) + 12 + len(WAKE_UP) + 18)
"""Question and answer on the wire: start, 8 data, parity and stop bit each."""


def address_question() -> bytes:
    """Return the frame that asks whoever is on the line for its address."""
    frame = bytes([START, *EVERYBODY, START, READ_ADDRESS, 0])
    return WAKE_UP + frame + bytes([sum(frame) % 256, END])


def address_in(answer: bytes) -> str | None:
    """Return the twelve digits of the meter's address, or None where ``answer`` holds no whole good frame."""
    for start in (index for index, byte in enumerate(answer) if byte == START):
        frame = answer[start : start + 12 + ADDRESS_BYTES]
        if len(frame) < 12 + ADDRESS_BYTES or frame[-1] != END or sum(frame[:-2]) % 256 != frame[-2]:
            continue
        if frame[7:10] != bytes([START, ADDRESS_READ, ADDRESS_BYTES]):
            continue
        address = frame[1:7]
        if bytes((byte - OFFSET) % 256 for byte in frame[10:16]) == address and address.hex().isdecimal():
            return bytes(reversed(address)).hex()
    return None


def ask_address(port: str, baud: int) -> str | None:
    """Ask on a serial port (8 data bits, even parity, 1 stop bit) and return a meter's address, or None.

    Raises:
        DeviceUnavailable: the port cannot be used.
    """
    deadline_s = time.monotonic() + LONGEST_BITS / baud + ANSWER_WITHIN_S
    try:
        with open_port(port, baud, PARITY, 1) as line:
            line.reset_input_buffer()
            line.write(address_question())
            answer = b""
            while (left_s := deadline_s - time.monotonic()) > 0:
                if select.select([line], [], [], left_s)[0]:
                    more = line.read(256)
                    answer = (answer + more)[-256:]
                    if not more or address_in(answer):
                        break
            return address_in(answer)
    except (OSError, termios.error) as error:
        raise DeviceUnavailable(_("the port {port} cannot be used: {error}").format(port=port, error=error)) from error
