"""The report of a commissioning: for a person in Chinese and English (HTML), and for a program (JSON)."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from instrument_agent.commission.page import drawing, heading, lesson_text, listed, page, paragraph, table
from instrument_agent.commission.proposing import Lesson
from instrument_agent.commission.scale import number_text
from instrument_agent.commission.steps import Measured, Outcome, Step, outcome_text, step_text
from instrument_agent.commission.thresholds import powered_only
from instrument_agent.i18n import LANGUAGES, _, speaking

VERSION = 1


@dataclass(frozen=True, slots=True)
class Commissioned:
    """What there is to report.

    ``record`` is where the ``commissioned`` event stands in the log: epoch, seq, boot_id and at_ms. ``wall_clock`` is
    what the box's clock claimed then, as text: nobody has checked it.
    """

    box_id: str
    who: str
    walk: str
    profile: str | None
    software: str
    config_hash: str
    wall_clock: str
    record: Mapping[str, Any]
    keys_before: Mapping[str, Any]
    steps: Mapping[Step, Outcome]
    measured: Mapping[Step, Measured]
    lessons: Mapping[str, Lesson]
    """The same lesson, told in each language."""

    @property
    def lesson(self) -> Lesson:
        """The lesson, in any language."""
        return next(iter(self.lessons.values()))


def limits(found: Lesson, told: str | None, steps: Mapping[Step, Outcome]) -> list[str]:
    """Return the codes of what this instrument's figures do not tell."""
    codes = ["not_effective_hours"]
    if powered_only(found.proposal, told):
        codes.append("powered_only")
    if found.channel.unit == "A":
        codes.append("current_only")
    if found.channel.unit == "V.A":
        codes.append("apparent_power")
    if steps.get(Step.OFF) is not Outcome.OK:
        codes.append("off_not_seen")
    return codes


def limit_text(code: str) -> str:
    """Return a limit in words."""
    sentences = {
        "not_effective_hours": _("powered and running time are measured; effective and shared hours are not"),
        "powered_only": _("powered hours only: a run cannot be told, and none is ever claimed"),
        "current_only": _("apparent current, not power: thresholds are in amperes, and there is no energy"),
        "apparent_power": _("apparent power, not active power: there is no energy"),
        "off_not_seen": _("off was not seen while commissioning: its threshold is an estimate"),
    }
    return sentences[code]


def as_html(found: Commissioned, unit: str) -> str:
    """Return the report in every language, each from a page of its own on paper."""
    articles = []
    for code in LANGUAGES:
        with speaking(code):
            articles.append((code, "".join(_article(found, found.lessons[code], unit))))
    return page(f"{found.lesson.instrument.id} {found.wall_clock}", articles)


def _article(found: Commissioned, lesson: Lesson, unit: str) -> Iterator[str]:
    title = _("Commissioning report: {id}").format(id=lesson.instrument.id)
    yield f"<h1>{escape(title)}</h1>"
    yield table(_identity(found))
    yield heading(_("Sensor"))
    named = {"driver": _("driver"), "channel": _("channel")}
    yield table((named.get(key, key), value) for key, value in sensor(lesson).items())
    yield drawing(lesson, unit)
    yield paragraph(_("All steps one after the other; between them nothing was recorded (hatched)."))
    yield lesson_text(lesson, unit, found.keys_before)
    yield heading(_("Checks"))
    heads = (_("step"), _("verdict"), _("readings"), _("lowest"), _("usual"), _("highest"))
    yield table((_step_row(step, found, unit) for step in found.steps), heads)
    yield heading(_("What it does not tell"))
    yield listed(limit_text(code) for code in limits(lesson, found.profile, found.steps))
    yield paragraph(_("Signed: {line}").format(line="____________________"))


def _identity(found: Commissioned) -> Iterator[tuple[str, str]]:
    identity = found.lesson.instrument.identity()
    names = {
        "asset_code": _("asset code"),
        "platform_code": _("platform code"),
        "name_zh": _("name (Chinese)"),
        "name_en": _("name (English)"),
        "model": _("model"),
        "org_name": _("managing unit"),
        "org_uscc": _("credit code"),
        "location": _("place"),
    }
    yield from ((name, identity[key]) for key, name in names.items() if identity[key])
    yield _("box"), found.box_id
    yield _("commissioned by"), found.who
    yield _("when, by the box's unchecked clock"), found.wall_clock
    record = found.record
    if record:
        sentence = _("{epoch} / {seq}; {at_ms} ms after the start of boot {boot_id}")
        yield _("record"), sentence.format(**record)
    yield _("software"), found.software
    yield _("config file (SHA-256)"), found.config_hash


def _step_row(step: Step, found: Commissioned, unit: str) -> list[str]:
    here = found.measured.get(step)
    numbers = ["", "", "", ""]
    if here is not None:
        levels = (here.low, here.middle, here.high)
        numbers = [str(here.readings), *(f"{number_text(value)} {unit}".rstrip() for value in levels)]
    return [step_text(step), outcome_text(found.steps[step]), *numbers]


def sensor(lesson: Lesson) -> dict[str, str]:
    """Return how the instrument is read: the driver, and the options somebody gave it."""
    options = {key: value for key, value in lesson.instrument.driver.options.items() if value not in (None, "", [])}
    shown = {key: str(value) for key, value in options.items() if isinstance(value, str | int | float)}
    return {"driver": lesson.instrument.driver.name, "channel": lesson.channel.name, **shown}


def as_json(found: Commissioned, unit: str) -> dict[str, Any]:
    """Return the report for a program; sentences stand in it in every language."""
    lesson, proposal = found.lesson, found.lesson.proposal
    codes = limits(lesson, found.profile, found.steps)
    named = (("off", proposal.off), ("standby", proposal.standby), ("running", proposal.running))
    sentences = {}
    for code in LANGUAGES:
        told = found.lessons[code].proposal
        with speaking(code):
            sentences[code] = {
                "steps": {step.value: outcome_text(outcome) for step, outcome in found.steps.items()},
                "limits": [limit_text(item) for item in codes],
                "reasons": [*told.refusals, *told.doubts, *told.reasons],
            }
    return {
        "report": "commissioning",
        "version": VERSION,
        "box_id": found.box_id,
        "instrument_id": lesson.instrument.id,
        "identity": lesson.instrument.identity(),
        "sensor": sensor(lesson),
        "unit": unit,
        "by": found.who,
        "walk": found.walk,
        "software": found.software,
        "config_sha256": found.config_hash,
        "wall_clock": found.wall_clock,
        "record": dict(found.record),
        "profile": proposal.profile.value,
        "certainty": proposal.certainty.value,
        "levels": {name: asdict(level) for name, level in named if level is not None},
        "noise": proposal.noise,
        "thresholds": {key: {"before": found.keys_before.get(key), "now": value} for key, value in lesson.keys.items()},
        "steps": {
            step.value: {"outcome": outcome.value, **(asdict(found.measured[step]) if step in found.measured else {})}
            for step, outcome in found.steps.items()
        },
        "runs": [list(run) for run in lesson.seen(1).runs],
        "limits": codes,
        "sentences": sentences,
    }
