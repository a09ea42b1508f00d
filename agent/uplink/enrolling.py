"""Enrols a box at a platform, and takes a new key there.

The key is on the disk before the platform hears of it: if the reply is lost, the same key is shown again, and the
platform answers as before.
"""

import re
from typing import Any

from instrument_agent.core.errors import AgentError, PlatformRejected, PlatformUnauthorized
from instrument_agent.i18n import _
from instrument_agent.keys import key_statement, new_private_key, public_key_of, sign
from instrument_agent.uplink.answers import Transport
from instrument_agent.uplink.enrolled import Enrolled, KeyFile

_CREDENTIAL = re.compile("[!-~]{16,256}")
_KEY = re.compile("[A-Za-z0-9+/]{43}=")


def enrol(keys: KeyFile, transport: Transport, code: str) -> Enrolled:
    """Give the platform a public key and a one-time code, and keep what it gives for them.

    Raises:
        AgentError: there is no answer, the code is refused, or nothing can be kept here.
    """
    private_key, public_key = _coming(keys)
    try:
        answer = transport.enrol({"code": code, "public_key": public_key}).body
    except (PlatformUnauthorized, PlatformRejected) as error:
        raise AgentError(str(error), _("ask for a new code, made for this box")) from error
    credential = str(answer.get("credential", ""))
    if not _CREDENTIAL.fullmatch(credential):
        raise AgentError(
            _("the platform gave no credential"), _("tell the platform's operator: it does not keep to contract v1")
        )
    return _kept(keys, private_key, Enrolled(credential, public_key, _platform_key(answer)))


def rotate(keys: KeyFile, transport: Transport, box_id: str) -> Enrolled:
    """Give the platform a new public key, signed with the old one, and use it from now on; the credential stays.

    Raises:
        AgentError: there is no answer, it is refused, or the box is not enrolled.
    """
    now = keys.read()
    if now is None:
        raise AgentError(_("the box is not enrolled there, so there is no key yet"), _("enrol it with a code"))
    private_key, public_key = _coming(keys)
    signature = sign(keys.private_key(), key_statement(box_id, now.public_key, public_key))
    transport.key({"public_key": public_key, "replaces": now.public_key, "signature": signature})
    return _kept(keys, private_key, Enrolled(now.credential, public_key, now.platform_key))


def _coming(keys: KeyFile) -> tuple[str, str]:
    private_key = keys.coming_key() or new_private_key()
    try:
        keys.keep_coming(private_key)
    except OSError as error:
        raise _unkept(keys, error) from error
    return private_key, public_key_of(private_key)


def _kept(keys: KeyFile, private_key: str, given: Enrolled) -> Enrolled:
    try:
        keys.take(private_key, given)
    except OSError as error:
        raise _unkept(keys, error) from error
    return given


def _unkept(keys: KeyFile, error: OSError) -> AgentError:
    return AgentError(
        _("the key cannot be kept in {path}: {error}").format(path=keys.path.parent, error=error),
        _("use sudo, or run it as the user the agent runs as"),
    )


def _platform_key(answer: Any) -> str:
    """Return the key a platform signs its receipts with; empty if it signs none."""
    key = str(answer.get("platform_key", ""))
    return key if _KEY.fullmatch(key) else ""
