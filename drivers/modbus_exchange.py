"""One line and how a question is asked on it: whole, in time, and with the line closed at the first doubt."""

import time
from abc import ABC, abstractmethod
from typing import Protocol

from pymodbus.exceptions import ModbusException

from instrument_agent.core.errors import DeviceUnavailable
from instrument_agent.drivers.byte_streams import Stream
from instrument_agent.drivers.modbus_frames import ExceptionAnswer, Question
from instrument_agent.i18n import _


class Asked(Protocol):
    """What a driver needs of a line; it may be another process that has the line."""

    def open(self, timeout_s: float) -> None:
        """Open the way to the devices."""

    def close(self) -> None:
        """Close it."""

    def ask(self, question: Question, deadline_s: float) -> list[int] | None:
        """Ask one question, as Line does."""


class Line(ABC):
    """A line that is opened by the first question on it and closed at the first error."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def open(self, timeout_s: float) -> None:
        """Open the way to the devices; does nothing if it is open.

        Raises:
            DeviceUnavailable: it cannot be opened.
        """
        self._stream.open(timeout_s)

    def close(self) -> None:
        """Close it; may be called twice."""
        self._stream.close()

    def ask(self, question: Question, deadline_s: float) -> list[int] | None:
        """Ask one question; return its registers (bits as 0 and 1), or None if the device answered with an exception.

        ``deadline_s`` is a time of ``time.monotonic``.

        Raises:
            DeviceUnavailable: no proper answer in time; the line was closed.
        """
        try:
            self.open(max(0.001, deadline_s - time.monotonic()))
            return self._exchange(question, deadline_s)
        except ExceptionAnswer:
            return None
        except (OSError, ModbusException, EOFError, ValueError) as error:
            self.close()
            raise DeviceUnavailable(
                _("no proper answer from unit {unit}: {error}").format(unit=question.unit, error=error),
                self._no_answer_hint(),
            ) from error

    @abstractmethod
    def _exchange(self, question: Question, deadline_s: float) -> list[int]:
        """Ask, and return the registers of the answer."""

    @abstractmethod
    def _no_answer_hint(self) -> str:
        """Return what to look at when a device does not answer properly."""
