"""Looks at everything a box depends on, in the order in which a person would, and lets each thing be judged."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from instrument_agent.buffer.books import anchors
from instrument_agent.buffer.opening import look
from instrument_agent.buffer.reader import Reader
from instrument_agent.clock import Clock
from instrument_agent.config import Config, InvalidConfig, load_config
from instrument_agent.control import NoAgent, ask
from instrument_agent.core.anchors import Sights, Utc
from instrument_agent.core.errors import AgentError
from instrument_agent.core.readings import NS_PER_MS
from instrument_agent.doctor import (
    clocks,
    credentials,
    database,
    instruments,
    machine,
    platforms,
    ports,
    power,
    service,
    storage,
)
from instrument_agent.doctor.verdict import Grade, Verdict
from instrument_agent.handover import is_retired
from instrument_agent.i18n import _, why
from instrument_agent.snapshot import stopped_status


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found: the verdicts, and for the support bundle what ``status`` says (None if nobody knows)."""

    config: Config | None
    verdicts: tuple[Verdict, ...]
    status: dict[str, Any] | None


def examine(config_path: Path, clock: Clock, places: machine.Places, *, deep: bool = False) -> Examination:
    """Examine the box of a config file: through the agent if it runs, else from what it left.

    Ports are only looked at, not opened; each platform is asked one question.
    """
    found = [*service.judge_unit(service.unit_facts(), answers=False), power.judge_power(machine.throttled(places))]
    try:
        config = load_config(config_path)
    except InvalidConfig as error:
        advice = _("sudo instrument-agent check tells all of them")
        told = [Verdict("config", Grade.FAIL, str(item), advice) for item in error.mistakes[:1]]
        return Examination(None, (*told, *found), None)
    box = _Box(config, clock, places, deep=deep)
    with box:
        verdicts = tuple(box.verdicts())
    return Examination(config, verdicts, box.status)


class _Box:
    """One box while it is examined."""

    def __init__(self, config: Config, clock: Clock, places: machine.Places, *, deep: bool) -> None:
        self._config = config
        self._clock = clock
        self._places = places
        self._deep = deep
        self._reader: Reader | None = None
        self._room_days: float | None = None
        self._utc_ns: int | None = None
        self.running = False
        self.status: dict[str, Any] | None = None

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_error: object) -> None:
        if self._reader is not None:
            self._reader.close()

    def verdicts(self) -> Iterator[Verdict]:
        yield Verdict("config", Grade.OK, _("no mistake in it"), "", str(self._config.path))
        yield from self._agent()
        yield from service.judge_unit(service.unit_facts(), answers=self.running)
        yield from self._database()
        yield from self._time()
        yield from self._storage()
        yield power.judge_power(machine.throttled(self._places))
        account = ports.agents_account()
        yield from (ports.judge_port(ports.look_at(port, account)) for port in ports.ports_of(self._config))
        yield from self._instruments()
        yield from self._platforms()

    def _agent(self) -> Iterator[Verdict]:
        try:
            self.status = ask(self._config.box.runtime_dir, {"do": "status"})
        except NoAgent:
            advice = _("sudo systemctl start instrument-agent")
            yield Verdict("agent", Grade.FAIL, _("no agent is running, so nothing is watched"), advice)
        except AgentError as error:
            yield Verdict("agent", Grade.FAIL, str(error), error.hint)
        else:
            self.running = True
            yield self._same_config()

    def _same_config(self) -> Verdict:
        running = self.status or {}
        if running.get("config_hash") in (None, self._config.hash):
            return Verdict(
                "agent", Grade.OK, _("version {version} is running").format(version=running["agent_version"])
            )
        advice = _("sudo instrument-agent check && sudo systemctl restart instrument-agent")
        return Verdict("agent", Grade.WARN, _("it runs with another config file, or with one that was changed"), advice)

    def _database(self) -> Iterator[Verdict]:
        state_dir = self._config.box.state_dir
        try:
            self._reader = look(state_dir)
            yield from database.judge_database(database.look_into(self._reader, state_dir, deep=self._deep))
            if self.status is None:
                self.status = stopped_status(self._config, self._clock)
        except AgentError as error:
            yield Verdict("database", Grade.FAIL, str(error), error.hint)

    def _time(self) -> Iterator[Verdict]:
        facts = self._time_facts()
        self._utc_ns = None if facts.utc is None else facts.utc.utc_ns
        yield clocks.judge_time(facts)
        yield clocks.judge_wall_clock(facts)
        zone_at_ns = facts.wall_ns if self._utc_ns is None else self._utc_ns
        yield clocks.judge_zone(self._config.box.timezone, machine.system_zone(self._places), zone_at_ns)

    def _time_facts(self) -> clocks.TimeFacts:
        now_ns, wall_ns = self._clock.boottime_ns(), self._clock.utc_ns()
        try:
            known = [] if self._reader is None else anchors(self._reader, self._clock.boot_id)
        except AgentError:  # said where the database is judged
            known = []
        if known:
            newest = known[-1]
            utc = Sights(known).utc(now_ns)
            return clocks.TimeFacts(now_ns, utc, newest.source, now_ns - newest.boottime_ns, wall_ns)
        status = self.status or {}
        if self.running and status.get("utc"):
            told = status["utc"]
            utc = Utc(told["at_ms"] * NS_PER_MS, told["error_ms"] * NS_PER_MS)
            return clocks.TimeFacts(now_ns, utc, ", ".join(status["time_sources"]), None, wall_ns)
        return clocks.TimeFacts(now_ns, None, "", None, wall_ns)

    def _storage(self) -> Iterator[Verdict]:
        state_dir = self._config.box.state_dir
        try:
            log_ns = (
                None
                if self._reader is None
                else database.log_ns(self._reader, self._clock.boot_id, self._clock.boottime_ns())
            )
        except AgentError:  # likewise
            log_ns = None
        try:
            room = machine.room(state_dir, log_ns)
            # A running agent tries for itself; two that try at once would take each other's file away.
            card = machine.card_below(state_dir, self._places, try_it=not self.running)
        except OSError as error:
            said = f"{state_dir}: {why(error)}"
            yield Verdict("room", Grade.FAIL, said, _("start the agent once, or use sudo"))
            return
        self._room_days = storage.days_left(room)
        yield storage.judge_room(room)
        refused = str((self.status or {}).get("storage_error") or "")
        yield storage.judge_filesystem(card if not refused else storage.CardFacts(card.device, refused=refused))
        yield storage.judge_wear(card)

    def _instruments(self) -> Iterator[Verdict]:
        status = self.status or {"instruments": []}
        now = {item["instrument_id"]: item for item in status["instruments"]}
        for item in self._config.instruments:
            if item.id not in now:
                yield self._unwatched(item.id)
                continue
            facts = instruments.instrument_facts(item, now[item.id], status["boottime_ms"])
            yield instruments.judge_instrument(facts)
            clamp = instruments.clamp_facts(item, now[item.id])
            if clamp is not None:
                yield instruments.judge_clamp(clamp)

    def _unwatched(self, instrument_id: str) -> Verdict:
        with suppress(AgentError):  # said where the database is judged
            if self._reader is not None and is_retired(self._reader, instrument_id):
                said, advice = _("it is retired"), _("its [[instrument]] may be taken out of the config file")
                return Verdict("instrument", Grade.NOT_APPLICABLE, said, advice, instrument_id)
        said, advice = _("it was never watched"), _("restart the agent after a change of the config")
        return Verdict("instrument", Grade.WARN, said, advice, instrument_id)

    def _platforms(self) -> Iterator[Verdict]:
        if not self._config.destinations:
            yield Verdict("platform", Grade.NOT_APPLICABLE, _("none is configured: records stay on the box"))
        queues = {item["name"]: item["queue"] for item in (self.status or {"destinations": []})["destinations"]}
        for path in credentials.secret_files(self._config):
            yield credentials.judge_credential(credentials.credential(path))
        for item in self._config.destinations:
            yield platforms.judge_reach(platforms.reach(item, self._config.box, self._utc_ns))
            if item.name in queues:
                boot_id, now_ns = self._clock.boot_id, self._clock.boottime_ns()
                facts = platforms.delivery_facts(item.name, queues[item.name], boot_id, now_ns, self._room_days)
                yield from platforms.judge_delivery(facts)
