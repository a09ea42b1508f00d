"""What a driver's answer becomes before anything is decided.

Three cases are kept apart everywhere (docs/decisions/0003): a number or raw state was read; the device answered
nonsense (``None``); the channel was not read this time (absent). None of them is zero, and none of them is "off".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

Value = float | str | None
"""A number, a raw state (text or code), or ``None``: the device answered, but not with anything credible."""

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000


class Activity(StrEnum):
    """What an instrument is doing, as the policy counts it."""

    OFF = "off"
    STANDBY = "standby"
    RUNNING = "running"
    UNKNOWN = "unknown"


class UnknownReason(StrEnum):
    """Why a second is not accounted for by a reading; a closed set."""

    AGENT_STOPPED = "agent_stopped"
    AGENT_CRASHED = "agent_crashed"
    POWER_LOSS = "power_loss"
    DRIVER_UNAVAILABLE = "driver_unavailable"
    DRIVER_ERROR = "driver_error"
    DRIVER_HUNG = "driver_hung"
    IMPLAUSIBLE_READING = "implausible_reading"
    SENSOR_SUSPECT = "sensor_suspect"
    NOT_CALIBRATED = "not_calibrated"
    NOT_POLLED = "not_polled"
    NOT_WATCHED = "not_watched"
    UNDATED = "undated"
    STORAGE_FAULT = "storage_fault"


WITHOUT_AGENT = frozenset(
    {
        UnknownReason.AGENT_STOPPED,
        UnknownReason.AGENT_CRASHED,
        UnknownReason.POWER_LOSS,
        UnknownReason.NOT_WATCHED,
        UnknownReason.STORAGE_FAULT,
    }
)
"""Reasons that are over with the first reading of any kind."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One quantity a driver can read.

    ``name`` ends in its unit for people (``power_w``), ``unit`` is the UCUM code for machines, and readings
    outside ``low``..``high`` are not credible for the device (datasheet) and become ``None``. ``states`` are the raw
    states of a channel that tells such, as far as they are known beforehand; it has no unit and no range.
    """

    name: str
    unit: str
    low: float
    high: float
    states: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Observation:
    """What was read from one instrument at ``at_ns`` (boot clock); a missing channel was not read this time."""

    at_ns: int
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class FailedRead:
    """A read that gave no value; the seconds around it may become unknown for this reason."""

    at_ns: int
    reason: UnknownReason


Reading = Observation | FailedRead
