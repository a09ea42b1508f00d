"""Sentences for people, in their language.

Source sentences are English; the catalogue in locale/ holds the Chinese. The language is the one of LANGUAGE,
LC_ALL, LC_MESSAGES or LANG, as gettext defines it.
"""

import gettext as _gettext
from pathlib import Path

_catalogue = _gettext.translation("instrument_agent", Path(__file__).parent / "locale", fallback=True)


def _(sentence: str) -> str:
    """Return ``sentence`` in the reader's language."""
    return _catalogue.gettext(sentence)


def ngettext(singular: str, plural: str, count: int) -> str:
    """Return the form of a sentence that goes with ``count``."""
    return _catalogue.ngettext(singular, plural, count)
