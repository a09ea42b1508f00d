"""The lines meters hang on: RS-485 on a pair of pseudo-terminals, and Modbus TCP on loopback.

    agent ── ttyRS485 (symlink) ── pty ══ pump ══ pty ── Modbus RTU server ── meters 1..n

Everything here belongs to one event loop and must be called in its thread.
"""

import asyncio
import os
import tty
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import cast

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from instrument_agent.sandbox.meter import Fault, Meter

LOOPBACK = "127.0.0.1"
BAUD = 9600

# Where a frame names its unit: first in RTU, behind the six bytes of the MBAP header in TCP.
_RTU_UNIT_AT = 0
_TCP_UNIT_AT = 6
_LARGEST_READ = 4096


class Pty:
    """A pseudo-terminal without echo or line discipline.

    Our own descriptor of the far end stays open: otherwise the near end fails while nobody has the port open.
    """

    def __init__(self) -> None:
        self.near, self._far = os.openpty()
        tty.setraw(self._far)
        os.set_blocking(self.near, False)
        self.path = os.ttyname(self._far)

    def close(self) -> None:
        """Hang up: whoever has the port open gets an error, as when an adapter is pulled out."""
        os.close(self.near)
        os.close(self._far)


class SerialLine:
    """Several meters on one RTU line that can be pulled out and plugged in again; ``link`` is its stable path."""

    def __init__(self, meters: Mapping[int, Meter], link: Path) -> None:
        self._meters = meters
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._agent: Pty | None = None
        self._bus = Pty()
        devices = [*(meter.device(unit) for unit, meter in meters.items()), _nobody()]
        self._server = ModbusSerialServer(devices, port=self._bus.path, baudrate=BAUD, trace_packet=self._trace)

    async def open(self) -> None:
        """Start the meters and plug the line in.

        Raises:
            OSError: the link cannot be made.
        """
        self._loop.add_reader(self._bus.near, self._pump_to_agent)
        await self._server.serve_forever(background=True)
        await asyncio.sleep(0)  # the transport attaches to the loop in its next round
        self.plug()

    def plug(self) -> None:
        """Make the port appear under its link; does nothing while it is plugged in."""
        if self._agent is None:
            self._agent = Pty()
            self._loop.add_reader(self._agent.near, self._pump_to_bus)
            self._link.unlink(missing_ok=True)
            self._link.symlink_to(self._agent.path)

    def unplug(self) -> None:
        """Take the port away, from whoever has it open too; does nothing while it is unplugged."""
        if self._agent is not None:
            self._link.unlink(missing_ok=True)
            self._loop.remove_reader(self._agent.near)
            self._agent.close()
            self._agent = None

    def close(self) -> None:
        """Stop the meters and remove the port."""
        self.unplug()
        self._loop.remove_reader(self._bus.near)
        self._server.close()
        self._bus.close()

    def _pump_to_bus(self) -> None:
        if self._agent is not None:
            _pump(self._agent.near, self._bus.near)

    def _pump_to_agent(self) -> None:
        if self._agent is None:
            os.read(self._bus.near, _LARGEST_READ)  # nobody is listening
        else:
            _pump(self._bus.near, self._agent.near)

    def _trace(self, sending: bool, packet: bytes) -> bytes:
        # On a bus nobody answers for a unit that is not there.
        if not sending or not packet:
            return packet
        meter = self._meters.get(packet[_RTU_UNIT_AT])
        return b"" if meter is None or meter.fault is Fault.SILENT else packet


class TcpLine:
    """One meter behind its own TCP port on loopback; ``port`` is known once it is open."""

    def __init__(self, unit_id: int, meter: Meter) -> None:
        self._unit_id = unit_id
        self._meter = meter
        devices = [meter.device(unit_id), _nobody()]
        self._server = ModbusTcpServer(devices, address=(LOOPBACK, 0), trace_packet=self._trace)

    async def open(self) -> None:
        """Start listening on a free port.

        Raises:
            RuntimeError: there is none.
        """
        await self._server.serve_forever(background=True)
        self.port: int = cast("asyncio.Server", self._server.transport).sockets[0].getsockname()[1]

    def close(self) -> None:
        """Stop listening and drop the connections."""
        self._server.close()

    def _trace(self, sending: bool, packet: bytes) -> bytes:
        asked = sending and packet[_TCP_UNIT_AT] == self._unit_id
        return b"" if asked and self._meter.fault is Fault.SILENT else packet


def _nobody() -> SimDevice:
    """Return what stands for all units that are not there: a gateway's answer, which a bus does not pass on."""

    async def no_response(*_request: object) -> ExcCodes:
        return ExcCodes.GATEWAY_NO_RESPONSE

    return SimDevice(0, SimData(0, count=0x200, datatype=DataType.REGISTERS), action=no_response)


def _pump(source: int, sink: int) -> None:
    # A full sink loses bytes, like a UART that is not read.
    with suppress(BlockingIOError):
        os.write(sink, os.read(source, _LARGEST_READ))
