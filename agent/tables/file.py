"""From the bytes of a config file to its keys, and a plain sentence for whatever is in the way."""

import hashlib
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from instrument_agent.i18n import _
from instrument_agent.tables.lines import key_lines
from instrument_agent.tables.mistakes import InvalidConfig, KeyPath, Mistake

MAX_BYTES = 1 << 20
"""No honest config file is larger; a wrong path (a disk image, a log) is."""

_PLACE = re.compile(r" \(at (?:line (?P<line>\d+), column \d+|end of document)\)$")
_FULL_WIDTH = frozenset("“”‘’＂＇＝，．：［］｛｝＃")


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """One reading of a config file: what it says, where, and the hash of these very bytes."""

    keys: dict[str, Any]
    lines: dict[KeyPath, int]
    sha256: str


def read_config_file(path: Path) -> ConfigFile:
    """Read and parse a TOML file; a byte order mark and Windows line ends are accepted.

    Raises:
        InvalidConfig: it cannot be read, is not UTF-8, is larger than 1 MiB, or is not TOML.
    """
    content = read_bytes(path)
    text = _decoded(path, content)
    try:
        keys = tomllib.loads(text)
    except RecursionError:
        raise InvalidConfig([Mistake(path, None, "", _("brackets are nested too deeply"))]) from None
    except ValueError as error:  # TOMLDecodeError is one; a number of thousands of digits gives a plain one
        raise InvalidConfig([_syntax_mistake(path, text, str(error))]) from error
    return ConfigFile(keys, key_lines(text), hashlib.sha256(content).hexdigest())


def read_bytes(path: Path) -> bytes:
    """Return the content of a file of at most 1 MiB.

    Raises:
        InvalidConfig: there is no such file, it cannot be read, or it is larger.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _whole_file(path, _("there is no such file")) from None
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


def _decoded(path: Path, content: bytes) -> str:
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


def _syntax_mistake(path: Path, text: str, message: str) -> Mistake:
    lines = text.rstrip().split("\n")
    place = _PLACE.search(message)
    line = None
    hint = ""
    if place is not None:
        line = int(place["line"] or len(lines))
        if line <= len(lines) and _FULL_WIDTH.intersection(lines[line - 1]):
            hint = _("there is full-width punctuation in this line: type it in English mode")
    return Mistake(path, line, "", _("not valid TOML: {message}").format(message=_PLACE.sub("", message)), hint)
