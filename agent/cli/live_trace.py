"""Readings taken now, into a file, with a bar that shows how far it has come and what is read."""

import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from instrument_agent.cli.words import NOTHING
from instrument_agent.core.readings import Channel, Observation
from instrument_agent.i18n import _

if TYPE_CHECKING:
    from instrument_agent.clock import Clock
    from instrument_agent.config import Config, InstrumentConfig
    from instrument_agent.field.access import Look, Source, Words
    from instrument_agent.field.recording import Recorded


class _Looked:
    """A source, and what the last look at it showed of one channel."""

    def __init__(self, source: "Source", channel: str) -> None:
        self.instrument_id = source.instrument_id
        self.channels: Sequence[Channel] = source.channels
        self.poll_s = source.poll_s
        self.live = source.live
        self.text = NOTHING
        self._source = source
        self._channel = channel
        self._unit = next((item.unit for item in source.channels if item.name == channel), "")

    def look(self) -> "Look":
        """Look, and keep a text of it."""
        look = self._source.look()
        value = look.reading.values.get(self._channel) if isinstance(look.reading, Observation) else None
        self.text = f"{value:.6g} {self._unit}" if isinstance(value, int | float) else str(value or look.health.error)
        return look

    def words(self) -> "Words":
        """Return the registers."""
        return self._source.words()


def record_live(
    config: "Config",
    instrument: "InstrumentConfig",
    for_s: float,
    path: Path,
    clock: "Clock",
    stopping: threading.Event,
) -> "Recorded":
    """Record an instrument, through the running agent if there is one, and show each reading as it comes.

    Raises:
        AgentError: it cannot be read, or the file cannot be written.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from instrument_agent.field import recording
    from instrument_agent.field.access import sources

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True)
    with (
        sources(config, [instrument], clock) as (source,),
        recording.trace_file(path, [channel.name for channel in source.channels], force=True) as trace,
        progress,
    ):
        looked = _Looked(source, instrument.activity.channel)
        task = progress.add_task(_("reading {instrument}").format(instrument=instrument.id), total=for_s)

        def shown(so_far: "Recorded") -> None:
            progress.update(task, completed=so_far.elapsed_s, description=f"{instrument.id}  {escape(looked.text)}")

        return recording.record(looked, trace, clock, stopping, for_s, shown)
