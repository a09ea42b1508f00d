"""An instrument that talks in lines, on a pseudo-terminal."""

import contextlib
import fcntl
import os
import select
import struct
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

Answer = Callable[[bytes], Iterable[bytes]]


def silent(query: bytes) -> Iterable[bytes]:
    return []


class TextInstrument:
    """Answers each query it gets, says ``chatter`` over and over if it has any; ``heard`` keeps every byte."""

    def __init__(self, answer: Answer = silent, chatter: bytes = b"", terminator: bytes = b"\n") -> None:
        self.answer = answer
        self.chatter = chatter
        self.heard = b""
        self._terminator = terminator
        self._near, self._far = os.openpty()
        tty.setraw(self._far)
        os.set_blocking(self._near, False)
        self.port = os.ttyname(self._far)
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._listen, self._chatter)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self.unplug()

    def send(self, data: bytes) -> None:
        with contextlib.suppress(BlockingIOError):  # the reader's buffer is full: on a real line bytes are lost too
            os.write(self._near, data)

    def await_waiting(self, count: int) -> None:
        """Return when so many bytes wait to be read at the other end."""
        deadline_s = time.monotonic() + 10
        while struct.unpack("I", fcntl.ioctl(self._far, termios.FIONREAD, bytes(4)))[0] < count:
            assert time.monotonic() < deadline_s

    def unplug(self) -> None:
        for fd in (self._near, self._far):
            if fd >= 0:
                os.close(fd)
        self._near = self._far = -1

    def _listen(self) -> None:
        pending = b""
        while not self._stopping.is_set():
            if not select.select([self._near], [], [], 0.01)[0]:
                continue
            data = os.read(self._near, 4096)
            self.heard += data
            *queries, pending = (pending + data).split(self._terminator)
            for query in queries:
                for piece in self.answer(query):
                    self.send(piece)

    def _chatter(self) -> None:
        while not self._stopping.wait(0.01):
            if self.chatter:
                self.send(self.chatter)
