"""Sentences for people, in their language.

Source sentences are English; the catalogue in locale/ holds the Chinese. The language is the one of LANGUAGE,
LC_ALL, LC_MESSAGES or LANG, as gettext defines it; ``--lang`` of the command line sets LANGUAGE.
"""

import gettext as _gettext
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_DOMAIN = "instrument_agent"
_FOLDER = Path(__file__).parent / "locale"
LANGUAGES = ("zh", "en")
_ENGLISH = _gettext.NullTranslations()
_chosen: ContextVar[_gettext.NullTranslations | None] = ContextVar("chosen", default=None)


class _Spoken:
    """What this process speaks, unless `speaking` says otherwise."""

    catalogue = _gettext.translation(_DOMAIN, _FOLDER, fallback=True)


def _(sentence: str) -> str:
    """Return ``sentence`` in the reader's language."""
    return (_chosen.get() or _Spoken.catalogue).gettext(sentence)


def ngettext(singular: str, plural: str, count: int) -> str:
    """Return the form of a sentence that goes with ``count``."""
    return (_chosen.get() or _Spoken.catalogue).ngettext(singular, plural, count)


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
