"""Ed25519 keys (RFC 8032) and the statements that are signed with them.

A statement is canonical JSON, and no two kinds of statement have the same members, so none passes for another. Keys and
signatures are written in base64 (RFC 4648, 4). The library is imported only where it is used: a box needs it once it is
enrolled, and even then not in its daemon (signer.py).
"""

import sys
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instrument_agent.core.canonical import canonical
from instrument_agent.core.errors import AgentError
from instrument_agent.i18n import _

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SIGN_WITHIN_S = 30.0
SIGNER = Path(__file__).with_name("signer.py")


class KeysUnavailable(AgentError):
    """Nothing can be signed or checked here: the library is missing, or a key cannot be used."""


def head_statement(box_id: str, epoch: str, seq: int, head_hash: str) -> dict[str, Any]:
    """Return what a box signs for a batch: where its chain stands after the last record of it."""
    return {"box_id": box_id, "epoch": epoch, "seq": seq, "head_hash": head_hash}


def key_statement(box_id: str, replaces: str, public_key: str) -> dict[str, Any]:
    """Return what a box signs with its old key when it takes a new one."""
    return {"box_id": box_id, "replaces": replaces, "public_key": public_key}


def new_private_key() -> str:
    """Make a key.

    Raises:
        KeysUnavailable: the library is missing.
    """
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError as error:
        raise _missing() from error
    raw = (serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())
    return b64encode(Ed25519PrivateKey.generate().private_bytes(*raw)).decode("ascii")


def public_key_of(private_key: str) -> str:
    """Return the public half of a key.

    Raises:
        KeysUnavailable: the library is missing, or this is no key.
    """
    loaded = _loaded(private_key)
    from cryptography.hazmat.primitives import serialization

    raw = (serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return b64encode(loaded.public_key().public_bytes(*raw)).decode("ascii")


def sign(private_key: str, statement: Mapping[str, Any]) -> str:
    """Return the signature of a statement.

    Raises:
        KeysUnavailable: the library is missing, or this is no key.
    """
    return b64encode(_loaded(private_key).sign(canonical(dict(statement)))).decode("ascii")


def sign_apart(key_file: Path, statement: Mapping[str, Any]) -> str:
    """Return the signature of a statement by the key in a file, made in a process of its own.

    Raises:
        KeysUnavailable: it could not be made.
    """
    import subprocess  # 0.3 MiB that a box which is not enrolled never needs

    command = [sys.executable, "-I", str(SIGNER), str(key_file)]
    try:
        done = subprocess.run(  # noqa: S603  # our own interpreter and our own program
            command, input=canonical(dict(statement)), capture_output=True, timeout=SIGN_WITHIN_S, check=True
        )
    except subprocess.CalledProcessError as error:
        last = error.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        if "No module named" in last:
            raise _missing() from error
        raise KeysUnavailable(_("nothing can be signed: {error}").format(error=last), _enrol_hint()) from error
    except (OSError, subprocess.SubprocessError) as error:
        raise KeysUnavailable(_("nothing can be signed: {error}").format(error=error)) from error
    return done.stdout.decode("ascii")


def is_signed(public_key: str, signature: str, statement: Mapping[str, Any]) -> bool:
    """Say whether a signature of a statement was made with the private half of a key.

    Raises:
        KeysUnavailable: the library is missing.
    """
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError as error:
        raise _missing() from error
    try:
        key = Ed25519PublicKey.from_public_bytes(b64decode(public_key, validate=True))
        key.verify(b64decode(signature, validate=True), canonical(dict(statement)))
    except (ValueError, InvalidSignature):  # a ValueError: not base64, not 32 bytes, not a statement
        return False
    return True


def _loaded(private_key: str) -> "Ed25519PrivateKey":
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError as error:
        raise _missing() from error
    try:
        return Ed25519PrivateKey.from_private_bytes(b64decode(private_key, validate=True))
    except ValueError as error:
        raise KeysUnavailable(_("the private key is damaged"), _enrol_hint()) from error


def _enrol_hint() -> str:
    return _("enrol the box again, with a new code")


def _missing() -> KeysUnavailable:
    return KeysUnavailable(
        _("the library for signatures is missing (cryptography)"),
        _("install it: sudo apt install python3-cryptography, or pip install 'instrument-agent[keys]'"),
    )
