"""One thread per bus: the instruments that share a port or a TCP endpoint are read one after the other.

Schedules are kept on the boot clock without drift; a late poll is left out, not made up for.
"""

from dataclasses import dataclass

from instrument_agent.clock import Clock
from instrument_agent.core.readings import NS_PER_S, FailedRead, UnknownReason
from instrument_agent.poll.guard import Guard, Health
from instrument_agent.poll.recorder import Recorder
from instrument_agent.worker import Worker


@dataclass(slots=True)
class Station:
    """One instrument on a bus, and when it is to be read next (boot clock)."""

    instrument_id: str
    guard: Guard
    poll_ns: int
    due_ns: int = 0


class Bus(Worker):
    """Reads its stations until told to stop."""

    def __init__(self, name: str, clock: Clock, recorder: Recorder, stuck_after_s: float) -> None:
        super().__init__(f"bus {name}", clock, stuck_after_s)
        self._recorder = recorder
        self._stations: list[Station] = []

    def add(self, station: Station) -> None:
        """Read this instrument too."""
        station.due_ns = self.clock.boottime_ns()
        self._stations.append(station)

    def health(self) -> dict[str, Health]:
        """Return how reading each instrument goes."""
        return {station.instrument_id: station.guard.health for station in self._stations}

    def tell_hung(self) -> None:
        """Note for every instrument of a stuck bus that it cannot be seen; called from outside this thread."""
        now_ns = self.clock.boottime_ns()
        for station in self._stations:
            self._recorder.take(station.instrument_id, FailedRead(now_ns, UnknownReason.DRIVER_HUNG))

    def loop(self) -> None:
        """Read whatever is due next, for ever."""
        while not self.stopping.is_set():
            if self.idle(self.stopping, (self.due_ns - self.clock.boottime_ns()) / NS_PER_S):
                return
            self.read_next()

    @property
    def due_ns(self) -> int:
        """When the next station is to be read (boot clock)."""
        return min(station.due_ns for station in self._stations)

    def read_next(self) -> None:
        """Read the station that is due first."""
        station = min(self._stations, key=lambda item: item.due_ns)
        self._recorder.take(station.instrument_id, station.guard.read())
        late_ns = self.clock.boottime_ns() - station.due_ns
        station.due_ns += station.poll_ns * (late_ns // station.poll_ns + 1)

    def leave(self) -> None:
        """Close the ports."""
        for station in self._stations:
            station.guard.close()
