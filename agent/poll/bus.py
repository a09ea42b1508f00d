"""One thread per bus: the instruments that share a port or a TCP endpoint are read one after the other.

Schedules are kept on the boot clock without drift; a late poll is left out, not made up for.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from instrument_agent.clock import Clock
from instrument_agent.core.errors import AgentError
from instrument_agent.core.readings import NS_PER_S, Channel, FailedRead, UnknownReason
from instrument_agent.i18n import _
from instrument_agent.poll.guard import Guard, Health
from instrument_agent.poll.probing import Probing
from instrument_agent.poll.recorder import Recorder
from instrument_agent.worker import Worker

if TYPE_CHECKING:
    from instrument_agent.drivers.modbus_frames import Question

T = TypeVar("T")

Words = Mapping[tuple[int, int], int] | None
"""Registers by (function, address); None where a driver has none."""


@dataclass(slots=True)
class Station:
    """One instrument on a bus, when it is to be read next and was last given its whole timeout (boot clock)."""

    instrument_id: str
    guard: Guard
    poll_ns: int
    due_ns: int = 0
    given_all_ns: int = 0


class Bus(Worker):
    """Reads its stations until told to stop."""

    def __init__(self, name: str, clock: Clock, recorder: Recorder, stuck_after_s: float) -> None:
        super().__init__(f"bus {name}", clock, stuck_after_s)
        self._recorder = recorder
        self._stations: list[Station] = []
        self._probing = Probing()
        self._asked: SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = SimpleQueue()

    def add(self, station: Station) -> None:
        """Read this instrument too."""
        station.due_ns = self.clock.boottime_ns()
        self._stations.append(station)

    def health(self) -> dict[str, Health]:
        """Return how reading each instrument goes."""
        return {station.instrument_id: station.guard.health for station in self._stations}

    def channels(self, instrument_id: str) -> list[Channel]:
        """Return what an instrument's driver can read."""
        return self._station(instrument_id).guard.channels

    def words(self, instrument_id: str, within_s: float) -> Words:
        """Have the registers of an instrument read between two polls; called from outside this thread.

        Raises:
            TimeoutError: the bus did not come to it in ``within_s`` real seconds.
            DeviceUnavailable: the device did not answer.
        """
        return self._between_polls(self._station(instrument_id).guard.words, within_s)

    def ask(self, question: "Question", timeout_s: float, within_s: float) -> list[int] | None:
        """Have any unit on the line asked between two polls, which may take ``timeout_s``; None if it refuses.

        Raises:
            TimeoutError: the bus did not come to it in ``within_s`` real seconds.
            DeviceUnavailable: no proper answer.
            AgentError: nothing on this line speaks Modbus.
        """
        asker = next(filter(None, (station.guard.asker for station in self._stations)), None)
        if asker is None:
            raise AgentError(_("the running agent speaks no Modbus on this line"))
        return self._between_polls(partial(asker, question, timeout_s), within_s)

    def _between_polls(self, work: Callable[[], T], within_s: float) -> T:
        answer: Future[T] = Future()
        self._asked.put((work, answer))
        self.wake.set()
        try:
            return answer.result(within_s)
        finally:
            answer.cancel()  # nobody waits any more for what was not begun

    def tell_hung(self) -> None:
        """Note for every instrument of a stuck bus that it cannot be seen; called from outside this thread."""
        now_ns = self.clock.boottime_ns()
        for station in self._stations:
            self._recorder.take(station.instrument_id, FailedRead(now_ns, UnknownReason.DRIVER_HUNG))

    def loop(self) -> None:
        """Read whatever is due next, for ever."""
        while not self.stopping.is_set():
            if self.idle(self.wake, (self.due_ns - self.clock.boottime_ns()) / NS_PER_S):
                self.wake.clear()
                self._answer_next()
            # However much is asked, what is due is read.
            if not self.stopping.is_set() and self.due_ns <= self.clock.boottime_ns():
                self.read_next()

    @property
    def due_ns(self) -> int:
        """When the next station is to be read (boot clock)."""
        return min(station.due_ns for station in self._stations)

    def read_next(self) -> None:
        """Read the station that is due first; one whose circuit is open only if there is time for it."""
        station = min(self._stations, key=lambda item: item.due_ns)
        if station.guard.lost and not station.guard.resting:
            if not self._probe(station):
                return
        else:
            self._recorder.take(station.instrument_id, station.guard.read())
        late_ns = self.clock.boottime_ns() - station.due_ns
        station.due_ns += station.poll_ns * (late_ns // station.poll_ns + 1)

    def _probe(self, station: Station) -> bool:
        """Try a station whose circuit is open; False if it has to wait for a better moment, which is then its due."""
        guard, now_ns = station.guard, self.clock.boottime_ns()
        alive = [item.due_ns for item in self._stations if not item.guard.lost]
        others = [item for item in self._stations if item.guard.lost]
        next_ns = min(alive, default=None)
        useful_s = 1.5 * (guard.took_s or max(item.guard.took_s for item in self._stations))
        its_turn = station is min(others, key=lambda item: item.given_all_ns)
        time_s = self._probing.time_s(now_ns, next_ns, useful_s, guard.timeout_s, its_turn=its_turn)
        if time_s is None:
            self._recorder.take(station.instrument_id, guard.unread())
            station.due_ns = self._probing.later_ns(now_ns, next_ns)
            return False
        if time_s == guard.timeout_s:
            station.given_all_ns = now_ns
        self._recorder.take(station.instrument_id, guard.read(time_s))
        if guard.lost:
            self._probing.failed(now_ns, self.clock.boottime_ns(), next_ns)
        return True

    def _station(self, instrument_id: str) -> Station:
        return next(item for item in self._stations if item.instrument_id == instrument_id)

    def _answer_next(self) -> None:
        try:
            work, answer = self._asked.get_nowait()
        except Empty:
            return
        if not self._asked.empty():
            self.wake.set()
        if answer.set_running_or_notify_cancel():
            try:
                answer.set_result(work())
            except Exception as error:  # noqa: BLE001  # whoever asked is told, whatever a foreign driver raises
                answer.set_exception(error)

    def leave(self) -> None:
        """Close the ports."""
        for station in self._stations:
            station.guard.close()
