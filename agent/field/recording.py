"""Writes down what an instrument shows, row by row, until told to stop."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from instrument_agent.clock import Clock
from instrument_agent.core.errors import AgentError
from instrument_agent.core.readings import NS_PER_S, FailedRead, Observation
from instrument_agent.drivers.trace import header_text, row_text
from instrument_agent.field.access import Look, Source
from instrument_agent.i18n import _
from instrument_agent.poll.guard import Health

SAFE_EVERY_NS = 5 * NS_PER_S
"""A power cut costs at most so much of a recording, a kill nothing: every row is handed to the system at once."""


@dataclass(slots=True)
class Recorded:
    """How far a recording has come; ``missed`` readings the agent took were not seen here.

    ``error`` and ``hint`` are what was said of the first reading that failed.
    """

    rows: int = 0
    failures: int = 0
    missed: int = 0
    elapsed_s: float = 0.0
    error: str = ""
    hint: str = ""


class TraceFile:
    """A recording that grows."""

    def __init__(self, file: TextIO, channels: Sequence[str]) -> None:
        self._file = file
        self._channels = channels
        self._safe_ns: int | None = None
        self._put(header_text(channels))

    def add(self, at_ns: int, reading: Observation | FailedRead) -> None:
        """Write a reading down; ``at_ns`` counts from the start of the recording.

        Raises:
            AgentError: it cannot be written.
        """
        found = reading.reason if isinstance(reading, FailedRead) else reading.values
        self._put(row_text(self._channels, (at_ns / NS_PER_S, found)))
        if self._safe_ns is None or at_ns - self._safe_ns >= SAFE_EVERY_NS:
            self._safe_ns = at_ns
            os.fsync(self._file.fileno())

    def _put(self, line: str) -> None:
        try:
            self._file.write(line + "\n")
            self._file.flush()
        except OSError as error:
            raise AgentError(
                _("the recording cannot be written: {error}").format(error=error),
                _("what was recorded before is in the file"),
            ) from error


@contextmanager
def trace_file(path: Path, channels: Sequence[str], *, force: bool) -> Iterator[TraceFile]:
    """Make the file of a recording; one that is there is overwritten only by ``force``.

    Raises:
        AgentError: it is there, or cannot be made.
    """
    try:
        # What a device says is written down whatever it is.
        file = path.open("w" if force else "x", newline="", encoding="utf-8", errors="backslashreplace")
    except FileExistsError as error:
        raise AgentError(
            _("{path} is already there").format(path=path),
            _("choose another name, or give --force to overwrite it"),
        ) from error
    except OSError as error:
        raise AgentError(
            _("{path} cannot be written: {error}").format(path=path, error=error),
            _("choose a folder you may write to"),
        ) from error
    with file:
        yield TraceFile(file, channels)
        os.fsync(file.fileno())


def record(
    source: Source,
    trace: TraceFile,
    clock: Clock,
    stopping: threading.Event,
    for_s: float | None,
    shown: Callable[[Recorded], None],
) -> Recorded:
    """Record until ``for_s`` seconds of the boot clock have passed, or ``stopping`` is set.

    An instrument that an agent reads is looked at twice per reading, so that none is missed by a late look.
    """
    recorded = Recorded()
    start_ns = due_ns = latest_ns = clock.boottime_ns()
    period_ns = max(1, round(source.poll_s * NS_PER_S / (2 if source.live else 1)))
    before: Health | None = None
    while not stopping.is_set():
        look = source.look()
        # What an agent saw before the recording began does not belong into it.
        if look.reading is not None and _is_new(look, before) and look.reading.at_ns >= start_ns:
            latest_ns = max(latest_ns, look.reading.at_ns)
            trace.add(latest_ns - start_ns, look.reading)
            recorded.rows += 1
            if isinstance(look.reading, FailedRead):
                recorded.failures += 1
                if not recorded.error:
                    recorded.error, recorded.hint = look.health.error or look.reading.reason, look.health.hint
        recorded.missed += max(0, look.health.reads - before.reads - 1) if before is not None else 0
        before = look.health
        now_ns = clock.boottime_ns()
        recorded.elapsed_s = (now_ns - start_ns) / NS_PER_S
        shown(recorded)
        due_ns += period_ns * max(1, -(-(now_ns - due_ns) // period_ns))
        if for_s is not None and due_ns - start_ns >= for_s * NS_PER_S:
            break
        clock.wait(stopping, (due_ns - now_ns) / NS_PER_S)
    return recorded


def _is_new(look: Look, before: Health | None) -> bool:
    """Tell whether this look saw something that the one before did not."""
    if before is None:
        return True
    if isinstance(look.reading, FailedRead):
        return look.health.failures != before.failures
    return look.health.reads != before.reads
