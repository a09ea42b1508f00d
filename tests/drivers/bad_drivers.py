"""Drivers that are bad on purpose, each in one way."""

import os
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from plain_meter import PlainMeter

from instrument_agent.core.errors import DeviceUnavailable
from instrument_agent.core.readings import Channel, Value


@dataclass
class WithoutClose:
    """Cannot be closed."""

    channels = (Channel("power_w", "W", 0, 1),)

    def open(self) -> None:
        return

    def read(self, timeout_s: float) -> Mapping[str, Value]:
        return {}


class WithoutTimeout(PlainMeter):
    """Does not let itself be told how long it may take."""

    def read(self) -> Mapping[str, Value]:
        return {}


class NoDataclass:
    """Its options are anybody's guess."""

    channels = (Channel("power_w", "W", 0, 1),)

    def __init__(self, **options: Any) -> None:
        self.options = options

    def open(self) -> None:
        return

    def read(self, timeout_s: float) -> Mapping[str, Value]:
        raise DeviceUnavailable("nobody there")

    def close(self) -> None:
        return


@dataclass
class AnyOption(PlainMeter):
    """An option that `check` cannot check."""

    mood: Any = None


class Unitless(PlainMeter):
    """Says watts and calls it power."""

    @property
    def channels(self) -> Sequence[Channel]:
        return [Channel("power", "W", 0.0, 1.0)]


class Rangeless(PlainMeter):
    """Nothing is credible."""

    @property
    def channels(self) -> Sequence[Channel]:
        return [Channel("power_w", "W", 5.0, 5.0)]


class Speechless(PlainMeter):
    """Says nothing of its channels before it is opened."""

    @property
    def channels(self) -> Sequence[Channel]:
        raise RuntimeError("not open")


class NeverOpen(PlainMeter):
    """Waits for its port for ever."""

    def open(self) -> None:
        threading.Event().wait()


class NeverMade(PlainMeter):
    """Looks for its device as soon as it is made, and never finds it."""

    def __post_init__(self) -> None:
        threading.Event().wait()


class Eager(PlainMeter):
    """Opens something as soon as it is made."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.opened = socket.socket()

    def __del__(self) -> None:
        self.opened.close()


class Unguarded(PlainMeter):
    """Trips over its own closed port."""

    def read(self, timeout_s: float) -> Mapping[str, Value]:
        self._line.in_waiting  # noqa: B018
        return super().read(timeout_s)


class Inventive(PlainMeter):
    """Answers zero where nobody answers."""

    def read(self, timeout_s: float) -> Mapping[str, Value]:
        if self._line is None:
            raise DeviceUnavailable("not open")
        try:
            return super().read(timeout_s)
        except DeviceUnavailable:
            return {"power_w": 0.0}


class Late(PlainMeter):
    """Takes its time three times over."""

    def read(self, timeout_s: float) -> Mapping[str, Value]:
        return super().read(3 * timeout_s)


class Endless(PlainMeter):
    """Waits for a line end, however long it takes."""

    def _ask(self, line: Any, deadline_s: float) -> bytes:
        line.timeout = None
        return line.read_until(b"\n")


class Trusting(PlainMeter):
    """Believes that every device speaks plainly."""

    def read(self, timeout_s: float) -> Mapping[str, Value]:
        if self._line is None:
            raise DeviceUnavailable("not open")
        try:
            return {"power_w": float(self._ask(self._line, time.monotonic() + timeout_s).decode("ascii"))}
        except OSError as error:
            raise DeviceUnavailable(str(error)) from error


class Guessing(PlainMeter):
    """Makes a number of anything."""

    def read(self, timeout_s: float) -> Mapping[str, Value]:
        return {"power_w": super().read(timeout_s)["power_w"] or 7.0}


class Unshielded(PlainMeter):
    """Lets the port's own errors out."""

    def read(self, timeout_s: float) -> Mapping[str, Value]:
        if self._line is None:
            raise DeviceUnavailable("not open")
        answer = self._ask(self._line, time.monotonic() + timeout_s)
        return {"power_w": float(answer) if answer.strip().isdigit() else None}


class Forgetful(PlainMeter):
    """Leaves a thread behind each time."""

    def open(self) -> None:
        super().open()
        threading.Thread(target=threading.Event().wait, name="forgotten", daemon=True).start()


class Wasteful(PlainMeter):
    """Leaves a file open each time."""

    def open(self) -> None:
        super().open()
        os.dup(0)


@dataclass
class Played:
    """Gives what it is told to."""

    values: dict[str, Any] = field(default_factory=dict)
    channels = (Channel("power_w", "W", 0, 1e4),)

    def open(self) -> None:
        self._open = True

    def read(self, timeout_s: float) -> Mapping[str, Value]:
        if not getattr(self, "_open", False):
            raise DeviceUnavailable("not open")
        return self.values

    def close(self) -> None:
        self._open = False


class ClosesOnce(Played):
    """Cannot be closed twice."""

    def close(self) -> None:
        if not self._open:
            raise RuntimeError("closed already")
        self._open = False


class NeedsPort(NoDataclass):
    """Made by hand, as a beginner would."""

    def __init__(self, port: str) -> None:
        super().__init__(port=port)
