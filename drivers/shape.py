"""What a driver looks like from outside: its options, members and channels; nothing is opened for it."""

import inspect
import math
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from instrument_agent.core.readings import Channel
from instrument_agent.drivers.trials import OPENING_S, TIMEOUT_S, Failed, called
from instrument_agent.drivers.units import ends_in, name_in
from instrument_agent.i18n import _
from instrument_agent.tables.binding import kinds_of
from instrument_agent.tables.mistakes import Unfit

MEMBERS = {"open": (), "read": (TIMEOUT_S,), "close": ()}

_NAME = re.compile(r"[a-z][a-z0-9_]*")


def check_members(driver: type[Any], options: Mapping[str, Any]) -> None:
    """Fail unless channels, open, read and close are there and can be called as the agent calls them."""
    made = driver(**options)
    told = inspect.getattr_static(made, "channels", None)
    if told is None or inspect.isroutine(told):
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
    told = called("channels", lambda: list(driver(**options).channels), OPENING_S)
    if told.error is not None:
        problem = _("channels raised {kind}: {error}").format(kind=type(told.error).__name__, error=told.error)
        raise Failed(problem, _("return at least one Channel, before open too"))
    told.must_succeed()
    channels = told.value
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
