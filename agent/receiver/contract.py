"""What the wire contract allows; the JSON Schemas in schemas/ are the source.

An envelope is right or wrong as a whole. Records are judged one by one, because one bad record must not hold up
the others.
"""

import json
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend

from instrument_agent.core.canonical import record_hash

CONFLICT = "conflict"
HASH_MISMATCH = "hash_mismatch"
WRONG_BOX = "wrong_box"
WRONG_EPOCH = "wrong_epoch"
TOO_DEEP = "schema: nested too deeply"

_MAX_REASON_CHARS = 200


class ContractViolation(ValueError):
    """The request as a whole does not follow the contract."""


def is_box_id(text: str) -> bool:
    """Say whether ``text`` can be the id of a box."""
    return _BOX_ID.search(text) is not None


def check_records_request(body: Any) -> None:
    """Check the envelope of a records request, not the records in it.

    Raises:
        ContractViolation: it breaks the schema, or ``head_hash`` is not that of the last record.
    """
    _check(_REQUEST, body)
    if body["head_hash"] != body["records"][-1]["hash"]:
        raise ContractViolation("head_hash: not the hash of the last record")


def check_heartbeat(box_id: str, body: Any) -> None:
    """Check a heartbeat sent to the address of ``box_id``.

    Raises:
        ContractViolation: it breaks the schema, or speaks for another box.
    """
    _check(_HEARTBEAT, body)
    if body["box_id"] != box_id:
        raise ContractViolation("box_id: not the box this was sent for")


def why_rejected(box_id: str, epoch: str, item: Mapping[str, Any]) -> str | None:
    """Return why one ``{"hash", "record"}`` of an envelope cannot be stored, or None if it can."""
    record = item["record"]
    try:
        error = next(_RECORD.iter_errors(record), None)
        if error is not None:
            return _sentence("schema: ", error)
        if record["box_id"] != box_id:
            return WRONG_BOX
        if record["epoch"] != epoch:
            return WRONG_EPOCH
        return None if record_hash(record) == item["hash"] else HASH_MISMATCH
    except RecursionError:
        return TOO_DEEP
    except ValueError:
        # Half of a surrogate pair passes JSON and the schema, but has no bytes that could be hashed.
        return HASH_MISMATCH


def _check(validator: Validator, body: Any) -> None:
    error = next(validator.iter_errors(body), None)
    if error is not None:
        raise ContractViolation(_sentence("", error))


def _sentence(prefix: str, error: ValidationError) -> str:
    """Name the place and the fault, safe to store and to send whatever the sender put into it."""
    place = "/".join(str(step) for step in error.absolute_path)
    text = f"{prefix}{place}: {error.message}" if place else f"{prefix}{error.message}"
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text[:_MAX_REASON_CHARS])


def _schema(name: str) -> dict[str, Any]:
    text = resources.files("instrument_agent.receiver").joinpath("schemas", name).read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def _is_integer(_checker: object, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


# JSON Schema takes 1.0 for an integer; a record holds no floats, however they are written.
_Strict: type[Validator] = extend(  # type: ignore[no-untyped-call]  # its stub leaves some arguments untyped
    Draft202012Validator, type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer)
)
_RECORD = _Strict(_schema("record.json"))
_REQUEST = _Strict(_schema("records_request.json"))
_HEARTBEAT = _Strict(_schema("heartbeat.json"))
_BOX_ID = re.compile(_schema("record.json")["$defs"]["box_id"]["pattern"])
