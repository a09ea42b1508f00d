"""A meter between a load and the core: what it reads, what it counts, and how it goes wrong."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from instrument_agent.core.activity import Rules
from instrument_agent.core.checkpoint import read_back, written
from instrument_agent.core.drift import Moved
from instrument_agent.core.observing import observe
from instrument_agent.core.readings import NS_PER_S, Observation, Reading, Value
from instrument_agent.core.sanity import Finding
from instrument_agent.core.step import Event, State, begin

WS_PER_KWH = 3_600_000
POWER_FACTOR = 0.9
HOUR_S = 3600

Power = Callable[[float], float]
Fault = Callable[[float, dict[str, Value]], dict[str, Value]]


def honest(_at_s: float, values: dict[str, Value]) -> dict[str, Value]:
    return values


@dataclass
class Meter:
    """Reads a load every ``poll_s``; the counter moves in steps of ``count_kwh`` and is summed ten times as often."""

    count_kwh: float = 0.01
    poll_s: float = 10.0
    begun_s: float = 1000.0
    digits: int = 2
    joules: float = field(default=0.0, init=False)

    def readings(self, load: Power, seconds: float, fault: Fault = honest) -> Iterator[Observation]:
        """Go on for so many seconds; ``load`` gets the seconds since this call, ``fault`` changes what is read."""
        start_s = self.begun_s
        for poll in range(round(seconds / self.poll_s)):
            for part in range(2):
                self.joules += max(0.0, load((poll + 0.25 + part / 2) * self.poll_s)) * self.poll_s / 2
            since_s = (poll + 1) * self.poll_s
            watts = round(load(since_s), self.digits)
            counts = self.joules / WS_PER_KWH // self.count_kwh
            values: dict[str, Value] = {
                "power_w": watts,
                "apparent_power_va": round(abs(watts) / POWER_FACTOR, self.digits),
                "energy_import_kwh": round(counts * self.count_kwh, 6),
            }
            self.begun_s = start_s + since_s
            yield Observation(round(self.begun_s * NS_PER_S), fault(since_s, values))


@dataclass
class Seen:
    """What became certain of all that was read."""

    state: State
    events: list[Event] = field(default_factory=list)

    def see(self, rules: Rules, readings: Iterable[Reading], *, resumed: bool = False) -> "Seen":
        for reading in readings:
            if resumed:
                self.state = read_back(*written(self.state))
            self.state, some = observe(rules, self.state, reading)
            self.events += some
        return self

    @property
    def doubts(self) -> list[tuple[str, str]]:
        return [(e.doubt.value, "begin" if e.begins else "end") for e in self.events if isinstance(e, Finding)]

    @property
    def moves(self) -> list[Moved]:
        return [event for event in self.events if isinstance(event, Moved)]


def nothing_seen(start_s: float = 1000.0) -> Seen:
    return Seen(begin("boot", round(start_s * NS_PER_S)))


def steady(watts: float) -> Power:
    """Return a load that is steady but for the mains, which is never still."""
    return lambda at_s: watts * (1 + 0.01 * ((at_s * 0.618034) % 1 - 0.5))
