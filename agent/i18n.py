"""Sentences for people, in their language.

Source sentences are English; the catalogue in locale/ holds the Chinese. The language is the one of LANGUAGE,
LC_ALL, LC_MESSAGES or LANG, as gettext defines it.
"""

import gettext as _gettext
from pathlib import Path

_DOMAIN = "instrument_agent"
_FOLDER = Path(__file__).parent / "locale"
_catalogue = _gettext.translation(_DOMAIN, _FOLDER, fallback=True)


def _(sentence: str) -> str:
    """Return ``sentence`` in the reader's language."""
    return _catalogue.gettext(sentence)


def ngettext(singular: str, plural: str, count: int) -> str:
    """Return the form of a sentence that goes with ``count``."""
    return _catalogue.ngettext(singular, plural, count)


def language() -> str:
    """Return the reader's language as a two-letter code; "en" where no catalogue fits."""
    return _catalogue.info().get("language", "en")[:2]


def lend_catalogue() -> None:
    """Let libraries that ask the gettext of the process (click does) find their sentences in our catalogue."""
    _gettext.bindtextdomain(_DOMAIN, str(_FOLDER))
    _gettext.textdomain(_DOMAIN)
