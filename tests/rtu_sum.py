"""The sum at the end of a Modbus frame on a serial line."""

import struct


def crc(frame: bytes) -> bytes:
    """Return the two CRC bytes of an RTU frame (Modbus over serial line V1.02, 6.2.2)."""
    value = 0xFFFF
    for byte in frame:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ 0xA001 if value & 1 else value >> 1
    return struct.pack("<H", value)
