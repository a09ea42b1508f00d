"""What the technician finds beside the file he brought: what came of it, in Chinese and in English."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from instrument_agent.i18n import LANGUAGES, _, speaking
from instrument_agent.provision.card import CODE_NAME, FILE_NAME
from instrument_agent.provision.trial import Findings, Reached, Seen

SHOWN_HASH = 12


class Outcome(StrEnum):
    """What came of a file."""

    APPLIED = "applied"
    INCOMPLETE = "incomplete"
    ROLLED_BACK = "rolled_back"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a verdict tells. Texts that somebody else worded stand by language.

    ``before``: the file was handled earlier, and nothing was done now. ``removed`` secrets are deleted from the card,
    ``left`` could not be.
    """

    outcome: Outcome
    sha256: str
    box_id: str = ""
    before: bool = False
    mistakes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    missing: Mapping[str, Sequence[str]] = field(default_factory=dict)
    now: Findings = field(default_factory=Findings)
    removed: Sequence[str] = ()
    left: Sequence[str] = ()
    code_waits: bool = False


def missing(findings: Findings) -> dict[str, list[str]]:
    """Return what a config lacks to be proven, in each language."""
    found: dict[str, list[str]] = {}
    for language in LANGUAGES:
        with speaking(language):
            lines = [_instrument(item, language) for item in findings.instruments if not item.good]
            lines += [_platform(item, language) for item in findings.platforms if not item.good]
            found[language] = lines
    return found


def verdict(facts: Facts) -> str:
    """Return the whole text; Chinese comes first."""
    parts = []
    for language in LANGUAGES:
        with speaking(language):
            parts.append("\n".join(_lines(facts, language)))
    return f"\n\n{'-' * 60}\n\n".join(parts) + "\n"


def _lines(facts: Facts, language: str) -> list[str]:
    lines = [_("instrument-agent: what came of {file}").format(file=FILE_NAME), ""]
    lines.append(_("Verdict: {sentence}").format(sentence=_outcome(facts.outcome)))
    if facts.before:
        lines.append(_("This file was handled before; nothing was changed now."))
    if facts.box_id:
        lines.append(_("Box: {id}").format(id=facts.box_id))
    if facts.sha256:
        lines.append(_("File: SHA-256 {start}...").format(start=facts.sha256[:SHOWN_HASH]))
    lines += _listed(_("What is wrong:"), [*facts.mistakes.get(language, ()), *facts.missing.get(language, ())])
    seen = [_instrument(item, language) for item in facts.now.instruments]
    lines += _listed(_("Instruments, as the box reads them now:"), seen)
    if facts.now.instruments:
        reached = [_platform(item, language) for item in facts.now.platforms]
        lines += _listed(_("Platforms:"), reached or [_("none is configured: records stay on the box")])
    lines += _listed(_("What to do:"), _to_do(facts))
    return lines


def _outcome(outcome: Outcome) -> str:
    return {
        Outcome.APPLIED: _("GOOD. The box works with this file."),
        Outcome.INCOMPLETE: _("NOT COMPLETE. The box works with this file, but something is missing."),
        Outcome.ROLLED_BACK: _("NOT GOOD. The file was tried; the box has gone back to the one before."),
        Outcome.REFUSED: _("REFUSED. The file was not used, and nothing was changed."),
    }[outcome]


def _instrument(seen: Seen, language: str) -> str:
    name = f"{seen.id} {seen.names.get(language, '')}".strip()
    if seen.reading:
        return _("{name}: {said}").format(name=name, said=seen.reading)
    why = seen.errors.get(language) or _("not read yet, or no agent answers")
    return _("{name}: NOT READ. {why}").format(name=name, why=why)


def _platform(reached: Reached, language: str) -> str:
    if not reached.errors:
        said = _("it answers; the box was enrolled there just now") if reached.enrolled else _("it answers")
        return _("{name}: {said}").format(name=reached.name, said=said)
    why = reached.errors.get(language) or next(iter(reached.errors.values()))
    if reached.offline_ok:
        return _("{name}: no answer, which offline_ok allows. {why}").format(name=reached.name, why=why)
    return _("{name}: NO ANSWER. {why}").format(name=reached.name, why=why)


def _to_do(facts: Facts) -> list[str]:
    lines = {
        Outcome.APPLIED: [],
        Outcome.INCOMPLETE: [_("mend what is wrong; the box goes on trying by itself, and needs no new file for that")],
        Outcome.ROLLED_BACK: [
            _("mend what is wrong, change the file (an empty line will do), and start the box or plug the stick again")
        ],
        Outcome.REFUSED: [_("correct {file} and start the box or plug the stick again").format(file=FILE_NAME)],
    }[facts.outcome]
    if facts.code_waits:
        lines = [*lines, _("the code from {file} is kept; each start of the box tries it").format(file=CODE_NAME)]
    if facts.removed:
        names = ", ".join(facts.removed)
        told = _("{names}: moved into the box and deleted here. Deleted, not erased: who has the card may restore it")
        lines = [*lines, told.format(names=names)]
    if facts.left:
        told = _("{names}: could not be deleted here; delete it yourself, it is a secret")
        lines = [*lines, told.format(names=", ".join(facts.left))]
    return lines or [_("nothing")]


def _listed(title: str, items: Sequence[str]) -> list[str]:
    return ["", title, *(f"  - {item}" for item in items)] if items else []
