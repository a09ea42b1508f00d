"""The simulated bench: one meter in front of every power source, some on a serial line, the others on TCP."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from instrument_agent.sandbox.lines import BAUD, LOOPBACK, SerialLine, TcpLine
from instrument_agent.sandbox.meter import Meter, PowerSource

Connection = dict[str, str | int]
"""The options with which the Modbus driver reaches one meter."""

PROFILE = "eastron-sdm120"
LINK_NAME = "ttyRS485"


class Bench:
    """Meters for ``sources`` (power source by instrument id) on real wires, served by one background thread.

    The first ``on_serial`` of them share one RTU line as units 1, 2, ...; each of the others has its own TCP port.
    ``now_s`` gives the seconds on the sources' own time axis and is called from the background thread.
    ``directory`` must exist; the serial port appears in it.
    """

    def __init__(
        self,
        sources: Mapping[str, PowerSource],
        now_s: Callable[[], float],
        directory: Path,
        *,
        on_serial: int = 3,
    ) -> None:
        self.meters = {instrument_id: Meter(source, now_s) for instrument_id, source in sources.items()}
        self.connections: dict[str, Connection] = {}
        self._on_serial = on_serial
        self._link = directory / LINK_NAME
        self._line: SerialLine | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start all meters and return once they answer; ``connections`` is filled then.

        Raises:
            OSError, RuntimeError: a port cannot be had.
        """
        started: Future[None] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(started)), name="bench", daemon=True)
        self._thread.start()
        try:
            started.result()
        except BaseException:
            self._thread.join()
            self._thread = None
            raise

    def stop(self) -> None:
        """Close all ports and return once the thread has ended; may be called twice."""
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
            self._thread = None
            self._line = None

    def unplug(self) -> None:
        """Pull the serial adapter out: its link goes, and whoever has the port open gets an error."""
        self._in_loop(SerialLine.unplug)

    def replug(self) -> None:
        """Plug it in again: the link leads to a new device."""
        self._in_loop(SerialLine.plug)

    async def _serve(self, started: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        with ExitStack() as stack:
            try:
                await self._open(stack)
            except Exception as error:  # noqa: BLE001 - it belongs to the caller of start(), not to this thread
                started.set_exception(error)
                return
            started.set_result(None)
            await self._stopping.wait()
        await asyncio.sleep(0)  # transports close in the next round of the loop

    async def _open(self, stack: ExitStack) -> None:
        ids = list(self.meters)
        on_line = dict(enumerate(ids[: self._on_serial], start=1))
        if on_line:
            self._line = SerialLine({unit: self.meters[name] for unit, name in on_line.items()}, self._link)
            stack.callback(self._line.close)
            await self._line.open()
        for unit, name in on_line.items():
            self.connections[name] = {
                "profile": PROFILE, "port": str(self._link), "baud": BAUD, "parity": "N", "stop_bits": 1,
                "unit_id": unit,
            }  # fmt: skip
        for name in ids[self._on_serial :]:
            line = TcpLine(1, self.meters[name])
            stack.callback(line.close)
            await line.open()
            self.connections[name] = {"profile": PROFILE, "host": LOOPBACK, "tcp_port": line.port, "unit_id": 1}

    def _in_loop(self, action: Callable[[SerialLine], None]) -> None:
        """Do something to the serial line in the thread it belongs to, and wait until it is done."""
        line = self._line
        if line is None:
            raise RuntimeError("this bench has no serial line, or was not started")

        async def act() -> None:
            action(line)

        asyncio.run_coroutine_threadsafe(act(), self._loop).result()
