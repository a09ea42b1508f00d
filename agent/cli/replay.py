"""``instrument-agent replay``: a recorded trace through the same core as the daemon's readings."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median

import click
from click.core import ParameterSource

from instrument_agent.cli.asked import who_option
from instrument_agent.cli.calibration import Window, calibration_options, check_change, learned
from instrument_agent.cli.options import config_option, examples
from instrument_agent.cli.replayed_rows import Rows
from instrument_agent.commission.recorded import Recording
from instrument_agent.commission.survey import Thinned
from instrument_agent.config import ActivityConfig
from instrument_agent.core.activity import Rules
from instrument_agent.core.errors import ConfigError
from instrument_agent.core.ledger import Interval
from instrument_agent.core.observing import ended, observe, played
from instrument_agent.core.readings import NS_PER_S, Activity, Reading
from instrument_agent.core.sessions import RunSession
from instrument_agent.core.step import Event, State, begin
from instrument_agent.i18n import _

DAY_S = 86_400
BOOT = "replay"
TRIED = ("off_below", "run_above", "run_below", "min_on_s", "min_off_s", "off_settle_s", "gap_s", "bridge_s")
"""The options that are keys of ``[instrument.activity]``, too."""

Told = tuple[str | None, Window | None, Window | None]
"""The activity profile, and when it stood by and ran, as far as they were given."""


@click.command(
    help=_(
        "Play a recorded trace (timestamp_s,value, or what `record` wrote) through the rules and print what it did."
    ),
    epilog=examples(
        "replay trace.csv --off-below 5 --run-above 900 --sessions",
        "replay trace.csv --channel current_a --off-below 0.1 --run-above 4",
        "replay trace.csv --calibrate --standby 600:1800 --running 4000:5200",
        "replay --what-if --instrument xrd-1 --run-above 900",
    ),
)
@click.argument("trace", type=click.Path(path_type=Path, readable=False), required=False)
@click.option("--off-below", type=float, help=_("off while the value is below this"))
@click.option("--run-above", type=float, help=_("a run begins at this value"))
@click.option("--run-below", type=float, help=_("a run ends below this value (default: --run-above)"))
@click.option("--channel", default="power_w", show_default=True, help=_("what is judged in a trace of `record`"))
@click.option("--min-on-s", type=float, default=60.0, show_default=True, help=_("a shorter pulse is no run"))
@click.option("--min-off-s", type=float, default=120.0, show_default=True, help=_("a shorter pause ends no run"))
@click.option("--off-settle-s", type=float, default=10.0, show_default=True, help=_("a shorter dip is not off"))
@click.option("--gap-s", type=float, default=60.0, show_default=True, help=_("a longer silence is unknown"))
@click.option("--bridge-s", type=float, default=300.0, show_default=True, help=_("a longer silence ends a run"))
@click.option("--sessions", "only_runs", is_flag=True, help=_("print run sessions instead of intervals"))
@click.option("--format", "form", type=click.Choice(["csv", "json"]), default="csv", show_default=True)
@click.option(
    "--what-if", "compares", is_flag=True, help=_("try thresholds on what the agent has kept of its readings")
)
@click.option("--instrument", help=_("which instrument, with --what-if"))
@click.option("--apply", "applies", is_flag=True, help=_("with --what-if: write what was tried into the config file"))
@who_option
@config_option
@calibration_options
@click.pass_context
def replay(
    context: click.Context,
    trace: Path | None,
    off_below: float | None,
    run_above: float | None,
    run_below: float | None,
    channel: str,
    min_on_s: float,
    min_off_s: float,
    off_settle_s: float,
    gap_s: float,
    bridge_s: float,
    only_runs: bool,
    form: str,
    calibrate: bool,
    activity_profile: str | None,
    standby: Window | None,
    running: Window | None,
    scale: float,
    offset: float,
    compares: bool,
    instrument: str | None,
    applies: bool,
    who: str | None,
    config_path: Path,
) -> None:
    """Print intervals or run sessions in seconds of the trace's own clock, or with --what-if hours by day."""
    if compares:
        _what_if(context, config_path, instrument, form, applies=applies)
        return
    if trace is None:
        raise click.UsageError(_("give a trace, or --what-if"))
    if instrument is not None or applies or who is not None:
        raise ConfigError(_("--instrument, --apply and --who are for --what-if"), _("give it, too"))
    given = ActivityConfig(
        channel=channel,
        off_below=off_below,
        run_above=run_above,
        run_below=run_below,
        min_on_s=min_on_s,
        min_off_s=min_off_s,
        off_settle_s=off_settle_s,
        gap_s=gap_s,
        bridge_s=bridge_s,
    )
    check_change(scale, offset)
    recording = Recording(trace, channel, scale, offset)
    told = (activity_profile, standby, running)
    rules = _learned_rules(given, recording, told) if calibrate else _given_rules(given, told)
    _print(recording, rules, only_runs, form)


def _learned_rules(given: ActivityConfig, recording: Recording, told: Told) -> Rules:
    if (given.off_below, given.run_above, given.run_below) != (None, None, None):
        raise ConfigError(_("--calibrate learns the thresholds: leave them out, or leave out --calibrate"))
    _check_times(given)
    return learned(recording, *told).rules(given)


def _what_if(context: click.Context, config_path: Path, instrument: str | None, form: str, *, applies: bool) -> None:
    from instrument_agent.cli.what_if import what_if

    given = [name for name in context.params if context.get_parameter_source(name) is not ParameterSource.DEFAULT]
    allowed = {*TRIED, "compares", "instrument", "applies", "who", "config_path", "form"}
    foreign = [item.opts[-1] for item in context.command.params if item.name in given and item.name not in allowed]
    if foreign:
        raise ConfigError(_("{options}: not with --what-if").format(options=", ".join(foreign)))
    values = {name: context.params[name] for name in TRIED if name in given}
    what_if(config_path, instrument, values, form=form, apply=applies, who=context.params["who"])


def _print(recording: Recording, rules: Rules, only_runs: bool, form: str) -> None:
    """Print rows once the whole trace has proved to be one; neither it nor they are held in memory."""
    columns = ["start", "end", "running_s", "unseen_s"] if only_runs else ["start", "end", "state"]
    unknown_ns = whole_ns = 0
    with Rows(form, columns) as rows:
        for event in _played(recording, rules):
            if isinstance(event, Interval):
                whole_ns += event.end_ns - event.start_ns
                unknown_ns += event.end_ns - event.start_ns if event.activity is Activity.UNKNOWN else 0
                if not only_runs:
                    rows.add(_interval_row(event))
            elif only_runs and isinstance(event, RunSession):
                rows.add(_run_row(event))
        rows.print()
    if 2 * unknown_ns > whole_ns:
        _warn_of_silence(recording, rules.gap_ns / NS_PER_S)


def _played(recording: Recording, rules: Rules) -> Iterator[Event]:
    if next(recording.readings(), None) is None:
        raise ConfigError(_("the trace {path} has no rows").format(path=recording.path))
    numbers = recording.numbers()
    return _each(rules, recording.readings()) if numbers is None else played(rules, BOOT, numbers)


def _each(rules: Rules, readings: Iterable[Reading]) -> Iterator[Event]:
    state: State | None = None
    for reading in readings:
        state, events = observe(rules, state or begin(BOOT, reading.at_ns), reading)
        yield from events
    if state is not None:
        yield from ended(rules, state)[1]


def _given_rules(given: ActivityConfig, told: Told) -> Rules:
    """Return the rules the options give."""
    if given.off_below is None or given.run_above is None:
        raise ConfigError(_("--off-below and --run-above are needed"), _("or give --calibrate to learn them"))
    if told != (None, None, None):
        raise ConfigError(_("--activity-profile, --standby and --running are for --calibrate"), _("give it, too"))
    check_rules(given)
    return given.rules()


def check_rules(given: ActivityConfig) -> None:
    """Refuse what a config file may not say either."""
    if given.off_below is None or given.run_above is None:
        raise ConfigError(_("--off-below and --run-above are needed"))
    run_below = given.run_above if given.run_below is None else given.run_below
    if not (0 < given.off_below <= run_below <= given.run_above and math.isfinite(given.run_above)):
        raise ConfigError(_("the thresholds must be numbers with 0 < off_below <= run_below <= run_above"))
    _check_times(given)


def _check_times(given: ActivityConfig) -> None:
    if not all(0 <= seconds <= DAY_S for seconds in (given.min_on_s, given.min_off_s, given.off_settle_s)):
        raise ConfigError(_("min_on_s, min_off_s and off_settle_s must be from 0 to 86400"))
    if not 1 <= given.gap_s <= given.bridge_s <= DAY_S:
        raise ConfigError(_("gap_s and bridge_s must satisfy 1 <= gap_s <= bridge_s <= 86400"))


def _warn_of_silence(recording: Recording, gap_s: float) -> None:
    """Say so if most of the trace is unknown: then its readings are probably too far apart for these rules."""
    steps, last_s = Thinned(), None
    for reading in recording.readings():
        at_s = reading.at_ns / NS_PER_S
        if last_s is not None:
            steps.add(at_s - last_s, 1.0, 0.0)
        last_s = at_s
    sentence = _(
        "warning: more than half of the trace is unknown: its readings are typically {apart:g} s apart,"
        " and a silence longer than --gap-s ({gap:g}) is unknown"
    )
    click.echo(sentence.format(apart=median(steps.values), gap=gap_s), err=True)


def _interval_row(interval: Interval) -> dict[str, object]:
    return {
        "start": _seconds(interval.start_ns),
        "end": _seconds(interval.end_ns),
        "state": interval.activity.value,
    }


def _run_row(run: RunSession) -> dict[str, object]:
    return {
        "start": _seconds(run.start_ns),
        "end": _seconds(run.end_ns),
        "running_s": _seconds(run.end_ns - run.start_ns - run.unseen_ns),
        "unseen_s": _seconds(run.unseen_ns),
    }


def _seconds(nanoseconds: int) -> float | int:
    seconds = nanoseconds / NS_PER_S
    return int(seconds) if seconds.is_integer() else seconds
