"""Where in a TOML file a key and its value stand, which tomllib does not say.

This is no parser: it walks over a text that tomllib has already accepted, and only keeps the positions. It needs
to know strings, comments, brackets and keys; every other thing is skipped as one word.
"""

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from tomllib import loads

from instrument_agent.tables.mistakes import KeyPath

# The quantifiers are possessive (*+): a text of a megabyte must not make the matcher remember where to go back to.
_MULTILINE = r'"""(?:[^"\\]|\\[\s\S]|"(?!""))*+"{3,5}|' + r"'''(?:[^']|'(?!''))*+'{3,5}"
_STRING = r'"(?:[^"\\\n]|\\.)*+"|' + r"'[^'\n]*+'"
_WORD = r"[^\s\[\]{},=#\"']+"
_TOKEN = re.compile(rf"{_MULTILINE}|{_STRING}|[\[\]{{}},=]|{_WORD}")
_KEY_PART = re.compile(rf"{_STRING}|[A-Za-z0-9_-]+")
_BLANK = re.compile(r"(?:\s|#[^\n]*)*+")
_REST_OF_LINE = re.compile(r"[^\n]*")
_DOT = re.compile(r"[ \t]*\.[ \t]*")


def key_lines(text: str) -> dict[KeyPath, int]:
    """Return the line, counted from 1, of every table, key and array element of a valid TOML text."""
    return _walked(text).found


@dataclass(frozen=True, slots=True)
class Row:
    """A table's header, or a key with its value: ``start`` and ``end`` (that of its last line) in the text.

    ``table`` is the one it stands in; ``at`` is the same for a header.
    """

    table: KeyPath
    at: KeyPath
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Places:
    """The rows of a text in their order, and where each value starts and ends; a date may end too early."""

    rows: list[Row]
    values: dict[KeyPath, tuple[int, int]]


def key_places(text: str) -> Places:
    """Return where everything in a valid TOML text stands."""
    walk = _walked(text)
    return Places(walk.rows, walk.values)


def _walked(text: str) -> "_Walk":
    walk = _Walk(text)
    walk.go()
    return walk


@dataclass(slots=True)
class _Open:
    """An array or inline table that is not closed yet; ``count`` is the position in the array."""

    at: KeyPath
    is_array: bool
    start: int
    count: int = 0


@dataclass(slots=True)
class _Walk:
    text: str
    position: int = 0
    table: KeyPath = ()
    found: dict[KeyPath, int] = field(default_factory=dict)
    arrays: dict[KeyPath, int] = field(default_factory=dict)
    line_ends: list[int] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    values: dict[KeyPath, tuple[int, int]] = field(default_factory=dict)

    def go(self) -> None:
        self.line_ends = [match.start() for match in re.finditer("\n", self.text)]
        self._skip(_BLANK)
        while self.position < len(self.text):
            start = self.position
            if self.text[start] == "[":
                self._header()
                at = self.table
            else:
                at = self._key(self.table)
                self._skip(_BLANK)
                self.position += 1  # the equals sign
                self._value(at)
            self._skip(_REST_OF_LINE)
            self.rows.append(Row(self.table, at, start, self.position))
            self._skip(_BLANK)

    def _header(self) -> None:
        doubled = self.text.startswith("[[", self.position)
        line_at = self.position
        self.position += 2 if doubled else 1
        self._skip(_BLANK)
        parts = self._key_parts()
        at: KeyPath = ()
        for number, part in enumerate(parts, start=1):
            at += (part,)
            self._note(at, line_at)
            if doubled and number == len(parts):
                self.arrays[at] = self.arrays.get(at, -1) + 1
            if at in self.arrays:
                at += (self.arrays[at],)
            self._note(at, line_at)
        self.table = at

    def _key(self, table: KeyPath) -> KeyPath:
        line_at = self.position
        at = table
        for part in self._key_parts():
            at += (part,)
            self._note(at, line_at)
        return at

    def _key_parts(self) -> list[str]:
        parts: list[str] = []
        while match := _KEY_PART.match(self.text, self.position):
            self.position = match.end()
            part = match.group()
            parts.append(str(loads(f"key = {part}")["key"]) if part[0] in "\"'" else part)
            dot = _DOT.match(self.text, self.position)
            if dot is None:
                break
            self.position = dot.end()
        return parts

    def _value(self, at: KeyPath) -> None:
        opened: list[_Open] = []
        while piece := self._piece():
            if piece in ("[", "{"):
                self._note(at, self.position - 1)
                opened.append(_Open(at, piece == "[", self.position - 1))
            elif piece in ("]", "}"):
                closed = opened.pop()
                self.values[closed.at] = (closed.start, self.position)
            elif piece == ",":
                opened[-1].count += 1
            else:
                self._note(at, self.position - len(piece))
                self.values.setdefault(at, (self.position - len(piece), self.position))
            if not opened:
                return
            if piece in ("[", "{", ","):
                at = self._next_place(opened[-1])

    def _next_place(self, inside: _Open) -> KeyPath:
        if inside.is_array:
            return (*inside.at, inside.count)
        self._skip(_BLANK)
        at = self._key(inside.at)
        self._skip(_BLANK)
        if self.text.startswith("=", self.position):  # it does not in an empty table
            self.position += 1
        return at

    def _piece(self) -> str:
        self._skip(_BLANK)
        match = _TOKEN.match(self.text, self.position)
        if match is None:
            return ""
        self.position = match.end()
        return match.group()

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self.text, self.position)
        if match is not None:
            self.position = match.end()

    def _note(self, at: KeyPath, position: int) -> None:
        self.found.setdefault(at, bisect_right(self.line_ends, position) + 1)
