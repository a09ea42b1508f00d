"""What arrives on a serial port that carries text, and when nothing does."""

import select
import time

import serial

from instrument_agent.i18n import _

SILENCE_S = 0.02
"""A question is asked after the line was still for so long; what arrives before answers no question of this read."""
TTY_BUFFER = 4095
"""Bytes the kernel keeps for a reader (N_TTY_BUF_SIZE - 1); from then on bytes may be missing."""


def received(port: serial.Serial, deadline_s: float) -> bytes:
    """Return what arrives next, or nothing at the deadline (of ``time.monotonic``)."""
    left_s = deadline_s - time.monotonic()
    if left_s <= 0 or not select.select([port], [], [], left_s)[0]:
        return b""
    data: bytes = port.read(TTY_BUFFER)
    return data


def await_silence(port: serial.Serial, deadline_s: float) -> None:
    """Throw away what arrives until nothing more does.

    Raises:
        TimeoutError: it goes on beyond the deadline.
    """
    while select.select([port], [], [], SILENCE_S)[0]:
        port.read(TTY_BUFFER)
        if time.monotonic() > deadline_s:
            raise TimeoutError(_("the line does not fall silent"))


def forget(port: serial.Serial) -> None:
    """Throw away a backlog in which bytes may be missing, and what an adapter held back behind it."""
    port.reset_input_buffer()
    until_s = time.monotonic() + SILENCE_S
    while received(port, until_s):
        pass
