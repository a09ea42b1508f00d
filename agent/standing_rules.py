"""Which rules an instrument is judged by now, and how they came."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from instrument_agent.buffer.books import configured_data, newest_event
from instrument_agent.buffer.reader import Readable
from instrument_agent.config import ActivityConfig, InstrumentConfig
from instrument_agent.core.activity import Rules
from instrument_agent.core.records import LifecycleWord, RulesOrigin, configured, rules_data, rules_of


@dataclass(frozen=True, slots=True)
class Standing:
    """Rules and their origin; None as long as there are no thresholds."""

    rules: Rules
    origin: RulesOrigin | None


def standing_rules(instrument: InstrumentConfig, source: Readable) -> Standing:
    """Return what the config file says, or else what the agent has learned before.

    Rules of a config file are commissioned if the newest commissioning in the books named the very same.

    Raises:
        StoreUnavailable: the books cannot be read.
    """
    rules = instrument.activity.rules()
    if rules.calibrated:
        same = newest_event(source, instrument.id, LifecycleWord.COMMISSIONED).get("rules") == rules_data(rules)
        return Standing(rules, RulesOrigin.COMMISSIONED if same else RulesOrigin.CONFIGURED)
    announced = configured_data(source, instrument.id)
    known: Mapping[str, Any] = announced.get("rules", {})
    if announced.get("rules_origin") != RulesOrigin.LEARNED or known.get("channel") != rules.channel:
        return Standing(rules, None)
    return Standing(learned_rules(instrument.activity, known), RulesOrigin.LEARNED)


def announced_rules(instrument_id: str, source: Readable) -> Standing:
    """Return the rules an instrument was announced with, for one that is in no config file any more.

    Raises:
        StoreUnavailable: the books cannot be read.
    """
    announced = configured_data(source, instrument_id)
    origin = announced.get("rules_origin")
    return Standing(rules_of(announced.get("rules")), None if origin is None else RulesOrigin(origin))


def announcement(instrument: InstrumentConfig, standing: Standing) -> dict[str, Any]:
    """Return the data of "this instrument is watched like this"."""
    poll_ms = round(instrument.poll_s * 1000)
    return configured(instrument.identity(), instrument.driver.name, standing.rules, poll_ms, standing.origin)


def learned_rules(activity: ActivityConfig, known: Mapping[str, Any]) -> Rules:
    """Return learned rules as they were announced; the times nobody learns are those of the config file."""
    return replace(
        activity,
        off_below=float(known["off_below"]),
        run_above=float(known["run_above"]),
        run_below=float(known["run_below"]),
        min_on_s=known["min_on_ms"] / 1000,
        min_off_s=known["min_off_ms"] / 1000,
        single_readings="single_readings" in known,
    ).rules()
