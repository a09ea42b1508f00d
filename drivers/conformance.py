"""What every driver must do, as checks that can be run on any: ``instrument-agent driver-check``, or from pytest.

    from instrument_agent.drivers.conformance import findings
    assert not [item for item in findings(MyDriver, {"port": "/dev/ttyUSB0"}) if item.failed]

The checks try the driver on the device its options name, if that answers, and on lines of their own that misbehave
(drivers/far_ends.py), if it has a ``port``, or a ``host`` and ``tcp_port``. So they are of use without a device too:
one that does not answer has not ``failed``, but is ``unanswered``.
"""

import inspect
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from instrument_agent.core.errors import AgentError, ConfigError, DeviceUnavailable
from instrument_agent.core.readings import Channel
from instrument_agent.drivers.far_ends import Behaviour, dribbling, far_end_for, flooding, junk, leaving, silent
from instrument_agent.drivers.trials import (
    TIMEOUT_S,
    Failed,
    NotApplicable,
    Outcome,
    Trial,
    Unanswered,
    held,
    left_over,
    read_in_time,
)
from instrument_agent.drivers.units import ends_in, name_in
from instrument_agent.i18n import _
from instrument_agent.tables.binding import kinds_of, takes_options
from instrument_agent.tables.mistakes import Unfit

MEMBERS = {"open": (), "read": (TIMEOUT_S,), "close": ()}
CYCLES = 2
JUNK_READS = 3

_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: ``check`` says what must hold, ``problem`` and ``hint`` what does not.

    ``skipped`` says why it does not apply, ``unanswered`` how the device itself did not answer.
    """

    check: str
    problem: str = ""
    hint: str = ""
    skipped: str = ""
    unanswered: str = ""

    @property
    def failed(self) -> bool:
        """Whether the driver does not do what it must."""
        return bool(self.problem)


def findings(driver: type[Any], options: Mapping[str, Any]) -> list[Finding]:
    """Run every check on a driver class with these options; what could not be said any more is left out at the end.

    Raises:
        ConfigError: the driver does not take these options.
    """
    if takes_options(driver):
        _must_take(driver, options)
    found: list[Finding] = []
    for sentence, check in checks():
        try:
            check(driver, options)
        except Failed as failed:
            found.append(Finding(sentence, str(failed), failed.hint))
        except Unanswered as silence:
            found.append(Finding(sentence, hint=silence.hint, unanswered=str(silence)))
        except NotApplicable as reason:
            found.append(Finding(sentence, skipped=str(reason)))
        else:
            found.append(Finding(sentence))
        if found[-1].failed and (check in (check_members, check_channels) or not takes_options(driver)):
            break  # nothing that follows could be said
    return found


def _must_take(driver: type[Any], options: Mapping[str, Any]) -> None:
    try:
        driver(**options)
    except AgentError:
        raise
    except Exception as error:  # a driver is foreign code: whatever it raises, it cannot be made of these
        kind = type(error).__name__
        raise ConfigError(
            _("the driver does not take these options: {kind}: {error}").format(kind=kind, error=error),
            _("give others with --option, or correct the __post_init__ of the driver"),
        ) from error


def checks() -> list[tuple[str, Callable[[type[Any], Mapping[str, Any]], None]]]:
    """Return every check in its order, with what must hold; the first makes no driver, as it tells if one can be."""
    return [
        (_("its options are the typed fields of a documented dataclass"), check_options),
        (_("it has the four members of a driver"), check_members),
        (_("its channels have a name that ends in the unit, and a credible range"), check_channels),
        (_("making it opens nothing"), check_making),
        (_("a read before open is DeviceUnavailable"), check_unopened),
        (_("it opens, reads its own channels in time, closes twice and opens again"), check_device),
        (_("a silent device is DeviceUnavailable, in time"), check_silence),
        (_("nonsense gives no number and no other error"), check_junk),
        (_("a device that dribbles, or never stops, does not hold it up"), check_endless),
        (_("a line pulled out during a read is DeviceUnavailable, in time"), check_unplugged),
        (_("no thread and no open file is left after close"), check_leaks),
    ]


def check_members(driver: type[Any], options: Mapping[str, Any]) -> None:
    """Fail unless channels, open, read and close are there and can be called as the agent calls them."""
    made = driver(**options)
    if not hasattr(made, "channels") or callable(made.channels):
        raise Failed(_("channels is not a property"), _("see drivers/protocol.py"))
    for name, arguments in MEMBERS.items():
        method = getattr(made, name, None)
        if not callable(method):
            raise Failed(_("there is no method {name}").format(name=name), _("see drivers/protocol.py"))
        try:
            inspect.signature(method).bind(*arguments)
        except TypeError as error:
            raise Failed(
                _("{name} cannot be called as the agent does: {error}").format(name=name, error=error),
                _("open(), read(timeout_s) and close() take just that"),
            ) from None


def check_options(driver: type[Any], options: Mapping[str, Any]) -> None:
    """Fail unless `check` could tell a mistake in the config file from the driver's fields alone."""
    del options
    try:
        hints = kinds_of(driver)
    except Unfit as unfit:
        raise Failed(unfit.problem, unfit.hint) from None
    document = (driver.__doc__ or "").strip()
    if not document or document.startswith(f"{driver.__name__}("):  # what dataclass writes by itself
        raise Failed(_("it has no docstring"), _("say what it reads, and from what"))
    loose = [item.name for item in fields(driver) if item.init and hints.get(item.name) in (None, Any, object)]
    if loose:
        raise Failed(
            _("options without a type: {names}").format(names=", ".join(loose)),
            _("annotate them with str, int, float, bool, Path or list"),
        )


def check_channels(driver: type[Any], options: Mapping[str, Any]) -> None:
    """Fail unless each channel says its unit in its name and for machines, and what is credible."""
    channels = list(driver(**options).channels)
    if not channels or not all(isinstance(channel, Channel) for channel in channels):
        raise Failed(_("it has no channels"), _("return at least one Channel, before open too"))
    names = [channel.name for channel in channels]
    if len(set(names)) < len(names):
        raise Failed(_("two channels have the same name"))
    for channel in channels:
        _check_channel(channel)


def _check_channel(channel: Channel) -> None:
    if not _NAME.fullmatch(channel.name):
        raise Failed(
            _("{name} is no name for a channel").format(name=repr(channel.name)),
            _("lower case letters, digits and _, as in power_w"),
        )
    if not channel.unit:
        return  # a raw state has neither unit nor range
    if not ends_in(channel.name, channel.unit):
        raise Failed(
            _("{name} does not end in its unit {unit}").format(name=channel.name, unit=channel.unit),
            _("call it {name}").format(name=name_in(channel.name, channel.unit)),
        )
    if not (math.isfinite(channel.low) and math.isfinite(channel.high) and channel.low < channel.high):
        raise Failed(
            _("{name} has no credible range").format(name=channel.name),
            _("low and high are what the datasheet allows, low below high"),
        )


def check_making(driver: type[Any], options: Mapping[str, Any]) -> None:
    """Fail if the driver opens anything before it is told to."""
    driver(**options)  # what it imports by the way stays
    before = held()
    made = driver(**options)
    if more := held() - before:
        raise Failed(
            _("making it opens {what}").format(what=", ".join(sorted(more))),
            _("open ports in open(): the config is checked while the agent runs"),
        )
    del made


def check_unopened(driver: type[Any], options: Mapping[str, Any]) -> None:
    """Fail unless a read before open says so; with a line of our own, which is silent."""
    kind = far_end_for(options, _names(driver))
    if kind is None:
        read_in_time(driver(**options)).must_be_unavailable()
        return
    with kind(silent) as end, Trial(driver(**end.options(options))) as trial:
        read_in_time(trial.driver).must_be_unavailable()


def check_device(driver: type[Any], options: Mapping[str, Any]) -> None:
    """Fail unless the real device can be read, twice, with the port given back in between."""
    with Trial(driver(**options)) as trial:
        for _again in range(2):
            for outcome in (trial.open(), trial.read()):
                if isinstance(outcome.error, DeviceUnavailable):
                    raise Unanswered(
                        _("the device does not answer: {error}").format(error=outcome.error), outcome.error.hint
                    )
                outcome.must_succeed()
            outcome.must_fit(trial.driver.channels)
            trial.close().must_succeed()
            trial.close().must_succeed()


def check_silence(driver: type[Any], options: Mapping[str, Any]) -> None:
    """Fail unless silence is DeviceUnavailable."""
    for outcome in _tried(driver, options, silent, 1):
        outcome.must_be_unavailable()


def check_junk(driver: type[Any], options: Mapping[str, Any]) -> None:
    """Fail if a number, or another error, comes of bytes that mean nothing."""
    for outcome in _tried(driver, options, junk, JUNK_READS):
        outcome.must_be_harmless(driver(**options).channels)
        numbers = [name for name, value in (outcome.value or {}).items() if isinstance(value, int | float)]
        if numbers:
            raise Failed(
                _("bytes that mean nothing gave a number for {names}").format(names=", ".join(numbers)),
                _("check what arrives, and return None for what does not fit"),
            )


def check_endless(driver: type[Any], options: Mapping[str, Any]) -> None:
    """Fail if bytes that arrive one by one, or without end, keep a read from its deadline."""
    for behaviour in (dribbling, flooding):
        for outcome in _tried(driver, options, behaviour, 1):
            outcome.must_be_harmless(driver(**options).channels)


def check_unplugged(driver: type[Any], options: Mapping[str, Any]) -> None:
    """Fail unless pulling the line out during a read is DeviceUnavailable."""
    for outcome in _tried(driver, options, leaving, 1):
        outcome.must_be_unavailable()


def check_leaks(driver: type[Any], options: Mapping[str, Any]) -> None:
    """Fail if more and more is left after close; what a library keeps once for all is not meant."""
    kind = far_end_for(options, _names(driver))
    if kind is None:
        _check_leaks(driver, options)
        return
    with kind(silent) as end:
        _check_leaks(driver, end.options(options))


def _check_leaks(driver: type[Any], options: Mapping[str, Any]) -> None:
    before: frozenset[str] = frozenset()
    for cycle in range(1 + CYCLES):
        with Trial(driver(**options)) as trial:
            trial.open()
            trial.read()
            trial.close()
        if cycle == 0:
            before = held()
    if more := left_over(before):
        raise Failed(
            _("left after close: {what}").format(what=", ".join(sorted(more))),
            _("close() ends every thread and closes everything that open() and read() opened"),
        )


def _tried(driver: type[Any], options: Mapping[str, Any], behaviour: Behaviour, times: int) -> list[Outcome]:
    """Open, read in time and close on a line that misbehaves; return what the reads came to."""
    kind = far_end_for(options, _names(driver))
    if kind is None:
        raise NotApplicable(_("it has neither a port nor a host that could be replaced"))
    outcomes = []
    with kind(behaviour) as end:
        for _time in range(times):
            with Trial(driver(**end.options(options))) as trial:
                opened = trial.open()
                # A connection may break while it is made.
                outcomes.append(read_in_time(trial.driver) if opened.error is None else opened)
                trial.close().must_succeed()
    return outcomes


def _names(driver: type[Any]) -> set[str]:
    return {item.name for item in fields(driver)} if is_dataclass(driver) else set()
