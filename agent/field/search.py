"""Looks for meters on a Modbus line: which units answer, at which settings, and which profile fits each.

Only registers are read. A unit is there if it answers anything, even that it refuses; on TCP a gateway refuses for
units that are not there, so there a unit counts only if a profile can be read.
"""

import errno
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from typing import Any

from instrument_agent.core.errors import DeviceUnavailable
from instrument_agent.drivers.dlt645 import ANSWER_WITHIN_S, BAUDS, LONGEST_BITS, PARITY, ask_address
from instrument_agent.drivers.modbus import ModbusDriver
from instrument_agent.drivers.modbus_line import Asked, Question, SerialLine, TcpLine
from instrument_agent.drivers.profile_file import load_profile, profile_names
from instrument_agent.field.fit import Fit, fit, ranked

ANSWER_S = 0.15
"""What a meter may take to begin its answer; those we know begin within 100 ms."""
TCP_ANSWER_S = 1.0
QUESTIONS = ((4, 0, 2), (3, 0, 2))
"""(function, address, count): a meter that has nothing there says so, and some are silent on a function they lack."""
QUESTION_BITS = 11 * (8 + 9)
"""Question and answer on the wire."""
PROFILE_BITS = 11 * 2 * 160
"""A whole profile on the wire: about 150 registers and their frames."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How a serial line is driven; on TCP there is nothing to set."""

    baud: int = 0
    parity: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """Where to look; either ``port`` or ``host`` is given.

    If the agent reads there, the line is asked ``through`` it, and ``options`` are its drivers'.
    """

    units: tuple[int, ...]
    port: str = ""
    settings: tuple[Setting, ...] = (Setting(),)
    host: str = ""
    tcp_port: int = 502
    through: Asked | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def longest_s(self) -> float:
        """How long looking takes if nobody answers, in seconds."""
        silent_s = sum(_answer_s(setting) for setting in self.settings) * len(self.units) * len(QUESTIONS)
        return silent_s + sum(LONGEST_BITS / baud + ANSWER_WITHIN_S for baud in self.other_bauds)

    @property
    def other_bauds(self) -> tuple[int, ...]:
        """At which baud rates meters of another protocol are looked for."""
        return BAUDS if self.port and self.through is None else ()

    def options_at(self, setting: Setting) -> dict[str, Any]:
        """Return the options of a driver on this line."""
        if self.through is not None:
            return dict(self.options)
        if self.port:
            return {"port": self.port, "baud": setting.baud, "parity": setting.parity, "stop_bits": 1}
        return {"host": self.host, "tcp_port": self.tcp_port}


@dataclass(frozen=True, slots=True)
class Meter:
    """A unit that answers, and the profiles that fit it, the best first; ``options`` are the driver's."""

    unit_id: int
    setting: Setting
    fits: tuple[Fit, ...]
    options: dict[str, Any]


@dataclass(slots=True)
class Found:
    """What a search has found so far.

    ``other_protocol`` are (address, baud) of meters that speak DL/T 645, ``damaged`` the units of which something
    came that is no answer, ``refused`` the settings the adapter does not know.
    """

    meters: list[Meter] = field(default_factory=list)
    other_protocol: list[tuple[str, int]] = field(default_factory=list)
    damaged: set[tuple[int, Setting]] = field(default_factory=set)
    refused: list[Setting] = field(default_factory=list)


def serial_plan(port: str, units: Sequence[int], bauds: Sequence[int], parities: Sequence[str]) -> Plan:
    """Return the plan for a serial port: every baud rate with every parity, in the order given."""
    settings = tuple(Setting(baud, parity) for parity, baud in product(parities, bauds))
    return Plan(tuple(units), port=port, settings=settings)


def search(plan: Plan, found: Found, stopping: threading.Event, shown: Callable[[float], None]) -> None:
    """Look for meters and note them in ``found``; ``shown`` gets how many of the plan's seconds are done.

    Raises:
        DeviceUnavailable: the port or the host cannot be used at all.
    """
    done_s = 0.0
    for setting in plan.settings:
        takes_it = _takes(plan, setting, found)
        for unit in plan.units:
            if stopping.is_set():
                return
            if takes_it and _answers(plan, unit, setting, found):
                _identify(plan, unit, setting, found, (name for name in _profiles() if not stopping.is_set()))
            done_s += _answer_s(setting) * len(QUESTIONS)
            shown(done_s)
    for baud in plan.other_bauds:
        if stopping.is_set():
            return
        if _takes(plan, Setting(baud, PARITY), found):
            address = ask_address(plan.port, baud)
            found.other_protocol += [(address, baud)] if address is not None else []
        done_s += LONGEST_BITS / baud + ANSWER_WITHIN_S
        shown(done_s)


def _takes(plan: Plan, setting: Setting, found: Found) -> bool:
    """Tell whether the line can be driven so; a setting the adapter does not know is noted.

    Raises:
        DeviceUnavailable: the port or the host cannot be used at all.
    """
    try:
        with _line(plan, setting):
            return True
    except DeviceUnavailable as error:
        if not _is_refusal(plan, error):
            raise
    if setting not in found.refused:
        found.refused.append(setting)
    return False


def _is_refusal(plan: Plan, error: DeviceUnavailable) -> bool:
    """Tell whether the adapter does not know a setting; not every one knows all baud rates and parities."""
    number = getattr(error.__cause__, "args", ())[:1]  # termios.error has no errno of its own
    return bool(plan.port) and (number == (errno.EINVAL,) or isinstance(error.__cause__, ValueError))


@cache
def _profiles() -> tuple[str, ...]:
    """Return the names of the profiles that ship with the product, each only once."""
    names = profile_names()
    aliases = {alias for name in names for alias in load_profile(name).aliases}
    return tuple(name for name in names if name not in aliases)


@contextmanager
def _line(plan: Plan, setting: Setting) -> Iterator[Asked]:
    """Open a line that knows nothing of earlier questions, and so does not wait for late answers to them.

    That of the agent is open, and waits as it must.

    Raises:
        DeviceUnavailable: the port or the host cannot be used.
    """
    if plan.through is not None:
        yield plan.through
        return
    serial = (plan.port, setting.baud, setting.parity, 1)
    line: Asked = SerialLine(*serial) if plan.port else TcpLine(plan.host, plan.tcp_port)
    line.open(TCP_ANSWER_S)
    try:
        yield line
    finally:
        line.close()


def _answer_s(setting: Setting) -> float:
    return ANSWER_S + QUESTION_BITS / setting.baud if setting.baud else TCP_ANSWER_S


def _answers(plan: Plan, unit: int, setting: Setting, found: Found) -> bool:
    for function, address, count in QUESTIONS:
        with _line(plan, setting) as line:
            try:
                line.ask(Question(unit, function, address, count), time.monotonic() + _answer_s(setting))
            except DeviceUnavailable as error:
                if isinstance(error.__cause__, ValueError):  # something came that is no answer
                    found.damaged.add((unit, setting))
            else:
                found.damaged.discard((unit, setting))
                return True
    return False


def _identify(plan: Plan, unit: int, setting: Setting, found: Found, profiles: Iterable[str]) -> None:
    timeout_s = 1.0 + (PROFILE_BITS / setting.baud if setting.baud else 0.0)
    options = {"unit_id": unit, **plan.options_at(setting)}
    fits = []
    for name in profiles:
        driver = ModbusDriver(profile=name, **options)
        driver.line = plan.through
        try:
            fits.append(fit(name, driver.channels, driver.read(timeout_s)))
        except DeviceUnavailable:
            continue
        finally:
            driver.close()
    if fits or plan.port:
        found.meters.append(Meter(unit, setting, tuple(ranked(fits)), options))
