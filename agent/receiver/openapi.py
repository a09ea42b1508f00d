"""The contract as one OpenAPI 3.1 document, put together from the JSON Schemas."""

from functools import cache
from typing import Any

from instrument_agent.receiver.wire_schemas import NAMES, URN, schema

_ABOUT = (
    "How boxes of instrument-agent speak with a platform. What a platform must do is numbered in README.md beside"
    " this document. The JSON Schemas are the source; this document is put together from them."
)
_REFUSALS = {
    "400": "The request as a whole breaks the contract: nothing of it is stored. The box looks for the culprit.",
    "401": "No credential, or not that of this box. The box keeps its records and probes slowly.",
    "403": "The code does not enrol this box, or the signature is not its own; the sentence says why.",
    "404": "There is no such address here.",
    "413": "Too large as sent or decompressed (here: 16 MiB). The box sends half as much.",
    "415": "Not application/json, or an encoding other than gzip.",
    "429": "Too many at once. The box comes again, not before Retry-After.",
    "500": "A bug. The box keeps its records and comes again.",
    "503": "The database is not available now. The box keeps its records and comes again.",
}
_OF_A_BOX = ("400", "401", "429", "500", "503")
_WITH_BODY = (*_OF_A_BOX, "413", "415")


@cache
def document() -> dict[str, Any]:
    """Return the document; it is shared, so do not change it."""
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "instrument-agent uplink contract",
            "version": "1.0.0",
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/v1/boxes/{box_id}/records": {"parameters": [_box()], "post": _records()},
            "/v1/boxes/{box_id}/heartbeat": {"parameters": [_box()], "post": _heartbeat()},
            "/v1/boxes/{box_id}/watermark": {"parameters": [_box()], "get": _watermark()},
            "/v1/boxes/{box_id}/enrol": {"parameters": [_box()], "post": _enrol()},
            "/v1/boxes/{box_id}/key": {"parameters": [_box()], "post": _key()},
        },
        "components": {
            "schemas": {_component(name): _published(schema(name)) for name in NAMES},
            "securitySchemes": {"credential": {"type": "http", "scheme": "bearer"}},
        },
    }


def _records() -> dict[str, Any]:
    return {
        "operationId": "records",
        "summary": "Take a batch of records of one epoch",
        "security": [{"credential": []}],
        **_body("records_request"),
        "responses": _answers(
            "records_reply", "Every record of the batch is stored or rejected.", (*_WITH_BODY, "403")
        ),
    }


def _heartbeat() -> dict[str, Any]:
    return {
        "operationId": "heartbeat",
        "summary": "Take live state; never behind the backlog",
        "security": [{"credential": []}],
        **_body("heartbeat"),
        "responses": _answers("heartbeat_reply", "Heard.", _WITH_BODY),
    }


def _watermark() -> dict[str, Any]:
    return {
        "operationId": "watermark",
        "summary": "Say how far each epoch of a box is settled",
        "security": [{"credential": []}],
        "responses": _answers("watermark_reply", "Every epoch of the box.", _OF_A_BOX),
    }


def _enrol() -> dict[str, Any]:
    return {
        "operationId": "enrol",
        "summary": "Give a box its credential for a one-time code",
        "security": [],
        **_body("enrol_request"),
        "responses": _answers("enrol_reply", "Enrolled.", ("400", "403", "404", "413", "415", "429", "500", "503")),
    }


def _key() -> dict[str, Any]:
    return {
        "operationId": "key",
        "summary": "Take a new key of an enrolled box, signed with its old one",
        "security": [{"credential": []}],
        **_body("key_request"),
        "responses": _answers("key_reply", "Taken.", (*_WITH_BODY, "403", "404")),
    }


def _box() -> dict[str, Any]:
    shape = {"$ref": "#/components/schemas/Definitions/$defs/box_id"}
    return {"name": "box_id", "in": "path", "required": True, "schema": shape}


def _body(name: str) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": _reference(name)}}}}


def _answers(name: str, told: str, refusals: tuple[str, ...]) -> dict[str, Any]:
    answers: dict[str, Any] = {"200": {"description": told, "content": _json(name)}}
    for status in sorted(refusals):
        answers[status] = {"description": _REFUSALS[status], "content": _json("error")}
    for status in ("429", "503"):
        seconds = {"type": "integer", "minimum": 0}
        answers[status]["headers"] = {"Retry-After": {"description": "Seconds.", "schema": seconds}}
    return answers


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": _reference(name)}}


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{_component(name)}"}


def _component(name: str) -> str:
    return "".join(word.title() for word in name.replace("-", "_").split("_"))


def _published(part: Any) -> Any:
    """Return a schema with its references turned to where they point to in the document."""
    if isinstance(part, list):
        return [_published(item) for item in part]
    if not isinstance(part, dict):
        return part
    found = {key: _published(value) for key, value in part.items() if key not in ("$id", "$schema")}
    reference = found.get("$ref", "")
    if isinstance(reference, str) and reference.startswith(URN):
        file, hash_sign, place = reference.removeprefix(URN).partition("#")
        found["$ref"] = f"#/components/schemas/{_component(file)}{place if hash_sign else ''}"
    elif isinstance(reference, str) and reference.startswith("#/$defs/"):
        found["$ref"] = f"#/components/schemas/Definitions{reference[1:]}"
    return found
