"""Pages a technician keeps: HTML that needs nothing from outside, every foreign word escaped, fit to be printed."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from instrument_agent.commission.picture import COLUMNS, picture
from instrument_agent.commission.proposing import Lesson
from instrument_agent.commission.scale import number_text
from instrument_agent.commission.verdict import Certainty
from instrument_agent.i18n import _, language
from instrument_agent.tables.change import Scalar

_STYLE = """
body{font:15px/1.5 system-ui,"Noto Sans CJK SC","Microsoft YaHei",sans-serif;margin:0 auto;max-width:1010px}
body{padding:16px;color:#1a1a1a}h1{font-size:22px}h2{font-size:17px;margin:22px 0 6px}svg{width:100%;height:auto}
table{border-collapse:collapse}td,th{padding:3px 22px 3px 0;text-align:left;vertical-align:top}
td.n{font-variant-numeric:tabular-nums}article+article{page-break-before:always;margin-top:60px}
"""


def page(title: str, articles: Sequence[tuple[str, str]]) -> str:
    """Return a whole page; an article is a language code and its HTML."""
    inside = "".join(f"<article lang='{code}'>{text}</article>" for code, text in articles)
    code = articles[0][0] if articles else "en"
    return (
        f"<!doctype html>\n<html lang='{code}'><head><meta charset='utf-8'>"
        f"<meta name='viewport' content='width=device-width'><title>{escape(title)}</title>"
        f"<style>{_STYLE}</style></head><body>{inside}</body></html>\n"
    )


def table(rows: Iterable[Sequence[str]], heads: Sequence[str] = ()) -> str:
    """Return rows as an HTML table."""
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    lines = ("".join(f"<td class='n'>{escape(text)}</td>" for text in row) for row in rows)
    return f"<table>{f'<tr>{head}</tr>' if head else ''}{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def heading(text: str) -> str:
    """Return a heading within a page."""
    return f"<h2>{escape(text)}</h2>"


def paragraph(text: str) -> str:
    """Return a paragraph."""
    return f"<p>{escape(text)}</p>"


def listed(sentences: Iterable[str]) -> str:
    """Return sentences as an HTML list."""
    return f"<ul>{''.join(f'<li>{escape(sentence)}</li>' for sentence in sentences)}</ul>"


def drawing(lesson: Lesson, unit: str) -> str:
    """Return the picture of a lesson's trace."""
    name = lesson.instrument.name_zh if language() == "zh" else lesson.instrument.name_en
    return picture(lesson.seen(COLUMNS), lesson.rules, unit, f"{lesson.instrument.id} {name}".strip())


def lesson_page(lesson: Lesson, unit: str) -> str:
    """Return a page with the picture and what was learned."""
    title = _("Thresholds of {id}").format(id=lesson.instrument.id)
    text = f"<h1>{escape(title)}</h1>{drawing(lesson, unit)}{lesson_text(lesson, unit)}"
    return page(title, [(language(), text)])


def lesson_text(lesson: Lesson, unit: str, before: Mapping[str, Any] | None = None) -> str:
    """Return levels, thresholds and reasons as HTML; ``before`` are the keys as they were, if not those of now."""
    proposal, activity = lesson.proposal, lesson.instrument.activity
    old = {key: getattr(activity, key) for key in lesson.keys} if before is None else before
    heads = (_("level"), _("lowest"), _("usual"), _("highest"))
    rows = [[name, *(f"{number_text(value)} {unit}" for value in numbers)] for name, numbers in levels(lesson)]
    rows.append([_("noise"), "", f"{proposal.noise:.3g} {unit}", ""])
    changes = [(key, key_text(key), *threshold_texts(lesson, key, old.get(key), unit)) for key in lesson.keys]
    sentences = (*proposal.refusals, *proposal.doubts, *proposal.reasons)
    parts = [
        *(heading(_("Levels")), table(rows, heads)),
        *(heading(_("Thresholds")), table(changes, (_("key"), _("meaning"), _("before"), _("proposed")))),
        *(paragraph(certainty_text(lesson)), listed(sentences)),
    ]
    return "".join(parts)


def levels(lesson: Lesson) -> list[tuple[str, tuple[float, ...]]]:
    """Return the lowest, usual and highest value of each level that was seen, by its name."""
    proposal = lesson.proposal
    named = ((_("off"), proposal.off), (_("standby"), proposal.standby), (_("running"), proposal.running))
    return [(name, (level.low, level.middle, level.high)) for name, level in named if level is not None]


def certainty_text(lesson: Lesson) -> str:
    """Return how sure a proposal is, in a sentence."""
    profile = lesson.proposal.profile.value
    sentences = {
        Certainty.SURE: _("proposed ({profile}): sure"),
        Certainty.FAIR: _("proposed ({profile}): fairly sure; look at the picture"),
        Certainty.DOUBTFUL: _("proposed ({profile}): doubtful; look at the picture, and mark standby and a run"),
        Certainty.REFUSED: _("no run can be told, so none is claimed"),
    }
    return sentences[lesson.proposal.certainty].format(profile=profile)


def key_text(key: str) -> str:
    """Return what a learned key of ``[instrument.activity]`` means, in words."""
    sentences = {
        "off_below": _("off below"),
        "run_above": _("a run begins at"),
        "run_below": _("a run ends below"),
        "min_on_s": _("a run lasts at least"),
        "min_off_s": _("a shorter pause ends no run"),
        "single_readings": _("in a run, pulses of one reading are real"),
        "standby_level": _("usual standby, whose slow drift is followed"),
    }
    return sentences[key]


def threshold_texts(lesson: Lesson, key: str, before: Scalar | None, unit: str) -> tuple[str, str]:
    """Return a value of a key as it was and as it is to be, with its unit."""
    value = lesson.keys[key]
    of_key = "s" if key.endswith("_s") else unit
    never = key in ("run_above", "run_below") and not isinstance(value, str) and value > lesson.channel.high
    return value_text(before, of_key), _("never") if never else value_text(value, of_key)


def value_text(value: Scalar | None, unit: str) -> str:
    """Return a value of a config key as people write it; a dash for none."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return value if isinstance(value, str) else f"{value:.10g} {unit}".rstrip()
