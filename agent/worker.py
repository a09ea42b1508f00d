"""A loop on a thread of its own that shows that it makes progress, and whose death is noticed.

A dead or stuck loop behind a process that looks alive is the worst failure of a box nobody looks at: the first
ends the process, the second starves the watchdog, and systemd starts anew.
"""

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable

from instrument_agent.clock import Clock
from instrument_agent.core.readings import NS_PER_S

log = logging.getLogger(__name__)

SLICE_S = 5.0
"""Longest wait without a sign of life, in seconds of the clock."""


class Worker(threading.Thread, ABC):
    """One loop; ``stuck_after_s`` are real seconds, because what a loop is stuck in is I/O."""

    def __init__(self, name: str, clock: Clock, stuck_after_s: float) -> None:
        super().__init__(name=name, daemon=True)
        self.stopping = threading.Event()
        self.wake = threading.Event()
        self.on_death: Callable[[], None] = lambda: None
        self.clock = clock
        self._stuck_after_s = stuck_after_s
        self._progress_s = time.monotonic()

    @abstractmethod
    def loop(self) -> None:
        """Work until ``stopping`` is set."""

    @abstractmethod
    def leave(self) -> None:
        """Give back what the loop holds."""

    def run(self) -> None:
        """Run the loop; if it ends without being told to, the process must end."""
        self.progressed()
        try:
            self.loop()
        except BaseException:  # a SystemExit ends a thread without a word
            log.critical("%s died", self.name, exc_info=True)
            self.on_death()
        else:
            if not self.stopping.is_set():
                log.critical("%s ended without being told to", self.name)
                self.on_death()
        finally:
            self.leave()

    def stop(self) -> None:
        """End the loop at its next wait."""
        self.stopping.set()
        self.wake.set()

    def progressed(self) -> None:
        """Show a sign of life."""
        self._progress_s = time.monotonic()

    @property
    def stuck(self) -> bool:
        """Whether the loop has shown no sign of life for too long."""
        return self.is_alive() and time.monotonic() - self._progress_s > self._stuck_after_s

    def idle(self, event: threading.Event, seconds: float) -> bool:
        """Wait until ``event`` is set or ``seconds`` of the clock have passed, alive all the while."""
        until_ns = self.clock.boottime_ns() + round(seconds * NS_PER_S)
        while True:
            self.progressed()
            left_s = (until_ns - self.clock.boottime_ns()) / NS_PER_S
            if left_s <= 0:
                return event.is_set()
            if self.clock.wait(event, min(left_s, SLICE_S)):
                return True
