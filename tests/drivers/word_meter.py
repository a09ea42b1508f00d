"""A meter that is nothing but its words, behind pymodbus' own TCP server: what it is told to hold, it answers."""

import asyncio
import struct
import threading
from concurrent.futures import Future
from types import TracebackType
from typing import Self, cast

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

LOOPBACK = "127.0.0.1"
ALL_WORDS = 0x10000
SOME_BITS = 0x100
NOT_ASKED_FOR = 0xDEAD

FORMATS = {
    "uint16": ">H",
    "int16": ">h",
    "uint32": ">I",
    "int32": ">i",
    "float32": ">f",
    "uint64": ">Q",
    "int64": ">q",
    "float64": ">d",
}


def words_of(kind: str, raw: float, order: str = "high_first") -> list[int]:
    """Return a raw value as it stands in registers."""
    data = struct.pack(FORMATS[kind], raw)
    words = [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]
    return words if order == "high_first" else words[::-1]


class WordMeter:
    """Unit 1; ``words`` and ``bits`` by (function, address) may be set at any time, ``asked`` keeps the questions.

    What it does not hold reads as garbage, or is refused where it is ``strict``.
    """

    def __init__(self) -> None:
        self.words: dict[tuple[int, int], int] = {}
        self.strict = False
        self.asked: list[tuple[int, int, int]] = []

    def __enter__(self) -> Self:
        started: Future[int] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(started)), name="meter", daemon=True)
        self._thread.start()
        self.port = started.result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def hold(self, function: int, address: int, words: list[int]) -> None:
        for offset, word in enumerate(words):
            self.words[function, address + offset] = word

    async def _serve(self, started: "Future[int]") -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        words = [SimData(0, count=ALL_WORDS, datatype=DataType.REGISTERS)]
        bits = [SimData(0, count=SOME_BITS, datatype=DataType.BITS)]
        device = SimDevice(1, (bits, [*bits], words, [*words]), action=self._answer)
        server = ModbusTcpServer([device], address=(LOOPBACK, 0))
        try:
            await server.serve_forever(background=True)
            started.set_result(cast("asyncio.Server", server.transport).sockets[0].getsockname()[1])
        except Exception as error:  # noqa: BLE001  # it belongs to the test, not to this thread
            started.set_exception(error)
            return
        await self._stopping.wait()
        server.close()
        await asyncio.sleep(0)

    async def _answer(
        self,
        function: int,
        start: int,
        address: int,
        count: int,
        registers: list[int],
        _new: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        self.asked.append((function, address, count))
        if function in (1, 2):
            for (held, at), bit in self.words.items():
                if held == function:
                    place = at // 16 - start
                    registers[place] = registers[place] & ~(1 << at % 16) | bit << at % 16
            return None
        for offset in range(count):
            word = self.words.get((function, address + offset))
            if word is None and self.strict:
                return ExcCodes.ILLEGAL_ADDRESS
            registers[address - start + offset] = NOT_ASKED_FOR if word is None else word
        return None
