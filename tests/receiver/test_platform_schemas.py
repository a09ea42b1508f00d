"""The schemas that ship with the platform are what they claim to be."""

import json
from importlib import resources

import pytest
from jsonschema import Draft202012Validator


@pytest.mark.parametrize("name", ["heartbeat.json", "record.json", "records_request.json"])
def test_a_schema_is_valid_draft_2020_12(name: str) -> None:
    text = resources.files("instrument_agent.receiver").joinpath("schemas", name).read_text(encoding="utf-8")
    schema = json.loads(text)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)
