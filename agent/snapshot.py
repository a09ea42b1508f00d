"""What the agent knows at this moment, as plain data: for `status`, and in short for the heartbeat."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from instrument_agent import __version__
from instrument_agent.buffer.books import LastEpoch, anchors, configured_data, states, time_spent_ns
from instrument_agent.buffer.boots import chronology
from instrument_agent.buffer.calendar_days import next_day
from instrument_agent.buffer.opening import look
from instrument_agent.buffer.outbox import Queue, queue_of, strange_epochs
from instrument_agent.buffer.reader import Readable
from instrument_agent.buffer.stopnote import how_it_ended
from instrument_agent.clock import Clock
from instrument_agent.config import Config, InstrumentConfig
from instrument_agent.core.anchors import Anchor
from instrument_agent.core.chronology import Chronology, Moment
from instrument_agent.core.days import Idle, idle_level
from instrument_agent.core.errors import StoreUnavailable
from instrument_agent.core.readings import NS_PER_MS, Activity, UnknownReason
from instrument_agent.core.step import Live, State, live
from instrument_agent.handover import in_use
from instrument_agent.i18n import _
from instrument_agent.poll.guard import Health
from instrument_agent.poll.recorder import Watched
from instrument_agent.resuming import BOOTED_NS
from instrument_agent.standing_rules import standing_rules


class LastRead:
    """What `status` and heartbeats need of the database. While it cannot be read, nothing in it changes either."""

    def __init__(self, source: Readable, config: Config) -> None:
        """Read everything once.

        Raises:
            StoreUnavailable: it cannot be read at all.
        """
        self._source = source
        self._idle = {item.id: _idle(source, item.id) for item in config.instruments}
        self._origins = {item.id: _origin(source, item.id) for item in config.instruments}
        self._queues = {item.name: queue_of(source, item.name) for item in config.destinations}
        self._strange = strange_epochs(source)

    def idle(self, instrument_id: str) -> Idle:
        """Return the streak of days without power up to the last closed day."""
        with suppress(StoreUnavailable):
            self._idle[instrument_id] = _idle(self._source, instrument_id)
        return self._idle[instrument_id]

    def rules_origin(self, instrument_id: str) -> str | None:
        """Return how the rules an instrument is judged by came, as it was announced; None if it has none yet."""
        with suppress(StoreUnavailable):
            self._origins[instrument_id] = _origin(self._source, instrument_id)
        return self._origins[instrument_id]

    def queue(self, destination: str) -> Queue:
        """Return how a destination stands."""
        with suppress(StoreUnavailable):
            self._queues[destination] = queue_of(self._source, destination)
        return self._queues[destination]

    def strange_epochs(self) -> list[dict[str, Any]]:
        """Return the epochs of this box that only a platform knows."""
        with suppress(StoreUnavailable):
            self._strange = strange_epochs(self._source)
        return self._strange

    def moment(self, boot_id: str, boottime_ns: int) -> Moment:
        """Return what bounds a moment of a boot without a sight of UTC of its own."""
        with suppress(StoreUnavailable):
            return chronology(self._source).moment(boot_id, boottime_ns)
        return Moment(None, None)


def _origin(source: Readable, instrument_id: str) -> str | None:
    return configured_data(source, instrument_id).get("rules_origin")


def _idle(source: Readable, instrument_id: str) -> Idle:
    following = next_day(source, instrument_id)
    return Idle() if following is None else following.idle


def instrument_now(config: InstrumentConfig, watched: Watched, now: Live, health: Health | None) -> dict[str, Any]:
    """Return everything `status` shows of one instrument."""
    spent = accounted_ms(watched, now)
    total, unknown = sum(spent.values()), spent[Activity.UNKNOWN]
    # Before the first reading is settled there is nothing to take a share of, unless reading it fails.
    told = unknown < total or (total and (health is None or health.failures))
    run = watched.state.open_run
    return {
        "instrument_id": config.id,
        "name_en": config.name_en,
        "name_zh": config.name_zh,
        **activity_now(now),
        "reading": dict(watched.last.values) if watched.last else {},
        "read_at_ms": watched.last.at_ns // NS_PER_MS if watched.last else None,
        "open_run": run and {"start_ms": run.start_ns // NS_PER_MS, "unseen_ms": run.unseen_ns // NS_PER_MS},
        "spent_ms": spent,
        "coverage": round(1 - unknown / total, 6) if told else None,
        "driver": health and _driver_now(config, watched, now, health),
    }


def _driver_now(config: InstrumentConfig, watched: Watched, now: Live, health: Health) -> dict[str, Any]:
    """Return how reading goes; a device that answers, but not with what is judged, has a problem too."""
    told, channel, last = asdict(health), config.activity.channel, watched.last
    if last and not health.failing and now.activity is Activity.UNKNOWN and channel not in last.values:
        told["error"] = _("it answers, but without {channel}").format(channel=channel)
        told["hint"] = _("does the profile fit? instrument-agent probe {name} --raw").format(name=config.id)
    return told


def instrument_stopped(
    config: InstrumentConfig, state: State, reason: UnknownReason, source: Readable
) -> dict[str, Any]:
    """Return what is known of an instrument while no agent runs: what it did last, and that it is not seen now."""
    rules = standing_rules(config, source).rules
    before = live(rules, state, state.latest_ns)
    now = Live(Activity.UNKNOWN, state.last_seen_ns, reason)
    watched = Watched(rules, state, spent_ns=time_spent_ns(source, config.id, state.boot_id))
    return instrument_now(config, watched, now, None) | {"last_activity": before.activity.value}


def activity_now(now: Live) -> dict[str, Any]:
    """Return the live activity as it is shown and sent."""
    return {
        "activity": now.activity.value,
        "since_ms": now.since_ns // NS_PER_MS,
        "reason": now.reason.value if now.reason else None,
    }


def accounted_ms(watched: Watched, now: Live) -> dict[str, int]:
    """Return the milliseconds this boot spent in each activity, up to where the ledger is settled.

    While the instrument is not seen, the time since its last sight is unknown already, though the ledger waits until
    no run can bridge it. It counts up to the last attempt to read, which is at most a poll ago.
    """
    spent, state = dict(watched.spent_ns), watched.state
    growing = state.line.open
    spent[growing.activity] += growing.end_ns - growing.start_ns
    if now.activity is Activity.UNKNOWN:
        spent[Activity.UNKNOWN] += max(0, state.latest_ns - max(growing.end_ns, state.last_seen_ns))
    return {activity.value: nanoseconds // NS_PER_MS for activity, nanoseconds in spent.items()}


def standing_now(config: Config, instrument_id: str, last_read: LastRead) -> dict[str, Any]:
    """Return the streak of days without power up to the last closed day and its level, and where the rules are from."""
    streak = last_read.idle(instrument_id)
    level = idle_level(streak, config.box.idle_levels_days)
    return asdict(streak) | {"idle_level": level, "rules_origin": last_read.rules_origin(instrument_id)}


def queues(config: Config, last_read: LastRead) -> list[dict[str, Any]]:
    """Return how each destination stands."""
    return [{"name": item.name, "queue": asdict(last_read.queue(item.name))} for item in config.destinations]


def box(config: Config, known: Sequence[Anchor], last_read: LastRead, boot_id: str, boottime_ns: int) -> dict[str, Any]:
    """Return what identifies the box, and the UTC it believes in, with what it believes it from (``known``)."""
    times = Chronology([], known) if known else last_read
    return {
        "box_id": config.box.id,
        "agent_version": __version__,
        "config": str(config.path),
        "config_hash": config.hash,
        "boot_id": boot_id,
        "boottime_ms": boottime_ns // NS_PER_MS,
        "time_sources": sorted({anchor.source for anchor in known}),
        **utc_now(times.moment(boot_id, boottime_ns)),
        "epochs_unknown_here": last_read.strange_epochs(),
    }


def utc_now(moment: Moment) -> dict[str, Any]:
    """Return the UTC with its error, and the bounds there are, in ms since 1970; None where it is not known."""
    utc, earliest_ns, latest_ns = moment.utc, moment.earliest_ns, moment.latest_ns
    return {
        "utc": utc and dict(zip(("at_ms", "error_ms"), utc.in_ms(), strict=True)) | {"quality": utc.quality.value},
        "utc_earliest_ms": None if earliest_ns is None else earliest_ns // NS_PER_MS,
        "utc_latest_ms": None if latest_ns is None else -(-latest_ns // NS_PER_MS),
    }


def heartbeat_body(
    config: Config, last_read: LastRead, now: Mapping[str, Any], instruments: Mapping[str, Live], destination: str
) -> dict[str, Any]:
    """Return a heartbeat: live state only, small enough to be sent every minute by every box of a province.

    ``now`` says which epoch and boot this is, what the boot clock shows, and whether anything can be written down.
    """
    return {
        "box_id": config.box.id,
        **now,
        "agent_version": __version__,
        "config_hash": config.hash,
        "instruments": [
            {"instrument_id": name, **activity_now(live_now), **standing_now(config, name, last_read)}
            for name, live_now in instruments.items()
        ],
        "queue": asdict(last_read.queue(destination)),
    }


def stopped_status(config: Config, clock: Clock) -> dict[str, Any]:
    """Return what `status` shows while no agent runs, from the database alone.

    Raises:
        StoreUnavailable: there is no database, or it cannot be read.
    """
    reader = look(config.box.state_dir)
    config = in_use(config, reader)
    last_read, known = LastRead(reader, config), states(reader)
    boot_id, last = clock.boot_id, how_it_ended(config.box.state_dir, reader)
    reason = _why_unseen(last, clock)
    latest_ns = max((state.latest_ns for state in known.values() if state.boot_id == boot_id), default=0)
    found = {
        "running": False,
        "ran_in_this_boot": last is not None and last.boot_id == boot_id,
        **box(config, anchors(reader, boot_id), last_read, boot_id, latest_ns),
        "instruments": [
            instrument_stopped(item, known[item.id], reason, reader) | standing_now(config, item.id, last_read)
            for item in config.instruments
            if item.id in known
        ],
        "destinations": queues(config, last_read),
    }
    reader.close()
    return found


def _why_unseen(last: LastEpoch | None, clock: Clock) -> UnknownReason:
    """Return why nothing is seen while no agent runs, as the next agent will tell it."""
    if last is None or last.stopped_ns is not None:
        return UnknownReason.AGENT_STOPPED
    if last.boot_id == clock.boot_id:
        return UnknownReason.AGENT_CRASHED
    return UnknownReason.AGENT_STOPPED if clock.boottime_ns() > BOOTED_NS else UnknownReason.POWER_LOSS
