"""``instrument-agent replay``: a recorded trace through the same core as the daemon's readings."""

import math
from array import array
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from statistics import median

import click

from instrument_agent.cli.options import as_csv, as_json, examples
from instrument_agent.config import ActivityConfig
from instrument_agent.core.activity import Rules
from instrument_agent.core.errors import ConfigError
from instrument_agent.core.ledger import Interval, totals_ns
from instrument_agent.core.readings import NS_PER_S, Activity, Observation
from instrument_agent.core.sessions import RunSession
from instrument_agent.core.step import Event, State, begin, end, step
from instrument_agent.drivers.trace import trace_rows
from instrument_agent.i18n import _

DAY_S = 86_400


@click.command(
    help=_("Play a recorded trace (timestamp_s,value) through the rules and print what the instrument did."),
    epilog=examples("replay trace.csv --off-below 5 --run-above 900 --sessions"),
)
@click.argument("trace", type=click.Path(path_type=Path, readable=False))
@click.option("--off-below", type=float, required=True, help=_("off while the value is below this"))
@click.option("--run-above", type=float, required=True, help=_("a run begins at this value"))
@click.option("--run-below", type=float, help=_("a run ends below this value (default: --run-above)"))
@click.option("--min-on-s", type=float, default=60.0, show_default=True, help=_("a shorter pulse is no run"))
@click.option("--min-off-s", type=float, default=120.0, show_default=True, help=_("a shorter pause ends no run"))
@click.option("--off-settle-s", type=float, default=10.0, show_default=True, help=_("a shorter dip is not off"))
@click.option("--gap-s", type=float, default=60.0, show_default=True, help=_("a longer silence is unknown"))
@click.option("--bridge-s", type=float, default=300.0, show_default=True, help=_("a longer silence ends a run"))
@click.option("--sessions", "only_runs", is_flag=True, help=_("print run sessions instead of intervals"))
@click.option("--format", "form", type=click.Choice(["csv", "json"]), default="csv", show_default=True)
def replay(
    trace: Path,
    off_below: float,
    run_above: float,
    run_below: float | None,
    min_on_s: float,
    min_off_s: float,
    off_settle_s: float,
    gap_s: float,
    bridge_s: float,
    only_runs: bool,
    form: str,
) -> None:
    """Print intervals or run sessions in seconds of the trace's own clock."""
    given = ActivityConfig(
        off_below=off_below,
        run_above=run_above,
        run_below=run_below,
        min_on_s=min_on_s,
        min_off_s=min_off_s,
        off_settle_s=off_settle_s,
        gap_s=gap_s,
        bridge_s=bridge_s,
    )
    _check(given)
    times_s = array("d")
    events = list(_played(trace, _noted(trace_rows(trace), times_s), given.rules()))
    if only_runs:
        rows = [_run_row(event) for event in events if isinstance(event, RunSession)]
        columns = ["start", "end", "running_s", "unseen_s"]
    else:
        rows = [_interval_row(event) for event in events if isinstance(event, Interval)]
        columns = ["start", "end", "state"]
    click.echo(as_json(rows) if form == "json" else as_csv(rows, columns))
    _warn_of_silence(events, times_s, gap_s)


def replayed(trace: Path, rules: Rules) -> Iterator[Event]:
    """Return what becomes certain as the trace is read.

    Raises:
        BadRow: a row of the trace is not a reading.
    """
    return _played(trace, trace_rows(trace), rules)


def _played(trace: Path, rows: Iterable[tuple[float, float]], rules: Rules) -> Iterator[Event]:
    state: State | None = None
    for at_s, value in rows:
        at_ns = round(at_s * NS_PER_S)
        if state is None:
            state = begin("replay", at_ns)
        state, events = step(rules, state, Observation(at_ns, {rules.channel: value}))
        yield from events
    if state is None:
        raise ConfigError(_("the trace {path} has no rows").format(path=trace))
    yield from end(rules, state)[1]


def _check(given: ActivityConfig) -> None:
    """Refuse what a config file may not say either."""
    run_below = given.run_above if given.run_below is None else given.run_below
    if not (0 < given.off_below <= run_below <= given.run_above and math.isfinite(given.run_above)):
        raise ConfigError(_("the thresholds must be numbers with 0 < off_below <= run_below <= run_above"))
    if not all(0 <= seconds <= DAY_S for seconds in (given.min_on_s, given.min_off_s, given.off_settle_s)):
        raise ConfigError(_("min_on_s, min_off_s and off_settle_s must be from 0 to 86400"))
    if not 1 <= given.gap_s <= given.bridge_s <= DAY_S:
        raise ConfigError(_("gap_s and bridge_s must satisfy 1 <= gap_s <= bridge_s <= 86400"))


def _noted(rows: Iterable[tuple[float, float]], times_s: "array[float]") -> Iterator[tuple[float, float]]:
    for at_s, value in rows:
        times_s.append(at_s)
        yield at_s, value


def _warn_of_silence(events: Iterable[Event], times_s: "array[float]", gap_s: float) -> None:
    """Say so if most of the trace is unknown: then its readings are probably too far apart for these rules."""
    spent_ns = totals_ns(event for event in events if isinstance(event, Interval))
    if 2 * spent_ns[Activity.UNKNOWN] > sum(spent_ns.values()):
        apart_s = median(after - before for before, after in pairwise(times_s))
        sentence = _(
            "warning: more than half of the trace is unknown: its readings are typically {apart:g} s apart,"
            " and a silence longer than --gap-s ({gap:g}) is unknown"
        )
        click.echo(sentence.format(apart=apart_s, gap=gap_s), err=True)


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
