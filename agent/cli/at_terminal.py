"""How commands that look at devices behave at a terminal.

Ctrl-C and a closed terminal end them in order, a second Ctrl-C at once; what fails is told by the command itself.
"""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from instrument_agent.signals import aside

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Enough(threading.Event):
    """Set when a signal came; ``by`` is its number."""

    by: int | None = None


@contextmanager
def until_interrupted() -> Iterator[Enough]:
    """Give an event that is set when the person at the terminal has had enough, or the terminal is gone."""
    stopping = Enough()

    def end(number: int, frame: object) -> None:
        if stopping.is_set():
            raise KeyboardInterrupt
        stopping.by = number
        aside(stopping.set)(number, frame)

    before = {number: signal.signal(number, end) for number in SIGNALS}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def quiet_log() -> None:
    """Keep the log off the terminal: it would tell a second time, in between, what the command shows."""
    for name in ("instrument_agent", "pymodbus.logging"):
        # With a handler of its own, what nobody else takes is not printed as a last resort.
        logging.getLogger(name).addHandler(logging.NullHandler())
