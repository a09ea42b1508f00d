"""What is wrong with a card's file, in each language, before anything of the box is touched."""

from collections.abc import Sequence
from pathlib import Path

from instrument_agent.config import InvalidConfig, load_config
from instrument_agent.core.errors import AgentError
from instrument_agent.i18n import LANGUAGES, _, advised, speaking
from instrument_agent.provision.card import CODE_NAME, FILE_NAME
from instrument_agent.provision.trial import code_destination

LONGEST_CODE = 64


def mistakes_in(staged: Path, folder: Path, code: bytes | None) -> dict[str, Sequence[str]]:
    """Return the mistakes of a config, in each language, with files called as they are called on the card.

    ``staged`` is the config as it is to be, ``folder`` holds what came with it. With a one-time ``code`` it must be
    clear which platform that is for.
    """
    said: dict[str, Sequence[str]] = {}
    for language in LANGUAGES:
        with speaking(language):
            try:
                config = load_config(staged)
            except InvalidConfig as error:
                lines = mistakes_of(error)
                said[language] = [line.replace(str(staged), FILE_NAME).replace(f"{folder}/", "") for line in lines]
                continue
            said[language] = []
            if code is not None and code_destination(config) is None:
                said[language] = mistakes_of(
                    AgentError(
                        _("{file}: it is not clear which platform it is for").format(file=CODE_NAME),
                        _("leave out credential_file where the box is to be enrolled"),
                    )
                )
            elif code is not None and not is_code(code):
                said[language] = mistakes_of(
                    AgentError(
                        _("{file}: there is no code in it").format(file=CODE_NAME),
                        _("give the code as the platform showed it, on one line"),
                    )
                )
    return said


def mistakes_of(error: AgentError) -> list[str]:
    """Return an error in lines for people."""
    if isinstance(error, InvalidConfig):
        return [str(item) for item in error.mistakes]
    return [advised(str(error), error.hint)]


def is_code(code: bytes) -> bool:
    """Tell whether this may be a one-time code."""
    text = code.decode("ascii", "replace").strip()
    return 0 < len(text) <= LONGEST_CODE and text.isascii() and text.isprintable()
