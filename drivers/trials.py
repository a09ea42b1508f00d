"""Calls of a driver under observation: each in a thread, so that one which never returns is noticed and left behind."""

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from instrument_agent.core.errors import DeviceUnavailable
from instrument_agent.core.readings import Channel
from instrument_agent.i18n import _

TIMEOUT_S = 0.2
ALLOWED_S = 1.5 * TIMEOUT_S + 0.1
"""Half as long again as it was given, and what a busy machine adds."""
TRIES = 3
"""A driver that is late is late every time; a busy machine is not."""
OPENING_S = 5.0
GIVEN_UP_S = 2.0
"""So much later a call is said never to return."""

SETTLED_WITHIN_S = 1.0


class Failed(Exception):
    """The driver does not do what it must; ``hint`` says what to do about it."""

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.hint = hint


class Hung(Failed):
    """A call that has no deadline has not returned: with this driver every check would take for ever."""


class NotApplicable(Exception):
    """This cannot be checked here, and why."""


class Unanswered(Exception):
    """The device itself did not answer, so it says nothing of the driver; ``hint`` is what the driver said to do."""

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.hint = hint


@dataclass(slots=True)
class Outcome:
    """How one call ended; ``returned`` is False if it did not."""

    what: str
    took_s: float = 0.0
    returned: bool = False
    value: Any = None
    error: BaseException | None = None

    def must_succeed(self) -> None:
        """Fail unless the call returned without an error.

        Raises:
            Failed: it did not.
        """
        if not self.returned:
            raise (Failed if self.what == "read" else Hung)(
                _("{what} has not returned after {seconds:.1f} s").format(what=self.what, seconds=self.took_s),
                _("wait with a deadline: every wait inside must end by then"),
            )
        if self.error is not None:
            raise Failed(
                _("{what} raised {kind}: {error}").format(
                    what=self.what, kind=type(self.error).__name__, error=self.error
                ),
                _("raise DeviceUnavailable for whatever a device or a line can do"),
            ) from self.error

    def must_be_in_time(self) -> None:
        """Fail unless the read ended by its deadline.

        Raises:
            Failed: it did not.
        """
        if not self.returned:
            self.must_succeed()
        if self.took_s > ALLOWED_S:
            raise Failed(
                _("{what} took {seconds:.2f} s of {timeout} s").format(
                    what=self.what, seconds=self.took_s, timeout=TIMEOUT_S
                ),
                _("timeout_s is for the whole read, not for each wait in it"),
            )

    def must_fit(self, channels: Sequence[Channel]) -> None:
        """Fail unless values were read of declared channels only, and of the kinds there are.

        Raises:
            Failed: they were not.
        """
        if not isinstance(self.value, Mapping):
            raise Failed(_("read returned {value}").format(value=repr(self.value)), _("return {channel: value}"))
        strange = sorted(set(self.value) - {channel.name for channel in channels})
        if strange:
            raise Failed(
                _("values of channels it does not have: {names}").format(names=", ".join(map(str, strange))),
                _("name them in channels"),
            )
        for name, value in self.value.items():
            if isinstance(value, bool) or not isinstance(value, int | float | str | None):
                raise Failed(
                    _("{name} is {kind}").format(name=name, kind=type(value).__name__),
                    _("a value is a float, a text, or None for nonsense"),
                )

    def must_be_unavailable(self) -> None:
        """Fail unless it ended with DeviceUnavailable.

        Raises:
            Failed: it did not.
        """
        if isinstance(self.error, DeviceUnavailable):
            return
        if self.error is None:
            raise Failed(
                _("there was an answer where nobody gave one: {value}").format(value=self.value),
                _("raise DeviceUnavailable: nothing was read, and what was read before is not now"),
            )
        self.must_succeed()

    def must_be_harmless(self, channels: Sequence[Channel]) -> None:
        """Fail unless it ended with DeviceUnavailable, or with values that fit.

        Raises:
            Failed: it did not.
        """
        if not isinstance(self.error, DeviceUnavailable):
            self.must_succeed()
            self.must_fit(channels)


class Trial:
    """One driver object, closed at the end whatever happens."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the driver once more."""
        self.close()

    def open(self) -> Outcome:
        """Open it."""
        return called("open", self.driver.open, OPENING_S)

    def read(self) -> Outcome:
        """Read it in time."""
        return read_in_time(self.driver)

    def close(self) -> Outcome:
        """Close it."""
        return called("close", self.driver.close, OPENING_S)


def read_in_time(driver: Any) -> Outcome:
    """Read once; again if it was late, since the machine may have been busy.

    Raises:
        Failed: it is always late, or never returns.
    """
    for tries_left in reversed(range(TRIES)):
        outcome = called("read", lambda: driver.read(TIMEOUT_S), TIMEOUT_S)
        if not outcome.returned or not tries_left or outcome.took_s <= ALLOWED_S:
            break
    outcome.must_be_in_time()
    return outcome


def called(what: str, function: Callable[[], Any], within_s: float) -> Outcome:
    """Call ``function`` and return how that ended; it is given up GIVEN_UP_S after ``within_s``."""
    outcome = Outcome(what)
    began_s = time.monotonic()

    def call() -> None:
        try:
            outcome.value = function()
        except BaseException as error:  # noqa: BLE001  # a driver is foreign code: whatever it raises is the outcome
            outcome.error = error
        outcome.took_s = time.monotonic() - began_s
        outcome.returned = True

    thread = threading.Thread(target=call, name=f"trial of {what}", daemon=True)
    thread.start()
    thread.join(within_s + GIVEN_UP_S)
    if thread.is_alive():
        return Outcome(what, took_s=time.monotonic() - began_s)
    return outcome


def held() -> frozenset[str]:
    """Return what this process holds: its open files, and its threads."""
    files = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  # of what is listed, the listing itself is gone
        try:
            files.append(f"{name} {os.readlink(f'/proc/self/fd/{name}')}")  # noqa: PTH115
        except OSError:
            continue
    threads = [f"thread {thread.name} {thread.ident}" for thread in threading.enumerate()]
    return frozenset((*files, *threads))


def left_over(before: frozenset[str]) -> frozenset[str]:
    """Return what is held beyond ``before``, once what is just ending has had its time to end."""
    until_s = time.monotonic() + SETTLED_WITHIN_S
    while (more := held() - before) and time.monotonic() < until_s:
        threading.Event().wait(0.02)  # nothing tells when the other end of a connection has gone
    return more
