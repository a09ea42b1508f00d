"""The files of a box that hold secrets: where they are, and who may read them."""

import os
from dataclasses import dataclass
from pathlib import Path

from instrument_agent.config import Config, DestinationConfig
from instrument_agent.doctor.verdict import Grade, Verdict
from instrument_agent.i18n import _, why
from instrument_agent.provision.home import STORE_NAME
from instrument_agent.uplink.enrolled import KeyFile

OTHERS, NOT_OWNER = 0o007, 0o077
HANDED_OVER = Path("/etc/instrument-agent/credentials")
COPIES, PREFIX = Path("/run/credentials"), "token_"
"""systemd copies each file of the one folder into the other when the service starts (LoadCredential=)."""


@dataclass(frozen=True, slots=True)
class CredentialFacts:
    """A file with a secret; ``mode`` is None if it is not there, or ``hidden`` from this user."""

    path: str
    mode: int | None
    error: str = ""
    hidden: bool = False


def judge_credential(facts: CredentialFacts) -> Verdict:
    """Judge who may read a secret."""
    if facts.hidden:
        said = _("this user may not look at it")
        return Verdict("credential", Grade.NOT_APPLICABLE, said, _("use sudo"), facts.path)
    if facts.mode is None:
        advice = _("put the platform's token there, or leave credential_file out and run: sudo instrument-agent enrol")
        return Verdict("credential", Grade.FAIL, facts.error, advice, facts.path)
    if facts.mode & OTHERS:
        advice = _("sudo chmod o= {path}, and ask the platform for a new token").format(path=facts.path)
        return Verdict("credential", Grade.FAIL, _("everybody on this machine may read it"), advice, facts.path)
    if facts.mode & NOT_OWNER:
        return Verdict("credential", Grade.OK, _("only its owner and group may read it"), "", facts.path)
    return Verdict("credential", Grade.OK, _("only its owner may read it"), "", facts.path)


def credential(path: Path) -> CredentialFacts:
    """Look at who may read a credential file."""
    try:
        found = path.stat()
    except PermissionError:
        return CredentialFacts(str(path), None, hidden=True)
    except OSError as error:
        return CredentialFacts(str(path), None, why(error))
    return CredentialFacts(str(path), found.st_mode & 0o777)


def hidden(path: Path) -> bool:
    """Tell whether a file is there, or may be, that this user may not read."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def secret_files(config: Config) -> list[Path]:
    """Return the files that hold secrets: what the config names, there or not, what enrolment gave, and the rest."""
    found: list[Path] = []
    for item in config.destinations:
        keys = KeyFile(config.box.state_dir, item.name)
        found += _named(item, enrolled=is_there(keys.path))
        found += [path for path in (keys.path, keys.coming) if is_there(path)]
    return list(dict.fromkeys(found + brought_files(config.path)))


def brought_files(config_path: Path) -> list[Path]:
    """Return the files with secrets that systemd hands over and that cards brought, whatever the config says."""
    brought = _within(config_path.parent / STORE_NAME)
    return _within(HANDED_OVER) + [path for path in brought if not path.lstat().st_mode & NOT_OWNER]


def is_there(path: Path) -> bool:
    """Say whether a file is there; who may not look must reckon with it."""
    return hidden(path) or os.path.lexists(path)


def _named(item: DestinationConfig, *, enrolled: bool) -> list[Path]:
    named = [item.credential_file, item.client_key_file or item.client_cert_file]
    if enrolled and item.url.startswith("http") and item.credential_file and not is_there(item.credential_file):
        named.remove(item.credential_file)  # what enrolment gave is used instead
    return [
        HANDED_OVER / path.name.removeprefix(PREFIX) if path.is_relative_to(COPIES) else path
        for path in named
        if path is not None
    ]


def _within(folder: Path) -> list[Path]:
    # A folder that this user may not look into is passed over.
    return sorted(Path(where, name) for where, _folders, names in os.walk(folder) for name in names)
