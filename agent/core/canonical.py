"""The one byte form of a record, and its hash.

RFC 8785 (JSON Canonicalization Scheme), narrowed to integers and strings: two machines never write the same float
in two ways if there are no floats.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import rfc8785

NO_HASH = "0" * 64
"""What stands for the previous hash in the first record of a chain."""


def canonical(value: object) -> bytes:
    """Return the canonical JSON of ``value``.

    Raises:
        ValueError: a float, or an integer of 2^53 or more, is somewhere in it.
    """
    _refuse_floats(value)
    try:
        # The library types its argument as a recursive JSON type that includes every value let through above.
        return rfc8785.dumps(value)  # type: ignore[arg-type]
    except rfc8785.CanonicalizationError as error:
        raise ValueError(str(error)) from error


def record_hash(record: Mapping[str, Any]) -> str:
    """Return the SHA-256 (hex) of a record, which contains the hash of the one before it."""
    return hashlib.sha256(canonical(dict(record))).hexdigest()


def _refuse_floats(value: object) -> None:
    if isinstance(value, float):
        raise ValueError(f"a record holds no floats: {value!r}")  # noqa: TRY004  # one error for what cannot be written
    if isinstance(value, Mapping):
        for item in value.values():
            _refuse_floats(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_floats(item)
