"""Immutable facts as they go to the platform: integers and strings only, times in milliseconds of the boot clock.

A record is named by (box_id, epoch, seq) and carries the hash of the one before it in its epoch, so that nothing
can be changed, left out or put in without it showing. UTC is not in it: that is worked out from ``time_anchor``
records (docs/decisions/0004).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from instrument_agent.core.across import Counted
from instrument_agent.core.activity import Rules
from instrument_agent.core.anchors import Anchor
from instrument_agent.core.canonical import record_hash
from instrument_agent.core.drift import Moved
from instrument_agent.core.ledger import Interval
from instrument_agent.core.readings import NS_PER_MS, Activity
from instrument_agent.core.sanity import Finding
from instrument_agent.core.sessions import PowerSession, RunSession
from instrument_agent.core.step import Event

WS_PER_WH = 3600


class RecordType(StrEnum):
    """The kinds of fact."""

    EPOCH_STARTED = "epoch_started"
    LIFECYCLE_EVENT = "lifecycle_event"
    RUN_SESSION = "run_session"
    POWER_SESSION = "power_session"
    DAILY_SUMMARY = "daily_summary"
    OBSERVATION_GAP = "observation_gap"
    TIME_ANCHOR = "time_anchor"
    FAULT = "fault"


class LifecycleWord(StrEnum):
    """What a ``lifecycle_event`` tells of an instrument; a closed set."""

    CONFIGURED = "configured"
    COMMISSIONED = "commissioned"
    ADJUSTED = "adjusted"
    RELOCATED = "relocated"
    TRANSFERRED = "transferred"
    RETIRED = "retired"
    DRIFT = "drift"
    ENERGY_ACROSS_GAP = "energy_across_gap"


class RulesOrigin(StrEnum):
    """How the thresholds came: by the agent itself, by a config file, or by commissioning."""

    LEARNED = "learned"
    CONFIGURED = "configured"
    COMMISSIONED = "commissioned"


@dataclass(frozen=True, slots=True)
class Fact:
    """What is to be recorded, before it has a place in the chain."""

    type: RecordType
    boot_id: str
    at_ns: int
    data: Mapping[str, Any]
    instrument_id: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A place in the chain of one epoch, and what stood before it."""

    box_id: str
    epoch: str
    seq: int
    prev_hash: str


def sealed(link: Link, fact: Fact) -> tuple[dict[str, Any], str]:
    """Return the record that puts ``fact`` at ``link``, and its hash."""
    record: dict[str, Any] = {
        "box_id": link.box_id,
        "epoch": link.epoch,
        "seq": link.seq,
        "prev_hash": link.prev_hash,
        "type": fact.type.value,
        "boot_id": fact.boot_id,
        "at_ms": fact.at_ns // NS_PER_MS,
        "data": dict(fact.data),
    }
    if fact.instrument_id is not None:
        record["instrument_id"] = fact.instrument_id
    return record, record_hash(record)


def event_facts(boot_id: str, instrument_id: str, at_ns: int, events: tuple[Event, ...]) -> list[Fact]:
    """Return what must be sent of what became certain: all of it, but of the intervals the gaps only."""
    facts = []
    for event in events:
        if isinstance(event, RunSession):
            facts.append(Fact(RecordType.RUN_SESSION, boot_id, at_ns, run_session(event), instrument_id))
        elif isinstance(event, PowerSession):
            facts.append(Fact(RecordType.POWER_SESSION, boot_id, at_ns, power_session(event), instrument_id))
        elif isinstance(event, Finding):
            facts.append(Fact(RecordType.FAULT, boot_id, event.at_ns, sensor_fault(event), instrument_id))
        elif isinstance(event, Moved):
            facts.append(Fact(RecordType.LIFECYCLE_EVENT, boot_id, event.at_ns, drifted(event), instrument_id))
        elif isinstance(event, Counted):
            facts.append(Fact(RecordType.LIFECYCLE_EVENT, boot_id, at_ns, energy_across_gap(event), instrument_id))
        elif event.activity is Activity.UNKNOWN:
            facts.append(Fact(RecordType.OBSERVATION_GAP, boot_id, at_ns, observation_gap(event), instrument_id))
    return facts


def run_session(session: RunSession) -> dict[str, Any]:
    """Return the data of a run; ``running_ms`` = ``end_ms`` - ``start_ms`` - ``unseen_ms``."""
    data: dict[str, Any] = _span(session, "running_ms")
    if session.end_uncertainty_ns:
        data["end_uncertainty_ms"] = -(-session.end_uncertainty_ns // NS_PER_MS)
    if session.continues is not None:
        earlier = session.continues
        data["continues"] = {"boot_id": earlier.boot_id, "start_ms": earlier.start_ns // NS_PER_MS}
    return data


def power_session(session: PowerSession) -> dict[str, Any]:
    """Return the data of a stretch of power; ``powered_ms`` = ``end_ms`` - ``start_ms`` - ``unseen_ms``."""
    return _span(session, "powered_ms")


def _span(session: RunSession | PowerSession, counted: str) -> dict[str, Any]:
    start_ms, end_ms = session.start_ns // NS_PER_MS, session.end_ns // NS_PER_MS
    unseen_ms = session.unseen_ns // NS_PER_MS
    return {"start_ms": start_ms, "end_ms": end_ms, "unseen_ms": unseen_ms, counted: end_ms - start_ms - unseen_ms}


def observation_gap(interval: Interval) -> dict[str, Any]:
    """Return the data of a stretch of unknown time."""
    return {
        "start_ms": interval.start_ns // NS_PER_MS,
        "end_ms": interval.end_ns // NS_PER_MS,
        "reason": interval.reason.value if interval.reason is not None else "",
    }


def sensor_fault(finding: Finding) -> dict[str, Any]:
    """Return the data of a doubt in a sensor that begins or ends; energies in watt-hours, rounded."""
    data: dict[str, Any] = {
        "kind": finding.doubt.value,
        "phase": "begin" if finding.begins else "end",
        "since_ms": finding.since_ns // NS_PER_MS,
    }
    if finding.counted_ws is not None and finding.read_ws is not None:
        data |= {"counted_wh": round(finding.counted_ws / WS_PER_WH), "read_wh": round(finding.read_ws / WS_PER_WH)}
    return data


def drifted(moved: Moved) -> dict[str, Any]:
    """Return the data of rules that followed the standby level, which is a decimal string in the channel's unit."""
    return {"event": LifecycleWord.DRIFT.value, "level": str(moved.level), "rules": rules_data(moved.rules)}


def energy_across_gap(counted: Counted) -> dict[str, Any]:
    """Return the data of what a meter counted while its instrument was not seen, in watt-hours, rounded."""
    return {
        "event": LifecycleWord.ENERGY_ACROSS_GAP.value,
        "from_boot_id": counted.from_boot_id,
        "from_ms": counted.from_ns // NS_PER_MS,
        "to_ms": counted.to_ns // NS_PER_MS,
        "counted_wh": round(counted.counted_ws / WS_PER_WH),
        "verdict": counted.ran.value,
    }


def time_anchor(anchor: Anchor) -> dict[str, Any]:
    """Return the data of one sight of UTC."""
    return {
        "boottime_ms": anchor.boottime_ns // NS_PER_MS,
        "utc_ms": anchor.utc_ns // NS_PER_MS,
        "error_ms": -(-anchor.error_ns // NS_PER_MS),
        "source": anchor.source,
    }


def configured(
    identity: Mapping[str, str], driver: str, rules: Rules, poll_ms: int, origin: RulesOrigin | None = None
) -> dict[str, Any]:
    """Return the data of "this instrument is watched like this": its identity, the rules it is judged by, their origin.

    Neither rules nor origin stand in it as long as there are no thresholds.
    """
    return {
        "event": LifecycleWord.CONFIGURED.value,
        "identity": dict(identity),
        "driver": driver,
        "poll_ms": poll_ms,
        **({"rules": rules_data(rules)} if rules.calibrated else {}),
        **({} if origin is None else {"rules_origin": origin.value}),
    }


def rules_data(rules: Rules) -> dict[str, Any]:
    """Return rules as records carry them; thresholds are decimal strings in the channel's unit."""
    named = {code: activity.value for code, activity in (rules.states or {}).items()}
    return {
        "channel": rules.channel,
        "off_below": str(rules.off_below),
        "run_above": str(rules.run_above),
        "run_below": str(rules.run_below),
        "min_on_ms": rules.min_on_ns // NS_PER_MS,
        "min_off_ms": rules.min_off_ns // NS_PER_MS,
        "off_settle_ms": rules.off_settle_ns // NS_PER_MS,
        "gap_ms": rules.gap_ns // NS_PER_MS,
        "bridge_ms": rules.bridge_ns // NS_PER_MS,
        **({"single_readings": "true"} if rules.single_readings else {}),
        **({} if rules.standby_level is None else {"standby_level": str(rules.standby_level)}),
        **({"states": named} if named else {}),
    }


def rules_of(data: Mapping[str, Any] | None) -> Rules:
    """Return the rules of ``rules_data``; without any, rules by which nothing can be judged."""
    if data is None:
        return Rules("", 0, 0, 0, 0, 0, 0, 0, 0, calibrated=False)
    states = data.get("states")
    return Rules(
        channel=data["channel"],
        off_below=float(data["off_below"]),
        run_above=float(data["run_above"]),
        run_below=float(data["run_below"]),
        min_on_ns=data["min_on_ms"] * NS_PER_MS,
        min_off_ns=data["min_off_ms"] * NS_PER_MS,
        off_settle_ns=data["off_settle_ms"] * NS_PER_MS,
        gap_ns=data["gap_ms"] * NS_PER_MS,
        bridge_ns=data["bridge_ms"] * NS_PER_MS,
        states=states and {code: Activity(name) for code, name in states.items()},
        single_readings="single_readings" in data,
        standby_level=float(data["standby_level"]) if "standby_level" in data else None,
    )
