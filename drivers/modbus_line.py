"""The lines Modbus devices hang on, each shared by all devices on it: a serial port, or a TCP endpoint.

The ports are driven here and not by pymodbus' client (docs/decisions/0005): it times its waits with the wall clock
(a Pi's jumps by years) and accepts a late answer to an older question.
"""

from functools import cache

from instrument_agent.drivers.modbus_exchange import Asked, Line
from instrument_agent.drivers.modbus_frames import Question
from instrument_agent.drivers.modbus_rtu import RtuOverTcpLine, SerialLine
from instrument_agent.drivers.modbus_tcp import TcpLine

__all__ = ["Asked", "Line", "Question", "SerialLine", "TcpLine", "rtu_over_tcp_line", "serial_line", "tcp_line"]


@cache
def serial_line(port: str, baud: int, parity: str, stop_bits: int) -> Line:
    """Return the line of a serial port; meters on the same port get the same line."""
    return SerialLine(port, baud, parity, stop_bits)


@cache
def tcp_line(host: str, tcp_port: int) -> Line:
    """Return the line of a Modbus TCP endpoint; meters behind the same gateway get the same line."""
    return TcpLine(host, tcp_port)


@cache
def rtu_over_tcp_line(host: str, tcp_port: int) -> Line:
    """Return the line behind a serial server that passes RTU frames on as they are."""
    return RtuOverTcpLine(host, tcp_port)
