"""How a command gets at an instrument: through the agent that runs, or by itself if none does.

Two masters never share a line. Whoever reads by itself holds the state lock meanwhile, so that no agent starts.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from instrument_agent.buffer.lock import StateLock
from instrument_agent.clock import Clock
from instrument_agent.config import Config, InstrumentConfig
from instrument_agent.control import NoAgent, ask
from instrument_agent.core.errors import AgentError, ConfigError
from instrument_agent.core.readings import NS_PER_S, Channel, FailedRead, Observation, Reading, UnknownReason
from instrument_agent.i18n import _
from instrument_agent.poll.guard import Guard, Health

Words = Mapping[tuple[int, int], int] | None
"""Registers by (function, address); None where a driver has none."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at an instrument: what was seen last, None if nothing yet, and how reading it goes."""

    reading: Reading | None
    health: Health


class Source(Protocol):
    """An instrument that can be looked at; ``live`` tells that an agent reads it and is only asked."""

    instrument_id: str
    channels: Sequence[Channel]
    poll_s: float
    live: bool

    def look(self) -> Look:
        """Return what is seen now; a device that does not answer is a failed read.

        Raises:
            AgentError: the agent that was asked is gone.
        """

    def words(self) -> Words:
        """Read the registers as they are on the wire.

        Raises:
            AgentError: the device does not answer.
        """


class _Own:
    """Reads an instrument by itself."""

    live = False

    def __init__(self, instrument: InstrumentConfig, clock: Clock) -> None:
        self.instrument_id = instrument.id
        self.poll_s = instrument.poll_s
        driver = instrument.driver.build(lambda: clock.boottime_ns() / NS_PER_S)
        # A person who looks wants every try: no pause after failures.
        self.guard = Guard(instrument.id, driver, clock, instrument.timeout_s, 0.0)
        self.channels: Sequence[Channel] = self.guard.channels

    def look(self) -> Look:
        return Look(self.guard.read(), self.guard.health)

    def words(self) -> Words:
        return self.guard.words()


class _Asked:
    """Asks the running agent what it sees."""

    live = True

    def __init__(self, instrument: InstrumentConfig, runtime_dir: Path) -> None:
        self.instrument_id = instrument.id
        self.poll_s = instrument.poll_s
        self._runtime_dir = runtime_dir
        answer = ask(runtime_dir, {"do": "watch", "instrument": instrument.id})
        self.channels: Sequence[Channel] = [_channel(item) for item in answer["channels"]]

    def look(self) -> Look:
        answer = self._ask("watch")
        failing = answer["health"]["failing"]
        health = Health(**(answer["health"] | {"failing": UnknownReason(failing) if failing else None}))
        if health.failing is not None:
            return Look(FailedRead(answer["boottime_ns"], health.failing), health)
        return Look(Observation(**answer["last"]) if answer["last"] else None, health)

    def words(self) -> Words:
        words = self._ask("read_raw")["words"]
        return None if words is None else {(function, address): word for function, address, word in words}

    def _ask(self, what: str) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = ask(self._runtime_dir, {"do": what, "instrument": self.instrument_id})
        except NoAgent as error:
            raise AgentError(_("the agent that was asked does not answer any more"), _("try again")) from error
        return answer


def _channel(told: Mapping[str, Any]) -> Channel:
    """Return a channel that the agent told of; an end of its range that is null is none."""
    low, high = told["low"], told["high"]
    ends = {"low": -math.inf if low is None else low, "high": math.inf if high is None else high}
    return Channel(**{**told, **ends})


def instrument_of(config: Config, instrument_id: str) -> InstrumentConfig:
    """Return an instrument of the config file.

    Raises:
        ConfigError: it has none of that name.
    """
    for instrument in config.instruments:
        if instrument.id == instrument_id:
            return instrument
    raise ConfigError(
        _("there is no instrument {id} in {path}").format(id=instrument_id, path=config.path),
        _("one of {names}").format(names=", ".join(item.id for item in config.instruments)),
    )


@contextmanager
def sources(config: Config, instruments: Sequence[InstrumentConfig], clock: Clock) -> Iterator[list[Source]]:
    """Give access to instruments until the end of the block.

    Raises:
        MayNotAsk: an agent may be running, but this user may not ask it.
        StoreUnavailable: no agent answers, but somebody holds the state directory.
    """
    try:
        found: list[Source] = [_Asked(instrument, config.box.runtime_dir) for instrument in instruments]
    except NoAgent:
        with ExitStack() as stack:
            stack.callback(StateLock(config.box.state_dir).release)
            own = [_Own(instrument, clock) for instrument in instruments]
            for item in own:
                stack.callback(item.guard.close)
            yield list(own)
    else:
        yield found


@contextmanager
def without_agent(config: Config) -> Iterator[None]:
    """Keep the agent from running in this block.

    Raises:
        AgentError: it runs.
    """
    if agent_runs(config):
        raise AgentError(_("the agent is running and reads this device"), stop_hint())
    lock = StateLock(config.box.state_dir)
    try:
        yield
    finally:
        lock.release()


def agent_runs(config: Config) -> bool:
    """Tell whether an agent answers for this config file.

    Raises:
        MayNotAsk: nobody knows, because this user may not ask.
    """
    try:
        ask(config.box.runtime_dir, {"do": "status"})
    except NoAgent:
        return False
    return True


def stop_hint() -> str:
    """Return how to stop the agent while one works on its devices, and how to start it again."""
    return _("stop it first: sudo systemctl stop instrument-agent; start it again afterwards")
