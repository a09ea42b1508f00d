"""Mistakes in a file that people write: where they are, what is wrong, what to do. All of them are told at once."""

import re
import reprlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from unicodedata import category

from instrument_agent.core.errors import ConfigError
from instrument_agent.i18n import _, advised

KeyPath = tuple[str | int, ...]
"""Where a value is in the file: keys, and positions in arrays counted from 0."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]{1,60}")
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing to correct; ``line`` counts from 1 and is None where the file as a whole is meant."""

    path: Path
    line: int | None
    key: str
    problem: str
    hint: str = ""

    def __str__(self) -> str:
        """Return ``file:line: key: problem (hint)``, leaving out what is not known."""
        place = str(self.path) if self.line is None else f"{self.path}:{self.line}"
        sentence = ": ".join(part for part in (place, self.key, self.problem) if part)
        return advised(sentence, self.hint)


class InvalidConfig(ConfigError):
    """A file with mistakes; ``mistakes`` holds every one of them, file by file, in the order of their lines."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        # A file that two instruments name is read twice, and its mistakes are found twice.
        self.mistakes = sorted(dict.fromkeys(mistakes), key=lambda mistake: (str(mistake.path), mistake.line or 0))
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))


class Unfit(ConfigError):
    """A value that does not do for its key; the one who knows the key turns it into a Mistake.

    ``at`` leads from that key to the one at fault, where the value is a table; ``others`` are wrong as well.
    """

    def __init__(self, problem: str, hint: str = "", at: KeyPath = (), others: Sequence["Unfit"] = ()) -> None:
        super().__init__(problem, hint)
        self.problem = problem
        self.at = at
        self.others = tuple(others)

    def below(self, at: KeyPath) -> "Unfit":
        """Return the same for whoever holds what was at fault at ``at``."""
        return Unfit(self.problem, self.hint, (*at, *self.at), [other.below(at) for other in self.others])


def together(found: Sequence[Unfit]) -> Unfit:
    """Return the first of what was found, with all the others."""
    first, *others = [item for unfit in found for item in (unfit, *unfit.others)]
    return Unfit(first.problem, first.hint, first.at, others)


def check_all(*checks: Callable[[], object]) -> None:
    """Run every check, and raise together what they raise.

    Raises:
        Unfit: one of them failed, or several.
    """
    wrong: list[Unfit] = []
    for check in checks:
        try:
            check()
        except Unfit as unfit:
            wrong.append(unfit)
    if wrong:
        raise together(wrong)


class Notebook:
    """Collects the mistakes of one file; ``lines`` tells on which line a key stands."""

    def __init__(self, path: Path, lines: Mapping[KeyPath, int]) -> None:
        self.path = path
        self.mistakes: list[Mistake] = []
        self._lines = lines

    def note_unfit(self, at: KeyPath, unfit: Unfit) -> None:
        """Write down what is wrong with the value at ``at``."""
        for item in (unfit, *unfit.others):
            self.note((*at, *item.at), item.problem, item.hint)

    def note(self, at: KeyPath, problem: str, hint: str = "") -> None:
        """Write down a mistake; what stands nowhere (a missing key) gets the line of the table it belongs in."""
        # What a driver says of a value may repeat it; in the file it may hold anything, even commands to the terminal.
        problem, hint = visible(problem), visible(hint)
        known = (self._lines[at[:end]] for end in range(len(at), 0, -1) if at[:end] in self._lines)
        self.mistakes.append(Mistake(self.path, next(known, None), key_text(at), problem, hint))


def key_text(at: KeyPath) -> str:
    """Return a key path as people write it; arrays count from 1: ``instrument[1]`` is the first one."""
    text = ""
    for part in at:
        if isinstance(part, int):
            text += f"[{part + 1}]"
            continue
        shown = part if _BARE_KEY.fullmatch(part) else shortened(part)
        text += f".{shown}" if text else shown
    return text


def is_control(character: str) -> bool:
    """Tell whether a character is for a terminal to act on and not for a person to read; line breaks are such."""
    return category(character) == "Cc"


def visible(text: str) -> str:
    """Return ``text`` with its control characters written out, on one line."""
    return "".join(repr(character)[1:-1] if is_control(character) else character for character in text)


def shortened(value: object) -> str:
    """Return a value from the file as it can be shown in a sentence: short, and nothing in it acts on a terminal."""
    return str(value).lower() if isinstance(value, bool) else _SHORT.repr(value)


def nearest(word: str, valid: Iterable[str]) -> str:
    """Return a hint with the valid word most like ``word``, or an empty one."""
    found = get_close_matches(word[:60], list(valid), n=1)
    return _("did you mean {word}?").format(word=found[0]) if found else ""
