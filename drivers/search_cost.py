"""How long the search for a pattern can take at worst, told from the pattern alone. Pure.

Python's search tries every way in which a pattern could fit, and nothing else runs meanwhile. `.*A.*B.*C.*D` takes
minutes on one unlucky line, and (a+)+ for ever. What makes the difference is where a repeat may stop: if what follows
it cannot begin with a character that it repeats, there is one place; otherwise there are as many as characters, and
all that follows is tried again from each of them.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, reduce

from instrument_agent.i18n import _

Letters = frozenset[str]

END, SURE = "end", "sure"
"""Stand among characters for the end of the line, which ``$`` asks for, and for nothing that could be in the way."""
MANY = 1 << 30
IGNORING_CASE = "(?i)"
_ALPHABET = frozenset({*map(chr, range(128)), "\xe9", "\u4e2d"})
"""Every character of ASCII, and one for each kind beyond it that a class may tell apart."""
_QUANTIFIER = re.compile(r"(?:[*+?]|\{(?P<low>[0-9]*)(?P<comma>,?)(?P<high>[0-9]*)\})[?+]?")
_GROUP = re.compile(r"\((?:\?(?::|P<\w+>))?(?!\?)")
_ESCAPED = re.compile(r"\\x([0-9a-fA-F]{2})|\\u([0-9a-fA-F]{4})")
_ANCHOR = re.compile(r"\^|\\A|\\b|\\B")
_LINE_END = re.compile(r"\$|\\Z")
_CHARACTERS = re.compile(
    r"\[\^?\]?(?:[^\]\\]|\\[\s\S])*\]|\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|[dDsSwWafnrtv]|[^0-9A-Za-z])|[^\\()|]"
)


class TooHard(ValueError):
    """The search for this pattern may take for ever, or nobody knows how long; says what is in the way."""


def search_cost(pattern: str, longest: int) -> float:
    """Return about how many steps the search in a line of ``longest`` characters takes at most.

    Raises:
        TooHard: no limit can be given.
    """
    flags = IGNORING_CASE if pattern.startswith(IGNORING_CASE) else ""
    plain = pattern.removeprefix(flags)
    starts = 1 if plain.startswith(("^", r"\A")) else longest
    return starts * _Reader(plain, flags).whole().cost(1.0, frozenset({SURE}), longest)


class _Part:
    """A part of a pattern; this one takes no character, but may not fit."""

    rigid = True
    """Whether there is only one way in which it can fit where it begins."""

    def first(self, follow: Letters) -> Letters:
        """Return with what this may begin, ``follow`` being with what the rest does."""
        return follow - {SURE}

    def cost(self, rest: float, follow: Letters, longest: int) -> float:
        """Return what this and all that follows costs, ``rest`` being what that costs each time it is tried."""
        del follow, longest
        return rest


@dataclass(frozen=True)
class _Characters(_Part):
    letters: Letters

    def first(self, follow: Letters) -> Letters:
        del follow
        return self.letters

    def cost(self, rest: float, follow: Letters, longest: int) -> float:
        del follow, longest
        return 1.0 + rest


@dataclass(frozen=True)
class _Sequence(_Part):
    parts: tuple[_Part, ...]

    @property
    def rigid(self) -> bool:  # type: ignore[override]
        return all(part.rigid for part in self.parts)

    def first(self, follow: Letters) -> Letters:
        return reduce(lambda behind, part: part.first(behind), reversed(self.parts), follow)

    def cost(self, rest: float, follow: Letters, longest: int) -> float:
        for part in reversed(self.parts):
            rest, follow = part.cost(rest, follow, longest), part.first(follow)
        return rest


@dataclass(frozen=True)
class _Choice(_Part):
    parts: tuple[_Part, ...]

    @property
    def rigid(self) -> bool:  # type: ignore[override]
        return all(part.rigid for part in self.parts) and not _overlap(part.first(frozenset()) for part in self.parts)

    def first(self, follow: Letters) -> Letters:
        return frozenset().union(*(part.first(follow) for part in self.parts))

    def cost(self, rest: float, follow: Letters, longest: int) -> float:
        costs = [part.cost(rest, follow, longest) for part in self.parts]
        several = _overlap(part.first(follow) for part in self.parts)
        return sum(costs) if several else max(costs) + len(costs)


@dataclass(frozen=True)
class _Repeat(_Part):
    part: _Part
    low: int
    high: int
    text: str

    @property
    def rigid(self) -> bool:  # type: ignore[override]
        return self.low == self.high and self.part.rigid

    def first(self, follow: Letters) -> Letters:
        return self.part.first(follow) | (frozenset() if self.low else follow)

    def cost(self, rest: float, follow: Letters, longest: int) -> float:
        own = self.part.first(frozenset())
        if self.high <= 1:
            again = rest if not own or own & follow else 1.0
            return self.part.cost(rest, follow, longest) + (0.0 if self.low else again)
        if not self.part.rigid or not own:
            raise TooHard(_("a repeat inside a repeat may search for ever: {part}").format(part=self.text))
        count = min(self.high, longest)
        once = self.part.cost(0.0, frozenset(), longest)
        ends = count - min(self.low, count) + 1 if own & follow and SURE not in follow else 1
        return 2 * count * once + ends * rest


def _overlap(firsts: Iterable[Letters]) -> bool:
    """Tell whether two of several may begin alike; one that may be empty may begin like anything."""
    seen: set[str] = set()
    for letters in firsts:
        if not letters or seen & letters:
            return True
        seen |= letters
    return False


class _Reader:
    """Reads a pattern that Python has compiled already; what it does not know is refused."""

    def __init__(self, pattern: str, flags: str) -> None:
        self._pattern = pattern
        self._flags = flags
        # A character beyond ASCII that is named stands for itself.
        named = {chr(int(short or long, 16)) for short, long in _ESCAPED.findall(pattern)} | set(pattern)
        self._alphabet = _ALPHABET | {letter for letter in named if not letter.isascii()}
        self._position = 0

    def whole(self) -> _Part:
        found = self._choice()
        if self._position < len(self._pattern):
            raise TooHard(_("{part} is not known here").format(part=self._pattern[self._position :][:8]))
        return found

    def _choice(self) -> _Part:
        parts = [_Sequence(tuple(self._parts()))]
        while self._took("|"):
            parts.append(_Sequence(tuple(self._parts())))
        return parts[0] if len(parts) == 1 else _Choice(tuple(parts))

    def _parts(self) -> Iterator[_Part]:
        while (begun := self._position) < len(self._pattern):
            part = self._part()
            if part is None:
                return
            match = _QUANTIFIER.match(self._pattern, self._position)
            if match and match.group() != "{,}":
                self._position = match.end()
                low, high = _bounds(match)
                part = _Repeat(part, low, high, self._pattern[begun : match.end()])
            yield part

    def _part(self) -> _Part | None:
        """Take one part without its quantifier; None where there is no more, or nothing that is known."""
        if match := _GROUP.match(self._pattern, self._position):
            self._position = match.end()
            inside = self._choice()
            return inside if self._took(")") else None
        for known, part in ((_ANCHOR, _Part()), (_LINE_END, _Characters(frozenset({END})))):
            if match := known.match(self._pattern, self._position):
                self._position = match.end()
                return part
        if match := _CHARACTERS.match(self._pattern, self._position):
            self._position = match.end()
            return _Characters(_letters(self._flags + match.group(), self._alphabet))
        return None

    def _took(self, sign: str) -> bool:
        found = self._pattern.startswith(sign, self._position)
        self._position += len(sign) * found
        return found


def _bounds(quantifier: re.Match[str]) -> tuple[int, int]:
    sign = quantifier.group()[0]
    if sign != "{":
        return {"*": (0, MANY), "+": (1, MANY), "?": (0, 1)}[sign]
    low = int(quantifier["low"] or 0)
    if not quantifier["comma"]:
        return low, low
    return low, int(quantifier["high"] or MANY)


@lru_cache(maxsize=256)
def _letters(text: str, alphabet: Letters) -> Letters:
    """Return which characters a part that stands for one character fits."""
    return frozenset(filter(re.compile(text).fullmatch, alphabet))
