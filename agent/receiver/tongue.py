"""The page's reader chooses the language, not the server: Chinese if the browser asks for it first, else English."""

import gettext
from pathlib import Path

from instrument_agent import i18n

CHINESE = "zh-CN"
ENGLISH = "en"
_FOLDER = Path(i18n.__file__).parent / "locale"
_CATALOGUE = gettext.translation("instrument_agent", _FOLDER, languages=["zh_CN"], fallback=True)


class Speak:
    """Puts sentences into one language, whose tag (RFC 5646) is ``code``."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __call__(self, sentence: str) -> str:
        """Return the sentence as the reader reads it."""
        return _CATALOGUE.gettext(sentence) if self.code == CHINESE else sentence


def speaking_to(accept_language: str) -> Speak:
    """Return the language for an Accept-Language header (RFC 9110, 12.5.4)."""
    return Speak(CHINESE if _wants_chinese(accept_language) else ENGLISH)


def _wants_chinese(accept_language: str) -> bool:
    best = {"zh": 0.0, "en": 0.0}
    for choice in accept_language.lower().split(","):
        tag, _semicolon, weight = choice.strip().partition(";")
        language = tag.strip().partition("-")[0]
        try:
            quality = float(weight.strip().removeprefix("q=") or 1)
        except ValueError:
            quality = 0.0
        if language in best:
            best[language] = max(best[language], quality)
    return best["zh"] > best["en"]
