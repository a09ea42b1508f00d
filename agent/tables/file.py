"""From the bytes of a config file to its keys, and a plain sentence for whatever is in the way."""

import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from instrument_agent.i18n import _
from instrument_agent.rights import UnsafeFile, open_ordinary
from instrument_agent.tables.lines import key_lines
from instrument_agent.tables.mistakes import InvalidConfig, KeyPath, Mistake

MAX_BYTES = 1 << 20
"""No honest config file is larger; a wrong path (a disk image, a log) is."""

_PLACE = re.compile(r" \(at (?:line (?P<line>\d+), column \d+|end of document)\)$")
_FULL_WIDTH = frozenset("“”‘’＂＇＝，．：［］｛｝＃")


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """One reading of a config file: what it says, where, and the very bytes."""

    keys: dict[str, Any]
    lines: dict[KeyPath, int]
    content: bytes


def read_config_file(path: Path, if_missing: str = "") -> ConfigFile:
    """Read and parse a TOML file; a byte order mark and Windows line ends are accepted.

    ``if_missing`` is the hint where there is no such file.

    Raises:
        InvalidConfig: it cannot be read, is not UTF-8, is larger than 1 MiB, or is not TOML.
    """
    return parsed(path, read_bytes(path, if_missing))


def parsed(path: Path, content: bytes) -> ConfigFile:
    """Parse the content of a TOML file; ``path`` is what mistakes call it.

    Raises:
        InvalidConfig: it is not UTF-8 or not TOML.
    """
    text = decoded(path, content)
    try:
        keys = tomllib.loads(text)
    except RecursionError:
        problem, hint = _("brackets are nested too deeply"), _("count the brackets up to this line: one is not closed")
        raise InvalidConfig([Mistake(path, _deepest(text), "", problem, hint)]) from None
    except ValueError as error:  # TOMLDecodeError is one; a number of thousands of digits gives a plain one
        raise InvalidConfig([_syntax_mistake(path, text, str(error))]) from error
    return ConfigFile(keys, key_lines(text), content)


def read_bytes(path: Path, if_missing: str = "") -> bytes:
    """Return the content of a file of at most 1 MiB.

    Raises:
        InvalidConfig: there is no such file, it cannot be read, it is larger, or everybody may change it.
    """
    try:
        with os.fdopen(open_ordinary(path), "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except UnsafeFile as error:
        raise _whole_file(path, error.problem, error.hint) from None
    except FileNotFoundError:
        raise _whole_file(path, _("there is no such file"), if_missing) from None
    except IsADirectoryError:
        raise _whole_file(path, _("this is a directory, not a file")) from None
    except PermissionError:
        raise _whole_file(path, _("no permission to read it"), _("try with sudo, or check its owner")) from None
    except (OSError, ValueError) as error:
        raise _whole_file(path, _("it cannot be read: {error}").format(error=error)) from error
    if len(content) > MAX_BYTES:
        raise _whole_file(path, _("it is larger than 1 MiB"), _("is this really the config file?"))
    return content


def _whole_file(path: Path, problem: str, hint: str = "") -> InvalidConfig:
    return InvalidConfig([Mistake(path, None, "", problem, hint)])


def decoded(path: Path, content: bytes) -> str:
    """Return the text of a file; a byte order mark is left out.

    Raises:
        InvalidConfig: it is not UTF-8.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = _("this is not UTF-8 text")
        if content.startswith((b"\xff\xfe", b"\xfe\xff")):
            problem = _("this is UTF-16 text, not UTF-8")
        elif _is_gbk(content):
            problem = _("this looks like GBK text, not UTF-8")
        raise InvalidConfig([Mistake(path, line, "", problem, _("save it as UTF-8 in the editor"))]) from error


def _is_gbk(content: bytes) -> bool:
    try:
        content.decode("gbk")
    except UnicodeDecodeError:
        return False
    return True


def _deepest(text: str) -> int:
    """Return the line in whose end most brackets are open."""
    depth, found = 0, (0, 1)
    for number, line in enumerate(text.split("\n"), 1):
        depth += sum((letter in "[{") - (letter in "]}") for letter in line)
        found = max(found, (depth, -number))
    return abs(found[1])


def _syntax_mistake(path: Path, text: str, message: str) -> Mistake:
    lines = text.rstrip().split("\n")
    place = _PLACE.search(message)
    line = None
    hint = _advice(message)
    if place is not None:
        line = int(place["line"] or len(lines))
        if line <= len(lines) and _FULL_WIDTH.intersection(lines[line - 1]):
            hint = _("there is full-width punctuation in this line: type it in English mode")
    return Mistake(path, line, "", _("not valid TOML: {message}").format(message=_PLACE.sub("", message)), hint)


def _advice(message: str) -> str:
    """Return what to write instead, for the messages of tomllib that people see most."""
    for said, hint in (
        ("Cannot declare", _("this table stands there before: keep one; [[instrument]] needs two brackets each time")),
        ("Cannot overwrite", _("this key stands there before: keep one")),
        ("Expected '='", _("write: key = value")),
        ("Invalid value", _("text needs quotes, numbers need none")),
        ("Unterminated", _("close the quotes")),
        ("Expected newline", _("one key in each line; text needs quotes")),
        ("Expected ']", _("close the bracket")),
        ("Unclosed", _("close the bracket")),
        ("Illegal character", _("delete the line and type it again")),
        ("Found invalid character", _("delete the line and type it again")),
        ("Unescaped", _("use single quotes around text with a backslash")),
    ):
        if message.startswith(said):
            return hint
    return _("compare the line with config.example.toml")
