"""Is a config good for this box? The agent must read each instrument with it, and each platform must answer."""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from instrument_agent.config import Config, DestinationConfig, InstrumentConfig
from instrument_agent.control import NoAgent, ask
from instrument_agent.core.errors import AgentError, PlatformUnavailable
from instrument_agent.i18n import LANGUAGES, advised, again, speaking
from instrument_agent.uplink.enrolled import KeyFile
from instrument_agent.uplink.enrolling import enrol
from instrument_agent.uplink.transports import transport_to

LOOK_EVERY_S = 0.5
ASK_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class Seen:
    """One instrument: its name in each language, and what was read of it or, in each language, why nothing was."""

    id: str
    names: Mapping[str, str]
    reading: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Whether it was read."""
        return bool(self.reading)


@dataclass(frozen=True, slots=True)
class Reached:
    """One platform: why it was not reached, in each language (empty if it was); ``enrolled`` just now."""

    name: str
    errors: Mapping[str, str] = field(default_factory=dict)
    offline_ok: bool = False
    enrolled: bool = False

    @property
    def good(self) -> bool:
        """Whether nothing is missing there."""
        return not self.errors or self.offline_ok


@dataclass(frozen=True, slots=True)
class Findings:
    """What a trial has shown."""

    instruments: tuple[Seen, ...] = ()
    platforms: tuple[Reached, ...] = ()

    @property
    def good(self) -> bool:
        """Whether the config has proven itself."""
        return all(item.good for item in self.instruments) and all(item.good for item in self.platforms)


def code_destination(config: Config) -> DestinationConfig | None:
    """Return where a one-time code is for: the only platform, or the only one without a credential of its own."""
    without = [item for item in config.destinations if item.credential_file is None]
    for found in (list(config.destinations), without):
        if len(found) == 1:
            return found[0]
    return None


def look(config: Config, patience_s: float, excused: frozenset[str] = frozenset()) -> tuple[Seen, ...]:
    """Wait until the agent has read every instrument with this config, at most ``patience_s``.

    Who is in ``excused`` is not waited for longer than for the others.
    """
    end_s = time.monotonic() + patience_s
    while True:
        told = _told_by_agent(config)
        found = tuple(_seen(item, told) for item in config.instruments)
        if all(item.good or item.id in excused for item in found) or time.monotonic() >= end_s:
            return found
        threading.Event().wait(LOOK_EVERY_S)


def failing(config: Config) -> frozenset[str]:
    """Return the instruments that the agent running now tries to read in vain."""
    with suppress(AgentError, NoAgent):
        status = ask(config.box.runtime_dir, {"do": "status"})
        return frozenset(
            item["instrument_id"] for item in status["instruments"] if (item["driver"] or {}).get("failing")
        )
    return frozenset()


def reach(config: Config, patience_s: float, code: Path | None, used: Callable[[], None]) -> tuple[Reached, ...]:
    """Ask every platform what it has of this box, until it answers, at most ``patience_s`` for all together.

    With a ``code``, a file, the box is enrolled first where the code is for; ``used`` is called when it was taken.
    """
    end_s = time.monotonic() + patience_s
    wanted = code_destination(config) if code is not None and code.exists() else None
    found = []
    for item in config.destinations:
        left_s = 0.0 if item.offline_ok else max(0.0, end_s - time.monotonic())
        errors, enrolled = _asked(config, item, left_s, code if item is wanted else None, used)
        found.append(Reached(item.name, errors, item.offline_ok, enrolled))
    with suppress(AgentError, NoAgent):
        ask(config.box.runtime_dir, {"do": "try_now"})
    return tuple(found)


def _asked(
    config: Config, destination: DestinationConfig, patience_s: float, code: Path | None, used: Callable[[], None]
) -> tuple[dict[str, str], bool]:
    """Return what a platform said that is no answer, in each language, and whether the box is enrolled there now."""
    end_s = time.monotonic() + patience_s
    keys = KeyFile(config.box.state_dir, destination.name)
    enrolled = False
    while True:
        lasting = False
        try:
            with closing(transport_to(destination, config.box.id, keys)) as transport:
                if code is not None and not enrolled:
                    enrol(keys, transport, code.read_text(encoding="utf-8").strip())
                    enrolled = True
                    used()
                transport.watermark()
        except (AgentError, OSError, UnicodeDecodeError) as error:
            errors = in_each_language(error)
            lasting = code is not None and not enrolled and not isinstance(error, PlatformUnavailable)
        else:
            return {}, enrolled
        if lasting or time.monotonic() >= end_s:
            return errors, enrolled
        threading.Event().wait(min(ASK_EVERY_S, max(0.0, end_s - time.monotonic())))


def in_each_language(error: Exception) -> dict[str, str]:
    """Return an error with what is to be done, in each language."""
    found = {}
    for language in LANGUAGES:
        with speaking(language):
            found[language] = advised(again(str(error)), again(getattr(error, "hint", "")))
    return found


def _told_by_agent(config: Config) -> dict[str, dict[str, Any]]:
    """Return what the agent says, in each language; nothing if none answers, or one without this config."""
    found = {}
    for language in LANGUAGES:
        with speaking(language), suppress(AgentError, NoAgent):
            status = ask(config.box.runtime_dir, {"do": "status"})
            if status.get("config_hash") == config.hash:
                found[language] = status
    return found


def _seen(config: InstrumentConfig, told: Mapping[str, Mapping[str, Any]]) -> Seen:
    names = {"zh": config.name_zh or config.name_en, "en": config.name_en or config.name_zh}
    none: Mapping[str, Any] = {}
    errors, reading = {}, ""
    for language, status in told.items():
        now = next((item for item in status["instruments"] if item["instrument_id"] == config.id), none)
        driver = now.get("driver") or {}
        if driver.get("failing"):
            with speaking(language):
                errors[language] = advised(driver["error"] or driver["failing"], driver["hint"])
        else:
            reading = _reading(config, now.get("reading") or {})
    return Seen(config.id, names, "" if errors else reading, errors)


def _reading(config: InstrumentConfig, values: Mapping[str, Any]) -> str:
    """Return what the instrument is judged by, with its unit; empty if that was not read."""
    channel = config.activity.channel
    value = values.get(channel)
    if value is None:
        return ""
    unit = next((item.unit for item in config.driver.build().channels if item.name == channel), "")
    shown = f"{value:.5g}" if isinstance(value, int | float) else str(value)
    return f"{channel} = {shown} {unit}".rstrip()
