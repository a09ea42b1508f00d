"""What the wire contract allows; the JSON Schemas in schemas/ are the source.

An envelope is right or wrong as a whole. Records are judged one by one, because one bad record must not hold up
the others.
"""

import re
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend

from instrument_agent.core.canonical import record_hash
from instrument_agent.receiver.wire_schemas import RECORD_TYPES, schema, whole

CONFLICT = "conflict"
HASH_MISMATCH = "hash_mismatch"
WRONG_BOX = "wrong_box"
WRONG_EPOCH = "wrong_epoch"
SUM_MISMATCH = "sum_mismatch"
TOO_DEEP = "schema: nested too deeply"

_MAX_REASON_CHARS = 200
_COUNTED = {"run_session": "running_ms", "power_session": "powered_ms"}


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
    names = [item["instrument_id"] for item in body["instruments"]]
    if len(set(names)) < len(names):
        raise ContractViolation("instruments: one is there twice")
    if any("\ud800" <= char <= "\udfff" for name in names for char in name):
        raise ContractViolation("instrument_id: half of a surrogate pair")


def check_enrolment(body: Any) -> None:
    """Check the body of an enrolment.

    Raises:
        ContractViolation: it breaks the schema.
    """
    _check(_ENROL, body)


def check_new_key(body: Any) -> None:
    """Check the body with which a box shows a new key.

    Raises:
        ContractViolation: it breaks the schema.
    """
    _check(_KEY, body)


def check_reply(name: str, body: Any) -> None:
    """Check what a platform answered against the schema ``name``.

    Raises:
        ContractViolation: it breaks the schema.
    """
    _check(_validator(name), body)


def why_rejected(box_id: str, epoch: str, item: Mapping[str, Any]) -> str | None:
    """Return why one ``{"hash", "record"}`` of an envelope cannot be stored, or None if it can."""
    record = item["record"]
    try:
        error = next(_FRAME.iter_errors(record), None)
        known = _OF_TYPE.get(record["type"]) if error is None else None
        error = next(known.iter_errors(record), None) if known is not None else error
        if error is not None:
            return _sentence("schema: ", error)
        if (record["box_id"], record["epoch"]) != (box_id, epoch):
            return WRONG_BOX if record["box_id"] != box_id else WRONG_EPOCH
        if record_hash(record) != item["hash"]:
            return HASH_MISMATCH
        return None if _adds_up(record) else SUM_MISMATCH
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


def _adds_up(record: Mapping[str, Any]) -> bool:
    """Say whether the times in a record agree with each other, which no schema can say."""
    data, counted = record["data"], _COUNTED.get(record["type"])
    if counted is not None:
        return bool(0 <= data[counted] == data["end_ms"] - data["start_ms"] - data["unseen_ms"])
    if record["type"] == "observation_gap":
        return bool(data["start_ms"] <= data["end_ms"])
    if record["type"] == "daily_summary":
        spent = sum(data[f"{activity}_ms"] for activity in ("off", "standby", "running", "unknown"))
        return bool(data["length_ms"] == spent + data["clock_residual_ms"])
    return True


def _is_integer(_checker: object, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


# JSON Schema takes 1.0 for an integer; a record holds no floats, however they are written.
_Strict: type[Validator] = extend(  # type: ignore[no-untyped-call]  # its stub leaves some arguments untyped
    Draft202012Validator, type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer)
)


def _validator(name: str) -> Validator:
    return _Strict(whole(name))


# record.json says the same in one piece; asking only the schema of the record's own type is twice as fast.
_FRAME = _Strict({name: part for name, part in whole("record").items() if name != "allOf"})
_OF_TYPE = {name: _validator(name) for name in RECORD_TYPES}
_REQUEST = _validator("records_request")
_HEARTBEAT = _validator("heartbeat")
_ENROL = _validator("enrol_request")
_KEY = _validator("key_request")
_BOX_ID = re.compile(schema("definitions")["$defs"]["box_id"]["pattern"])
