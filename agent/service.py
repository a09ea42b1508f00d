"""The agent's process: keeps one agent going, and puts another in its place when the config is read again."""

import logging
import os
import signal
import threading
from pathlib import Path

from instrument_agent.clock import Clock
from instrument_agent.config import Config
from instrument_agent.daemon import Agent
from instrument_agent.handover import Order
from instrument_agent.notify import Notifier
from instrument_agent.signals import aside
from instrument_agent.timesync import SYNCHRONIZED

log = logging.getLogger(__name__)


class Service:
    """Runs until a signal ends it; what is asked while no agent is there is not lost."""

    def __init__(self, config: Config, clock: Clock, notifier: Notifier, sync_file: Path = SYNCHRONIZED) -> None:
        self._config = config
        self._clock = clock
        self._notifier = notifier
        self._sync_file = sync_file
        self._agent: Agent | None = None
        self._order: Order | None = None
        self._ended = False
        self._reload_wanted = threading.Event()
        self._supervised = bool(os.environ.get("NOTIFY_SOCKET"))

    def run(self) -> int:
        """Run until stopped; return the exit status of the last agent.

        Raises:
            StoreUnavailable: another agent has the state directory, or it cannot be used.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, aside(self._end))
        # systemd sends it to have the config read again; a terminal that closes sends it to end what ran there.
        signal.signal(signal.SIGHUP, aside(self._hang_up))
        while True:
            logging.getLogger().setLevel(self._config.box.log_level.upper())
            self._agent = Agent(self._config, self._clock, self._sync_file, self._order)
            self._agent.reload_wanted = self._reload_wanted
            if self._ended:
                self._agent.stopping.set()
            status = self._agent.run(self._notifier)
            if self._agent.successor is None or self._ended or status:
                return status
            self._config, self._order = self._agent.successor, self._agent.order

    def _end(self) -> None:
        self._ended = True
        if self._agent is not None:
            self._agent.stopping.set()

    def _hang_up(self) -> None:
        if not self._supervised:
            self._end()
        else:
            self._reload_wanted.set()
