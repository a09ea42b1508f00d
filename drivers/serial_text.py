"""Instruments that talk in lines of text over a serial port: asked, or only listened to."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NewType

from instrument_agent.core.errors import DeviceUnavailable
from instrument_agent.core.readings import Channel, Value
from instrument_agent.drivers.text_lines import LineSplitter, Wanted, check_values, wanted
from instrument_agent.drivers.text_port import TTY_BUFFER, TextPort
from instrument_agent.drivers.text_questions import Questions
from instrument_agent.i18n import _
from instrument_agent.tables.mistakes import Unfit, check_all, together

Raw = NewType("Raw", str)
"""Text that may hold control characters, which the config file allows in no plain ``str``."""

LONGEST_TERMINATOR = 8
BETWEEN_LINES_S = 0.25
"""An instrument that has been quiet for so long is not in the middle of a line."""

# IEEE 488.2, 10.38 and 10.2: these two end in a question mark, and make the device do something.
ACTING_QUERIES = ("*TST?", "*CAL?")
_PLAIN = re.compile(r"[ -~]+")


def check_allowed(texts: object) -> None:
    """Check which texts may be sent besides queries."""
    if not isinstance(texts, list) or not all(isinstance(text, str) and text for text in texts):
        raise Unfit(_("allow must be a list of texts"), _('allow = ["READ POWER"]'))


@dataclass
class SerialTextDriver:
    """Values found by regular expressions in the lines of an instrument.

    With a ``query`` the instrument is asked, and its next line is the answer; only queries whose every part ends in
    "?" may be sent, and the very texts named in ``allow``. Without any, the box listens and never sends a byte: a
    value is then what stood last in a line that was completed during the read, so ``timeout_s`` must be longer
    than the pause between two lines.
    """

    alone: ClassVar[tuple[str, ...]] = ("port",)

    port: str
    values: list[dict[str, str]] = field(metadata={"check": check_values})
    baud: int = field(default=9600, metadata={"low": 300, "high": 921600})
    parity: str = field(default="N", metadata={"choices": ("N", "E", "O")})
    stop_bits: int = field(default=1, metadata={"choices": (1, 2)})
    data_bits: int = field(default=8, metadata={"choices": (7, 8)})
    encoding: str = field(default="ascii", metadata={"choices": ("ascii", "latin-1", "utf-8", "gbk")})
    terminator: Raw = Raw("\n")
    allow: list[str] = field(default_factory=list, metadata={"check": check_allowed})
    dtr: bool = False
    rts: bool = False

    def __post_init__(self) -> None:
        check_all(self._check_port, self._ending, self._check_values, lambda: check_allowed(self.allow))
        self._terminator = self._ending()
        self._wanted: list[Wanted] = [wanted(table) for table in self.values]
        self._queries = self._checked_queries()
        self._port = TextPort(
            self.port, self.baud, self.parity, self.stop_bits, data_bits=self.data_bits, dtr=self.dtr, rts=self.rts
        )
        self._questions = Questions(self._port, self.encoding, self._terminator)
        self._heard = LineSplitter(self._terminator, midway=True)
        self._just_opened = True

    @property
    def channels(self) -> Sequence[Channel]:
        """The values, in the order of the config file."""
        return [Channel(item.channel, item.unit, -1e9, 1e9) for item in self._wanted]

    @property
    def warnings(self) -> Sequence[str]:
        """What may be sent to the instrument though it does not look like a question."""
        if not self.allow:
            return []
        return [_("may send what is no query: {texts}").format(texts=", ".join(repr(text) for text in self.allow))]

    def open(self) -> None:
        """Open the port exclusively, with DTR and RTS as configured."""
        self._port.open()
        self._heard = LineSplitter(self._terminator, midway=True)
        self._just_opened = True

    def read(self, timeout_s: float) -> Mapping[str, Value]:
        """Ask every query once, or listen until every value has been heard.

        Returns:
            None for a value whose answer is no text or does not fit its pattern; when listening, only the values
            that were heard, or None for all if lines came and none fits.

        Raises:
            DeviceUnavailable: no whole line in time, or the port failed.
        """
        deadline_s = time.monotonic() + timeout_s
        return self._ask(deadline_s) if self._queries else self._listen(deadline_s)

    def close(self) -> None:
        """Close the port."""
        self._port.close()

    def _check_port(self) -> None:
        if not self.port:
            problem = _("an instrument that sends text needs a port")
            raise Unfit(problem, _('port = "/dev/serial/by-id/..."'), ("port",))

    def _check_values(self) -> None:
        try:
            check_values(self.values)
        except Unfit as unfit:
            raise unfit.below(("values",)) from None

    def _ending(self) -> bytes:
        problem = Unfit(
            _("the terminator must be 1 to {count} characters").format(count=LONGEST_TERMINATOR),
            _('"\\n", "\\r\\n" or "\\r": see the manual of the instrument'),
            ("terminator",),
        )
        if not isinstance(self.terminator, str) or not 1 <= len(self.terminator) <= LONGEST_TERMINATOR:
            raise problem
        try:
            return self.terminator.encode(self.encoding)
        except UnicodeError:
            raise problem from None

    def _checked_queries(self) -> list[str]:
        queries = list(dict.fromkeys(item.query for item in self._wanted))
        if queries == [""]:
            return []
        wrong: list[Unfit] = []
        for number, item in enumerate(self._wanted):
            try:
                self._check_query(item.query)
            except Unfit as unfit:
                wrong.append(unfit.below(("values", number, "query")))
        if wrong:
            raise together(wrong)
        return queries

    def _check_query(self, query: str) -> None:
        if not query:
            raise Unfit(
                _("some values have a query and some have none"), _("either all are asked for, or all are listened to")
            )
        if query in self.allow:
            try:
                query.encode(self.encoding)
            except UnicodeError:
                raise Unfit(
                    _("{query} cannot be sent as {encoding}").format(query=repr(query), encoding=self.encoding)
                ) from None
            return
        # "OUTP OFF;POW?" ends in a question mark too.
        parts = [part.strip() for part in query.split(";")]
        harmless = all(part.endswith("?") and part.upper() not in ACTING_QUERIES for part in parts)
        if not harmless or not _PLAIN.fullmatch(query) or self.terminator in query:
            raise Unfit(
                _("{query} is no query: the box only watches").format(query=repr(query)),
                _('a query ends in "?"; if this one changes nothing on the instrument, name it under allow'),
            )

    def _ask(self, deadline_s: float) -> Mapping[str, Value]:
        found: dict[str, Value] = {}
        for query in self._queries:
            text = self._text(self._questions.ask(query, deadline_s - time.monotonic()))
            for item in self._wanted:
                if item.query == query:
                    match = None if text is None else item.search(text)
                    found[item.channel] = None if match is None else item.value(match)
        return found

    def _listen(self, deadline_s: float) -> Mapping[str, Value]:
        # A line that was complete before is as old as the last read; one that has only begun is of now.
        waiting = self._port.waiting()
        if waiting >= TTY_BUFFER:
            self._port.forget()
            self._heard = LineSplitter(self._terminator, midway=True)
        elif waiting:
            self._heard.feed(self._port.received(deadline_s))
        elif self._just_opened:
            self._join(deadline_s)
        self._just_opened = False
        found: dict[str, Value] = {}
        any_line = False
        while len(found) < len(self._wanted) and (data := self._port.received(deadline_s)):
            lines = self._heard.feed(data)
            any_line |= bool(lines)
            for text in map(self._text, lines):
                hits = [(item, item.search(text)) for item in self._wanted] if text is not None else []
                found |= {item.channel: item.value(match) for item, match in hits if match is not None}
        if not any_line:
            raise DeviceUnavailable(
                _("no whole line within the time"),
                _("check the cable, baud rate and terminator; timeout_s must be longer than the pause between lines"),
            )
        return found or dict.fromkeys(item.channel for item in self._wanted)

    def _join(self, deadline_s: float) -> None:
        """Find out whether the first bytes may be the end of a line: not if the line has been quiet before them."""
        until_s = time.monotonic() + BETWEEN_LINES_S
        data = self._port.received(min(until_s, deadline_s))
        if data:
            self._heard.feed(data)
        elif until_s < deadline_s:
            self._heard = LineSplitter(self._terminator, midway=False)

    def _text(self, line: bytes) -> str | None:
        try:
            return line.decode(self.encoding).strip()
        except UnicodeError:
            return None
