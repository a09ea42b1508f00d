"""``instrument-agent commission``: the guided walk from an installed meter to thresholds, a record and a report."""

import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from instrument_agent.cli.at_terminal import quiet_log
from instrument_agent.cli.options import as_json, config_option, examples
from instrument_agent.commission.findings import Profile
from instrument_agent.core.errors import AgentError
from instrument_agent.i18n import LANGUAGES, _, speaking

if TYPE_CHECKING:
    from instrument_agent.commission.proposing import Lesson
    from instrument_agent.commission.walk import Walk
    from instrument_agent.config import Config
    from instrument_agent.core.activity import Rules

REPORTS = ("report.html", "report.json")


@click.command(
    help=_("Commission an instrument: off, standby, a run, standby; then thresholds, a record of it, and a report."),
    epilog=examples("commission --instrument xrd-1", "commission --instrument xrd-1 --answers walk.toml"),
)
@click.option("--instrument", "instrument_id", required=True, metavar="ID", help=_("its id in the config file"))
@config_option
@click.option(
    "--answers",
    "answers_path",
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help=_("a TOML file with everything that would be asked (docs/commissioning.md)"),
)
@click.option(
    "--activity-profile", type=click.Choice([kind.value for kind in Profile]), help=_("the kind of load, if you know")
)
@click.option("--restart", is_flag=True, help=_("forget a walk that was begun"))
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help=_("where to put the report (default: in the state directory)"),
)
def commission(
    instrument_id: str,
    config_path: Path,
    answers_path: Path | None,
    activity_profile: str | None,
    restart: bool,
    output: Path | None,
) -> None:
    """Go on where the walk was left; exit status 1 if it did not come to its end."""
    from instrument_agent.cli.commission_steps import take_steps
    from instrument_agent.commission.answers import read_answers
    from instrument_agent.commission.proposing import check_learnable
    from instrument_agent.commission.walk import Walk
    from instrument_agent.config import load_config
    from instrument_agent.field.access import instrument_of

    quiet_log()
    config = load_config(config_path)
    instrument = instrument_of(config, instrument_id)
    check_learnable(instrument)
    answers = None if answers_path is None else read_answers(answers_path)
    walk = Walk(config.box.state_dir, instrument, restart=restart)
    folder = output or walk.folder
    if walk.known.recorded is None:
        if not take_steps(config, instrument, walk, answers, activity_profile):
            sys.exit(1)
        lessons = _lessons(walk)
        if not _agreed(walk, lessons, asked=answers is None):
            sys.exit(1)
        _settle(config, walk, next(iter(lessons.values())))
    elif (folder / REPORTS[-1]).exists():
        click.echo(_("{id} is commissioned; --restart does it again").format(id=instrument_id))
        return
    else:
        lessons = _lessons(walk)  # it is in the log, but its report could not be written
    _report(load_config(config_path), walk, lessons, folder)


def _lessons(walk: "Walk") -> dict[str, "Lesson"]:
    """Learn once for each language: the reasons are sentences."""
    found = {}
    for code in LANGUAGES:
        with speaking(code):
            found[code] = walk.lesson()
    return found


def _agreed(walk: "Walk", lessons: Mapping[str, "Lesson"], *, asked: bool) -> bool:
    """Show what was learned, and say whether it is to be used."""
    from instrument_agent.cli.calibrate import show
    from instrument_agent.commission.verdict import Certainty
    from instrument_agent.i18n import language

    found = lessons[language()]
    show(found)
    doubtful = found.proposal.certainty is Certainty.DOUBTFUL
    if found.keys and asked and click.confirm(_("Use these thresholds?"), default=not doubtful):
        return True
    if found.keys and not asked and not doubtful:
        return True
    if found.keys and not asked:
        click.echo(_("Somebody has to look at doubtful thresholds: the same command without --answers asks"))
    sentence = _("Nothing was changed. What was recorded is kept in {path}; --restart takes all steps anew")
    click.echo(sentence.format(path=walk.folder))
    return False


def _settle(config: "Config", walk: "Walk", found: "Lesson") -> None:
    """Write the thresholds, put them in the log, and let the running agent use them, in this order."""
    from instrument_agent.appending import tell
    from instrument_agent.cli.adjusted import reloaded
    from instrument_agent.config.change import change_keys
    from instrument_agent.core.records import LifecycleWord, rules_data
    from instrument_agent.field.access import instrument_of

    known, activity = walk.known, found.instrument.activity
    if known.before is None:
        before = activity.rules()
        known.before = rules_data(before) if before.calibrated else {}
        known.keys_before = {key: getattr(activity, key) for key in found.keys}
        walk.save()
    new = change_keys(config.path, found.instrument.id, found.keys)
    rules = instrument_of(new, found.instrument.id).activity.rules()
    place = tell(new, found.instrument.id, LifecycleWord.COMMISSIONED, _event(walk, found, rules))
    known.recorded = asdict(place)
    walk.save()
    click.echo(_("written to {path}; the file as it was is {path}.bak").format(path=config.path))
    # Only now: rules are taken for commissioned if a record has named them before.
    click.echo(reloaded(new))


def _event(walk: "Walk", found: "Lesson", rules: "Rules") -> dict[str, Any]:
    """Return the data of the record: text and whole numbers only."""
    from instrument_agent.commission.report import limits
    from instrument_agent.commission.steps import Outcome, Step
    from instrument_agent.core.records import rules_data

    known, proposal = walk.known, found.proposal
    levels = {"off": proposal.off, "standby": proposal.standby, "running": proposal.running}
    steps = {Step(name): Outcome(outcome) for name, outcome in known.steps.items()}
    return {
        "by": known.who,
        "walk": known.walk,
        "profile": proposal.profile.value,
        "certainty": proposal.certainty.value,
        "rules": rules_data(rules),
        "before": known.before,
        "levels": {
            name: {"low": f"{level.low:.6g}", "middle": f"{level.middle:.6g}", "high": f"{level.high:.6g}"}
            for name, level in levels.items()
            if level is not None
        },
        "steps": known.steps,
        "limits": limits(found, known.profile, steps),
    }


def _report(config: "Config", walk: "Walk", lessons: Mapping[str, "Lesson"], folder: Path) -> None:
    from datetime import UTC, datetime
    from zoneinfo import ZoneInfo

    from instrument_agent import __version__
    from instrument_agent.cli import words
    from instrument_agent.clock import SystemClock
    from instrument_agent.commission import report
    from instrument_agent.commission.steps import Outcome, Step

    now = datetime.fromtimestamp(SystemClock().utc_ns() // 1_000_000_000, tz=UTC)
    known = walk.known
    found = report.Commissioned(
        box_id=config.box.id,
        who=known.who,
        walk=known.walk,
        profile=known.profile,
        software=f"instrument-agent {__version__}",
        config_hash=config.hash,
        wall_clock=f"{now.astimezone(ZoneInfo(config.box.timezone)):%Y-%m-%d %H:%M:%S %Z}",
        record=known.recorded or {},
        keys_before=known.keys_before,
        steps={Step(name): Outcome(outcome) for name, outcome in known.steps.items()},
        measured=walk.measured(),
        lessons=lessons,
    )
    unit = words.unit(found.lesson.channel.unit)
    texts = (report.as_html(found, unit), as_json(report.as_json(found, unit)) + "\n")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in zip(REPORTS, texts, strict=True):
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise AgentError(
            _("the report cannot be written: {error}").format(error=error), _("name another --output")
        ) from error
    click.echo(_("report: {path}").format(path=folder / REPORTS[0]))
