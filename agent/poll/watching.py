"""What the running agent tells a command that looks at one instrument: two masters never share a line."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from instrument_agent.clock import Clock
from instrument_agent.core.errors import AgentError, DeviceUnavailable
from instrument_agent.core.readings import Channel
from instrument_agent.i18n import _
from instrument_agent.poll.bus import Bus
from instrument_agent.poll.recorder import Recorder

RAW_WITHIN_S = 8.0
"""Less than the asker waits for an answer."""
LONGEST_QUESTION_S = 2.0
"""A question to any unit may hold the polls up for so long."""

Answer = Callable[[Mapping[str, Any]], dict[str, Any]]


def watching(buses: Mapping[str, Bus], recorder: Recorder, clock: Clock) -> dict[str, Answer]:
    """Return the answers to ``watch``, ``read_raw`` and ``ask_line``, by the name of the request."""

    def watch(request: Mapping[str, Any]) -> dict[str, Any]:
        name, bus = _asked_for(request, buses)
        last = recorder.watched()[name].last
        return {
            "boottime_ns": clock.boottime_ns(),
            "channels": [_in_json(channel) for channel in bus.channels(name)],
            "last": None if last is None else {"at_ns": last.at_ns, "values": dict(last.values)},
            "health": asdict(bus.health()[name]),
        }

    def read_raw(request: Mapping[str, Any]) -> dict[str, Any]:
        name, bus = _asked_for(request, buses)
        try:
            words = bus.words(name, RAW_WITHIN_S)
        except TimeoutError:
            raise AgentError(_("the bus of {name} is busy or hangs").format(name=name), _("try again")) from None
        return {"words": None if words is None else [[*place, word] for place, word in sorted(words.items())]}

    def ask_line(request: Mapping[str, Any]) -> dict[str, Any]:
        from instrument_agent.drivers.modbus_frames import Question

        try:
            question = Question(*(int(request[key]) for key in ("unit", "function", "address", "count")))
            bus, timeout_s = buses[request["bus"]], min(LONGEST_QUESTION_S, float(request["timeout_s"]))
        except (KeyError, TypeError, ValueError, OverflowError):
            raise AgentError(_("the request is not understood")) from None
        try:
            return {"words": bus.ask(question, timeout_s, RAW_WITHIN_S)}
        except DeviceUnavailable as error:
            return {"silence": str(error), "damaged": isinstance(error.__cause__, ValueError)}
        except TimeoutError:
            raise AgentError(
                _("the bus of {name} is busy or hangs").format(name=request["bus"]), _("try again")
            ) from None

    return {"watch": watch, "read_raw": read_raw, "ask_line": ask_line}


def _in_json(channel: Channel) -> dict[str, Any]:
    """Return a channel as JSON knows it: an end of its range that is no number is null."""
    ends = {"low": channel.low, "high": channel.high}
    return asdict(channel) | {end: limit if math.isfinite(limit) else None for end, limit in ends.items()}


def _asked_for(request: Mapping[str, Any], buses: Mapping[str, Bus]) -> tuple[str, Bus]:
    name = str(request.get("instrument", ""))
    for bus in buses.values():
        if name in bus.health():
            return name, bus
    raise AgentError(_("the agent watches no instrument {name}").format(name=name))
