"""The JSON Schemas of contract v1: the source of everything that is checked or published."""

import json
from functools import cache
from importlib import resources
from typing import Any

URN = "urn:instrument-agent:v1:"
RECORD_TYPES = (
    *("run_session", "power_session", "daily_summary", "observation_gap"),
    *("time_anchor", "lifecycle_event", "fault", "epoch_started"),
)
"""The types of record that have a schema of their own."""
BODIES = (
    *("records_request", "records_reply", "heartbeat", "heartbeat_reply", "watermark_reply"),
    *("enrol_request", "enrol_reply", "key_request", "key_reply", "error"),
)
"""What goes over the wire as a whole."""
NAMES = ("definitions", "record", *RECORD_TYPES, "receipt", *BODIES)


@cache
def schema(name: str) -> dict[str, Any]:
    """Return the schema in ``schemas/NAME.json``; it is shared, so do not change it."""
    text = resources.files("instrument_agent.receiver").joinpath("schemas", f"{name}.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def whole(name: str) -> dict[str, Any]:
    """Return a schema with everything it refers to in it; checking against one in pieces takes twice as long."""
    shared = schema("definitions")["$defs"]
    return {**_whole(schema(name)), "$defs": {"value": shared["value"]}}


def _whole(part: Any) -> Any:
    if isinstance(part, list):
        return [_whole(item) for item in part]
    if not isinstance(part, dict):
        return part
    beside = {key: _whole(item) for key, item in part.items() if key not in ("$ref", "$id", "$schema")}
    reference = part.get("$ref", "")
    if not reference.startswith(URN):
        return beside | ({"$ref": reference} if reference else {})
    file, _hash, place = reference.removeprefix(URN).partition("#/$defs/")
    if place == "value":  # holds itself
        return {**beside, "$ref": "#/$defs/value"}
    target = schema(file.replace("-", "_"))
    return {**_whole(target["$defs"][place] if place else target), **beside}
