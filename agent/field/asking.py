"""A line that the running agent reads, asked through it: two masters never share a line."""

import time
from pathlib import Path

from instrument_agent.config import InstrumentConfig
from instrument_agent.control import NoAgent, ask
from instrument_agent.core.errors import AgentError, DeviceUnavailable
from instrument_agent.drivers.modbus_line import Question
from instrument_agent.field.search import Plan, Setting
from instrument_agent.i18n import _

SERIAL_OPTIONS, NETWORK_OPTIONS = ("port", "baud", "parity", "stop_bits"), ("host", "tcp_port", "rtu_over_tcp")
"""The keys of a driver that say how a line is reached."""


class AskedLine:
    """The line of a bus of the agent, which asks between two of its polls."""

    def __init__(self, runtime_dir: Path, bus: str) -> None:
        self._runtime_dir = runtime_dir
        self._bus = bus

    def open(self, timeout_s: float) -> None:
        """Do nothing: the agent has it open."""

    def close(self) -> None:
        """Do nothing: the agent goes on."""

    def ask(self, question: Question, deadline_s: float) -> list[int] | None:
        """Ask one question, as a line of one's own does.

        Raises:
            DeviceUnavailable: no proper answer.
            AgentError: the agent could not ask.
        """
        request = {
            "do": "ask_line",
            "bus": self._bus,
            "unit": question.unit,
            "function": question.function,
            "address": question.address,
            "count": question.count,
            "timeout_s": deadline_s - time.monotonic(),
        }
        try:
            answer = ask(self._runtime_dir, request)
        except NoAgent as error:
            raise AgentError(_("the agent that was asked does not answer any more"), _("try again")) from error
        if "silence" in answer:
            silence = DeviceUnavailable(answer["silence"])
            raise silence from (ValueError() if answer["damaged"] else None)
        words: list[int] | None = answer["words"]
        return words


def plan_through_agent(instrument: InstrumentConfig, runtime_dir: Path, units: tuple[int, ...]) -> Plan:
    """Return the plan for the line of an instrument that the agent reads: at its settings, as it is named there."""
    found = instrument.driver.options
    keys = SERIAL_OPTIONS if found.get("port") else NETWORK_OPTIONS
    options = {key: found[key] for key in keys if found.get(key)}
    return Plan(
        units,
        port=options.get("port", ""),
        settings=(Setting(options.get("baud", 0), options.get("parity", "")),),
        host=options.get("host", ""),
        tcp_port=options.get("tcp_port", 0),
        through=AskedLine(runtime_dir, instrument.driver.bus or instrument.id),
        options=options,
    )
