"""Jobs that wait in the middle of what they do: each on a thread of its own, but never two at a time."""

import threading
from collections.abc import Callable, Mapping


class Gone(BaseException):
    """The process this job belonged to is no more."""


class Turn:
    """One such job; it runs only while ``go_on`` waits for it, so that a world of many jobs is the same every time."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._its_turn, self._our_turn = _closed(), _closed()
        self._wakes_ns = 0
        self._over = self._gone = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it has more to do."""
        return not self._over

    def go_on(self) -> int | None:
        """Let it go on until it waits again; return until when, None if it is over. What it raises is raised here."""
        self._its_turn.release()
        self._our_turn.acquire()
        if self._error is not None:
            raise self._error
        return None if self._over else self._wakes_ns

    def wait_until(self, true_ns: int) -> None:
        """Wait, called from within the job."""
        self._wakes_ns = true_ns
        self._our_turn.release()
        self._its_turn.acquire()
        if self._gone:
            raise Gone

    def end(self) -> None:
        """Take it away wherever it stands."""
        self._gone = True
        self._its_turn.release()
        self._thread.join()

    def _run(self) -> None:
        self._its_turn.acquire()
        try:
            if not self._gone:
                self._work()
        except Gone:
            return
        except BaseException as error:  # noqa: BLE001  # a kill, too, belongs to whoever let this job go on
            self._error = error
        self._over = True
        self._our_turn.release()


class Turns:
    """All such jobs of a process, by name; ``waiting`` are those that wait for something to do."""

    def __init__(self) -> None:
        self._turns: dict[str, Turn] = {}
        self._now: Turn | None = None
        self.waiting: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._turns

    def begin(self, works: Mapping[str, Callable[[], None]]) -> None:
        self._turns = {name: Turn(work) for name, work in works.items()}

    def go_on(self, name: str) -> int | None:
        """Let a job go on until it waits; return until when, None if it is over."""
        self._now = self._turns[name]
        try:
            return self._now.go_on()
        finally:
            self._now = None

    def finish(self, name: str) -> None:
        """Let a job that was told to stop come to its end, if there is one of that name."""
        while name in self._turns and self._turns[name].alive:
            self.go_on(name)

    def wait_until(self, true_ns: int) -> bool:
        """Wait if it is one of these jobs that wants to; False if it is not."""
        if self._now is None:
            return False
        self._now.wait_until(true_ns)
        return True

    def end(self) -> None:
        for turn in self._turns.values():
            turn.end()
        self._turns.clear()
        self.waiting.clear()


def _closed() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock
