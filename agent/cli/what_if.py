"""``instrument-agent replay --what-if``: other rules on the readings the agent has kept, before they count."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from instrument_agent.buffer.boots import chronology
from instrument_agent.buffer.opening import look
from instrument_agent.cli import words
from instrument_agent.cli.adjusted import adjusted
from instrument_agent.cli.asked import named
from instrument_agent.cli.options import as_json
from instrument_agent.commission.what_if import UNDATED, Days, Hours, Trace
from instrument_agent.config import ActivityConfig, Config, InstrumentConfig, load_config
from instrument_agent.core.activity import Rules
from instrument_agent.core.errors import AgentError, ConfigError
from instrument_agent.core.readings import NS_PER_MS, NS_PER_S
from instrument_agent.i18n import _
from instrument_agent.standing_rules import standing_rules

LEARNED = ("off_below", "run_above", "run_below", "min_on_s", "min_off_s", "single_readings")
"""What has to stand in the config file together, once a person decides."""

NOISY = 0.05
"""Which share of standby may reach over a threshold: the edges of a chiller's pulses are less."""

Given = Mapping[str, Any]
"""The options given, named like the keys of ``[instrument.activity]``."""


def what_if(
    config_path: Path, instrument_id: str | None, given: Given, *, form: str, apply: bool, who: str | None
) -> None:
    """Print old and new hours side by side; with ``apply`` write the new keys into the config file."""
    config = load_config(config_path)
    instrument = _instrument(config, instrument_id)
    if not given:
        raise ConfigError(_("nothing is changed: give at least one threshold or time, e.g. --run-above 900"))
    reader = look(config.box.state_dir)
    try:
        rules = standing_rules(instrument, reader).rules
        proposed = _changed(rules, given)
        trace = Trace(reader, instrument.id, chronology(reader), ZoneInfo(config.box.timezone))
        if not trace.boots:
            raise AgentError(
                _("no readings of {instrument} are kept yet").format(instrument=instrument.id),
                _("let the agent run for a while, or replay a recorded file"),
            )
        new_rules = proposed.rules()
        over = trace.reaching_over(new_rules)
        columns = (trace.recorded(), trace.by(rules) if rules.calibrated else {}, trace.by(new_rules))
    finally:
        reader.close()
    _print_days(columns, config.box.timezone, form)
    if over > NOISY:
        sentence = _(
            "warning: standby reaches over the new run_below ({run_below:g}) in {share:.0%} of all ten seconds: judged"
            " one by one its readings may make more runs than are shown here"
        )
        click.echo(sentence.format(run_below=new_rules.run_below, share=over), err=True)
    if apply:
        _apply(config, instrument, given, proposed, who)


def _instrument(config: Config, instrument_id: str | None) -> InstrumentConfig:
    known = {item.id: item for item in config.instruments}
    if instrument_id is None and len(known) > 1:
        raise ConfigError(_("--what-if needs --instrument"), _("one of {names}").format(names=", ".join(known)))
    found = known.get(next(iter(known)) if instrument_id is None else instrument_id)
    if found is None:
        raise ConfigError(
            _("there is no instrument {name} in {path}").format(name=instrument_id, path=config.path),
            _("it has: {names}").format(names=", ".join(known)),
        )
    if found.activity.states is not None:
        raise ConfigError(
            _("{instrument} tells its state itself: there is no threshold to try").format(instrument=found.id)
        )
    return found


def _changed(rules: Rules, given: Given) -> ActivityConfig:
    """Return the rules with what was given, if a config file may say so."""
    from instrument_agent.cli.replay import check_rules

    activity = ActivityConfig(
        channel=rules.channel,
        off_below=rules.off_below if rules.calibrated else None,
        run_above=rules.run_above if rules.calibrated else None,
        run_below=None if rules.run_below == rules.run_above else rules.run_below,
        min_on_s=rules.min_on_ns / NS_PER_S,
        min_off_s=rules.min_off_ns / NS_PER_S,
        off_settle_s=rules.off_settle_ns / NS_PER_S,
        single_readings=rules.single_readings,
        gap_s=rules.gap_ns / NS_PER_S,
        bridge_s=rules.bridge_ns / NS_PER_S,
    )
    activity = replace(activity, **given)
    check_rules(activity)
    return activity


def _print_days(columns: tuple[Days, Days, Days], zone: str, form: str) -> None:
    dates = sorted({day for column in columns for day in column})
    rows = [(day, [column.get(day, Hours()) for column in columns]) for day in dates]
    if form == "json":
        names = ("recorded", "old", "new")
        found = [
            {"day": day or None}
            | {
                name: {"runs": hours.runs, "running_ms": hours.running_ns // NS_PER_MS}
                for name, hours in zip(names, row, strict=True)
            }
            for day, row in rows
        ]
        click.echo(as_json({"timezone": zone, "days": found}))
        return
    from rich.console import Console

    table = words.plain_table(_("day"), _("recorded"), _("by the old rules"), _("by the new rules"), _("difference"))
    table.title = _("Runs and running time of the kept readings, days of {zone}").format(zone=zone)
    sums = [Hours(sum(row[n].runs for _d, row in rows), sum(row[n].running_ns for _d, row in rows)) for n in range(3)]
    for day, row in [*rows, (_("sum"), sums)]:
        change_s = round((row[2].running_ns - row[1].running_ns) / NS_PER_S)
        sign = "-" if change_s < 0 else "+"
        shown = [f"{hours.runs} / {words.duration(hours.running_ns // NS_PER_MS)}" for hours in row]
        title = _("undated") if day == UNDATED else day
        table.add_row(title, *shown, f"{row[2].runs - row[1].runs:+d} / {sign}{words.duration(abs(change_s) * 1000)}")
    Console().print(table)
    click.echo(
        _(
            "Between recorded runs only ten-second means are kept, so old and recorded may differ by seconds;"
            " by more where other rules, or none, were in force then."
        )
    )
    click.echo(_("Nothing recorded is changed; new rules count from when the agent takes them over."))


def _apply(
    config: Config, instrument: InstrumentConfig, given: Given, proposed: ActivityConfig, who: str | None
) -> None:
    values = dict(given)
    if not instrument.activity.told:  # half of what was learned would be no rule
        learned = {name: getattr(proposed, name) for name in LEARNED}
        values |= {name: value for name, value in learned.items() if value is not None}
    for sentence in adjusted(config, instrument.id, values, "what_if", named(who)):
        click.echo(sentence, err=True)
