"""What a person sees of one instrument while probing it: each channel so far, and what is amiss."""

from typing import Any

from instrument_agent.core.errors import AgentError
from instrument_agent.core.readings import NS_PER_MS, Observation
from instrument_agent.field.access import Source, Words
from instrument_agent.field.tally import Tally


class Seen:
    """Looks at a source and remembers; ``raw`` asks for the registers too."""

    def __init__(self, source: Source, *, raw: bool) -> None:
        self.instrument_id = source.instrument_id
        self.channels = source.channels
        self.tallies = {channel.name: Tally() for channel in source.channels}
        self.raw = raw
        self.words: Words = None
        self.raw_problem = ""
        self.error = ""
        self.hint = ""
        self._at_ns: int | None = None
        self._source = source

    def look(self) -> None:
        """Look once; the same reading of an agent is not counted twice."""
        look = self._source.look()
        self.error, self.hint = look.health.error, look.health.hint
        reading = look.reading
        if isinstance(reading, Observation):
            if reading.at_ns != self._at_ns:
                self._take(reading)
        else:
            for tally in self.tallies.values():
                tally.missed()
        if self.raw:
            self._look_at_words()

    def as_json(self) -> dict[str, Any]:
        """Return what was seen last; a channel that was not read is not there, nonsense is null."""
        values = {name: tally.last for name, tally in self.tallies.items() if tally.read}
        found: dict[str, Any] = {
            "instrument_id": self.instrument_id,
            "through_agent": self._source.live,
            "read_at_ms": None if self._at_ns is None or self.error else self._at_ns // NS_PER_MS,
            "values": values,
            "units": {channel.name: channel.unit for channel in self.channels},
            "error": self.error,
            "hint": self.hint,
        }
        if self.raw:
            registers = None if self.words is None else [[*place, word] for place, word in sorted(self.words.items())]
            found |= {"registers": registers, "registers_error": self.raw_problem}
        return found

    def _take(self, reading: Observation) -> None:
        self._at_ns = reading.at_ns
        for name, tally in self.tallies.items():
            if name in reading.values:
                tally.saw(reading.values[name])
            else:
                tally.missed()

    def _look_at_words(self) -> None:
        try:
            self.words, self.raw_problem = self._source.words(), ""
        except AgentError as error:
            self.words, self.raw_problem = None, str(error)
