"""Lines of text and the values in them. Pure.

What arrives is foreign: a line is taken as a whole or not at all, is at most ``LONGEST_LINE`` bytes long, and a
search that takes too long is given up. Python's own ``re`` cannot do that: (a+)+ searches an unlucky line for ever.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import regex

from instrument_agent.core.errors import AgentError
from instrument_agent.core.readings import Value
from instrument_agent.drivers.units import check_ending
from instrument_agent.i18n import _
from instrument_agent.tables.mistakes import Unfit, together

LONGEST_LINE = 512
LONGEST_PATTERN = 200
LONGEST_SEARCH_S = 0.25
"""A search that is still going on after so much processor time will not end by itself."""

# float() also takes "1_000", "infinity" and the digits of every script; an instrument that sends these sends nonsense.
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_CHANNEL = re.compile(r"[a-z][a-z0-9_]{0,63}")
_KEYS = ("channel", "unit", "query", "pattern")


class SearchTooLong(AgentError):
    """A pattern and a line were met whose search has no end in sight."""

    def __init__(self, channel: str) -> None:
        super().__init__(
            _("the search for {channel} in a line took too long").format(channel=channel),
            _("name the characters of the value and of what stands around it in its pattern, as in P=([-+.0-9]+)"),
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """One value to be found: in the answer to ``query``, or in any line that arrives if that is empty.

    A value without a ``unit`` (UCUM) is a raw state and stays text.
    """

    channel: str
    unit: str
    query: str
    pattern: regex.Pattern[str]

    def search(self, line: str) -> regex.Match[str] | None:
        """Return where the pattern stands in a line.

        Raises:
            SearchTooLong: that cannot be told in a reasonable time.
        """
        try:
            return self.pattern.search(line, timeout=LONGEST_SEARCH_S)
        except TimeoutError:
            raise SearchTooLong(self.channel) from None

    def value(self, match: regex.Match[str]) -> Value:
        """Return the number or the raw state, or None where a number should be and is none."""
        text = match["value"] if "value" in self.pattern.groupindex else match[1]
        text = (text or "").strip()
        if not self.unit:
            return text or None
        return float(text) if _NUMBER.fullmatch(text) else None


def check_values(tables: object) -> None:
    """Check the ``values`` of the config file; everything that is wrong with them is told at once."""
    if not isinstance(tables, list) or not tables:
        raise Unfit(
            _("there are no values to read"),
            'values = [{ channel = "power_w", unit = "W", pattern = "P=([0-9.]+)" }]',
        )
    wrong: list[Unfit] = []
    seen: set[str] = set()
    for number, table in enumerate(tables):
        try:
            channel = wanted(table).channel
        except Unfit as unfit:
            wrong.append(unfit.below((number,)))
            continue
        if channel in seen:
            wrong.append(Unfit(_("two values have the same channel"), at=(number, "channel")))
        seen.add(channel)
    if wrong:
        raise together(wrong)


def wanted(table: object) -> Wanted:
    """Return one table of ``values`` as it stands in the config file.

    Raises:
        Unfit: a key is missing, unknown or of no use.
    """
    example = _('for example { channel = "power_w", unit = "W", query = "POW?", pattern = "(.+)" }')
    if not isinstance(table, Mapping) or not all(isinstance(text, str) for text in table.values()):
        raise Unfit(_("each of the values must be a table of texts"), example)
    for key in table:
        if key not in _KEYS:
            raise Unfit(_("a value has no key {key}").format(key=key), ", ".join(_KEYS), (key,))
    channel, pattern, unit = table.get("channel", ""), table.get("pattern", ""), table.get("unit", "")
    if not _CHANNEL.fullmatch(channel):
        problem = _("a value needs a channel: small letters, digits and underscores")
        raise Unfit(problem, example, ("channel",))
    check_ending(channel, unit)
    if not pattern:
        raise Unfit(_("the value {channel} needs a pattern").format(channel=channel), example, ("pattern",))
    return Wanted(channel, unit, table.get("query", ""), _compiled(channel, pattern))


def _compiled(channel: str, text: str) -> regex.Pattern[str]:
    problem, at = _("the pattern of {channel} cannot be used: {why}"), ("pattern",)
    if len(text) > LONGEST_PATTERN:
        raise Unfit(problem.format(channel=channel, why=_("it is too long")), at=at)
    try:
        pattern = regex.compile(text)
    except (regex.error, OverflowError, RecursionError) as error:
        raise Unfit(
            problem.format(channel=channel, why=error), _("in quotes '...' a backslash stands for itself"), at
        ) from error
    if "value" not in pattern.groupindex and pattern.groups != 1:
        raise Unfit(
            problem.format(channel=channel, why=_("it has no group for the value, or several")),
            _("put the value in brackets, and name the group if there are several: (?P<value>...)"),
            at,
        )
    return pattern


class LineSplitter:
    """Cuts what arrives into whole lines; ``midway`` says that the first piece may be the end of a line."""

    def __init__(self, terminator: bytes, *, midway: bool) -> None:
        self._terminator = terminator
        self._skipping = midway
        self._pending = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that ``data`` completes; blank ones and those that are too long are left out."""
        *whole, self._pending = (self._pending + data).split(self._terminator)
        if self._skipping and whole:
            del whole[0]
            self._skipping = False
        if len(self._pending) > LONGEST_LINE + len(self._terminator):
            self._skipping = True
            self._pending = self._pending[-len(self._terminator) :]
        return [line for line in whole if line.strip() and len(line) <= LONGEST_LINE]
