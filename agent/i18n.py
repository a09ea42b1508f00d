"""Sentences for people, in their language.

Source sentences are English; the catalogue in locale/ holds the Chinese. The language is the one of LANGUAGE,
LC_ALL, LC_MESSAGES or LANG, as gettext defines it; ``--lang`` of the command line sets LANGUAGE.
"""

import errno
import gettext as _gettext
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Self

_DOMAIN = "instrument_agent"
_FOLDER = Path(__file__).parent / "locale"
LANGUAGES = ("zh", "en")
_ENGLISH = _gettext.NullTranslations()
_chosen: ContextVar[_gettext.NullTranslations | None] = ContextVar("chosen", default=None)


class _Spoken:
    """What this process speaks, unless `speaking` says otherwise."""

    catalogue = _gettext.translation(_DOMAIN, _FOLDER, fallback=True)


class Sentence(str):
    """A sentence in the language in which it was said; ``again`` says it in another, whatever was filled in."""

    __slots__ = ("_say",)
    _say: Callable[[], str]

    def __new__(cls, say: Callable[[], str]) -> Self:
        """Say it now, and keep how it is said."""
        said = super().__new__(cls, say())
        said._say = say
        return said

    def __str__(self) -> str:
        return self  # an error that is made of it gives it back

    def __deepcopy__(self, _memo: dict[int, Any]) -> Self:
        return self

    def format(self, *values: object, **named: object) -> "Sentence":
        """Fill it in; what is filled in may be a sentence too, or an error."""
        say, rest = self._say, [_plain(value) for value in values]
        kept = {name: _plain(value) for name, value in named.items()}
        return Sentence(lambda: say().format(*map(again, rest), **{name: again(value) for name, value in kept.items()}))

    def again(self) -> str:
        """Return it in the reader's language."""
        return self._say()


def again(said: Any) -> Any:  # plain data
    """Return what was said, each sentence in it now in the reader's language; all else stays as it is."""
    if isinstance(said, Sentence):
        return said.again()
    if isinstance(said, dict):
        return {key: again(value) for key, value in said.items()}
    return [again(value) for value in said] if isinstance(said, list | tuple) else said


def _(sentence: str) -> str:
    """Return ``sentence`` in the reader's language."""
    return Sentence(lambda: (_chosen.get() or _Spoken.catalogue).gettext(sentence))


def ngettext(singular: str, plural: str, count: int) -> str:
    """Return the form of a sentence that goes with ``count``."""
    return Sentence(lambda: (_chosen.get() or _Spoken.catalogue).ngettext(singular, plural, count))


_SYSTEM: dict[int, Callable[[], str]] = {
    errno.ENOENT: lambda: _("No such file or directory"),
    errno.ENODEV: lambda: _("No such device"),
    errno.ENXIO: lambda: _("No such device or address"),
    errno.EACCES: lambda: _("Permission denied"),
    errno.EPERM: lambda: _("Operation not permitted"),
    errno.EEXIST: lambda: _("File exists"),
    errno.EISDIR: lambda: _("Is a directory"),
    errno.ENOTDIR: lambda: _("Not a directory"),
    errno.ELOOP: lambda: _("Too many levels of symbolic links"),
    errno.EBUSY: lambda: _("Device or resource busy"),
    errno.EIO: lambda: _("Input/output error"),
    errno.ENOSPC: lambda: _("No space left on device"),
    errno.EROFS: lambda: _("Read-only file system"),
    errno.ECONNREFUSED: lambda: _("Connection refused"),
    errno.ECONNRESET: lambda: _("Connection reset by peer"),
    errno.EPIPE: lambda: _("Broken pipe"),
    errno.ETIMEDOUT: lambda: _("Connection timed out"),
    errno.EHOSTUNREACH: lambda: _("No route to host"),
    errno.ENETUNREACH: lambda: _("Network is unreachable"),
    errno.EADDRINUSE: lambda: _("Address already in use"),
}


def advised(said: str, hint: str) -> str:
    """Return what is wrong with what is to be done; the latter may be empty."""
    return _("{said} ({hint})").format(said=said, hint=hint) if hint else said


def why(error: OSError) -> str:
    """Return what the system says of an error, in the reader's language; the system itself speaks English."""
    number = error.errno or 0
    if os.strerror(number) not in str(error):  # TLS has numbers of its own
        return error.strerror or str(error)
    return _SYSTEM.get(number, lambda: error.strerror)() or str(error)


def _plain(value: object) -> object:
    """Return what an error says: itself it would keep alive whatever it was raised in."""
    if isinstance(value, OSError):
        return why(value)
    return str(value) if isinstance(value, BaseException) else value


def language() -> str:
    """Return the reader's language as a two-letter code; "en" where no catalogue fits."""
    return (_chosen.get() or _Spoken.catalogue).info().get("language", "en")[:2]


@contextmanager
def speaking(code: str) -> Iterator[None]:
    """Say everything in one language ("zh" or "en") until the end of the block: for papers that are read elsewhere."""
    languages = {"zh": ["zh_CN"]}.get(code, [])
    before = _chosen.set(_gettext.translation(_DOMAIN, _FOLDER, languages, fallback=True) if languages else _ENGLISH)
    try:
        yield
    finally:
        _chosen.reset(before)


def speak(language: str) -> None:
    """Speak ``language`` (of LANGUAGES) from now on, as do the libraries and processes that ask the environment."""
    os.environ["LANGUAGE"] = {"zh": "zh_CN", "en": "en"}[language]
    _Spoken.catalogue = _gettext.translation(_DOMAIN, _FOLDER, fallback=True)


def lend_catalogue() -> None:
    """Let libraries that ask the gettext of the process (click does) find their sentences in our catalogue."""
    _gettext.bindtextdomain(_DOMAIN, str(_FOLDER))
    _gettext.textdomain(_DOMAIN)
