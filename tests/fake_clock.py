"""A clock that stands still until a test moves it, and wakes whoever waits for the time it then shows."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

BOOT = "6f1d8f3e-52f0-4f6e-8b9a-0c7f2d1e4a55"
BOOTED_UTC_NS = 1_795_334_400_000_000_000  # 2026-11-22T08:00:00Z
NS = 1_000_000_000
PATIENCE_S = 20.0
"""Real seconds a thread gets to come to its next wait."""


@dataclass(eq=False, slots=True)
class _Waiter:
    event: threading.Event
    until_ns: int


class FakeClock:
    """A ``Clock`` for tests. Threads that wait through it are woken by ``advance`` or by their event, nothing else.

    ``run`` and ``run_until`` go from one awaited moment to the next, and each time wait until ``threads`` threads
    have done their work and wait again: no moment at which something is due is jumped over.
    """

    def __init__(self, boottime_s: float = 1000.0, boot_id: str = BOOT) -> None:
        self.boot_id = boot_id
        self._now_ns = round(boottime_s * NS)
        self._waiters: list[_Waiter] = []
        self._changed = threading.Condition()

    def boottime_ns(self) -> int:
        return self._now_ns

    def utc_ns(self) -> int:
        return BOOTED_UTC_NS + self._now_ns

    @property
    def now_s(self) -> float:
        return self._now_ns / NS

    def wait(self, event: threading.Event, seconds: float) -> bool:
        waiter = _Waiter(event, self._now_ns + round(seconds * NS))
        with self._changed:
            self._waiters.append(waiter)
            self._changed.notify_all()
        # The event's own condition is what its set() notifies, so one wait sees both.
        with event._cond:  # type: ignore[attr-defined]
            event._cond.wait_for(lambda: event.is_set() or self._now_ns >= waiter.until_ns)  # type: ignore[attr-defined]
        with self._changed:
            self._waiters.remove(waiter)
        return event.is_set()

    def advance(self, seconds: float) -> None:
        """Move on at once by ``seconds`` and wake those whose time has come."""
        self._move_to(self._now_ns + round(seconds * NS))

    def await_waiting(self, threads: int = 1) -> None:
        """Return once at least ``threads`` threads wait for a later time or for an event that is not set."""
        with self._changed:
            found = self._changed.wait_for(lambda: len(self._asleep()) >= threads, PATIENCE_S)
        assert found, f"{len(self._asleep())} threads wait, not {threads}"

    def run(self, seconds: float, threads: int = 1) -> None:
        """Let ``seconds`` pass, stopping at every moment somebody waits for."""
        end_ns = self._now_ns + round(seconds * NS)
        self.run_until(lambda: self._now_ns >= end_ns, threads, seconds)

    def run_until(self, reached: Callable[[], bool], threads: int = 1, within_s: float = 100_000.0) -> float:
        """Let time pass until ``reached``; return how many seconds that took.

        Raises:
            AssertionError: it was not reached ``within_s``.
        """
        start_ns = self._now_ns
        end_ns = start_ns + round(within_s * NS)
        while True:
            self.await_waiting(threads)
            if reached():
                return (self._now_ns - start_ns) / NS
            assert self._now_ns < end_ns, f"not reached within {within_s} s"
            with self._changed:
                next_ns = min((waiter.until_ns for waiter in self._asleep()), default=end_ns)
            self._move_to(min(next_ns, end_ns))

    def _move_to(self, now_ns: int) -> None:
        with self._changed:
            self._now_ns = now_ns
            events = {waiter.event for waiter in self._waiters}
        for event in events:
            with event._cond:  # type: ignore[attr-defined]
                event._cond.notify_all()  # type: ignore[attr-defined]

    def _asleep(self) -> list[_Waiter]:
        return [item for item in self._waiters if item.until_ns > self._now_ns and not item.event.is_set()]
