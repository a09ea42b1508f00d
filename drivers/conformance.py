"""What every driver must do, as checks that can be run on any: ``instrument-agent driver-check``, or from pytest.

    from instrument_agent.drivers.conformance import findings
    assert not [item for item in findings(MyDriver, {"port": "/dev/ttyUSB0"}) if item.failed]

The checks try the driver on the device its options name, if that answers, and on lines of their own that misbehave
(drivers/far_ends.py), if it has a ``port``, or a ``host`` and ``tcp_port``. So they are of use without a device too:
one that does not answer has not ``failed``, but is ``unanswered``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from instrument_agent.core.errors import AgentError, ConfigError, DeviceUnavailable
from instrument_agent.drivers.far_ends import Behaviour, dribbling, far_end_for, flooding, junk, leaving, silent
from instrument_agent.drivers.shape import check_channels, check_members, check_options
from instrument_agent.drivers.trials import (
    OPENING_S,
    Failed,
    Hung,
    NotApplicable,
    Outcome,
    Trial,
    Unanswered,
    called,
    held,
    left_over,
    read_in_time,
)
from instrument_agent.i18n import _
from instrument_agent.tables.binding import takes_options

CYCLES = 2
JUNK_READS = 3


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
            # After some failures nothing that follows could be said.
            if isinstance(failed, Hung) or check in (check_members, check_channels) or not takes_options(driver):
                break
        except Unanswered as silence:
            found.append(Finding(sentence, hint=silence.hint, unanswered=str(silence)))
        except NotApplicable as reason:
            found.append(Finding(sentence, skipped=str(reason)))
        else:
            found.append(Finding(sentence))
    return found


def _must_take(driver: type[Any], options: Mapping[str, Any]) -> None:
    made = called("__init__", lambda: driver(**options), OPENING_S)
    hint = _("give others with --option, or correct the __post_init__ of the driver")
    if isinstance(made.error, AgentError):
        raise made.error
    if made.error is not None:  # a driver is foreign code: whatever it raises, it cannot be made of these
        kind = type(made.error).__name__
        problem = _("the driver does not take these options: {kind}: {error}")
        raise ConfigError(problem.format(kind=kind, error=made.error), hint) from made.error
    if not made.returned:
        raise ConfigError(
            _("the driver has not taken these options after {seconds:.1f} s").format(seconds=made.took_s), hint
        )


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
