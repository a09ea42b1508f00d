"""What is published is what the reference platform checks against, and what real boxes and platforms say."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from instrument_agent.core.canonical import record_hash
from instrument_agent.keys import is_signed
from instrument_agent.receiver.contract import check_heartbeat, check_records_request, check_reply, why_rejected
from instrument_agent.receiver.musts import MUSTS
from instrument_agent.receiver.openapi import document
from instrument_agent.receiver.wire_schemas import BODIES, NAMES, RECORD_TYPES, schema, whole
from instrument_agent.report.confirming import read_receipt
from instrument_agent.report.opened import opened
from instrument_agent.report.sealed import seal_statement

CONTRACT = Path(__file__).parents[2] / "docs" / "contract"
STALE = "run docs/contract/make_contract.py"


def example(name: str) -> Any:
    return json.loads((CONTRACT / "examples" / f"{name}.json").read_text(encoding="utf-8"))


def test_the_checked_in_document_is_the_one_that_follows_from_the_schemas():
    assert json.loads((CONTRACT / "openapi.json").read_text(encoding="utf-8")) == document(), STALE


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_valid_draft_2020_12(name: str):
    assert schema(name)["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema(name))
    Draft202012Validator.check_schema(whole(name))


def test_every_schema_file_is_published():
    files = {path.stem for path in (CONTRACT.parents[1] / "agent" / "receiver" / "schemas").glob("*.json")}
    assert files == set(NAMES)


def test_every_reference_in_the_document_leads_somewhere():
    published = document()
    references = re.findall(r'"\$ref": "#/([^"]*)"', json.dumps(published))
    assert len(references) > 50
    for reference in references:
        place: Any = published
        for step in reference.split("/"):
            place = place[step]


def test_every_operation_may_be_put_off_and_says_until_when():
    for path, methods in document()["paths"].items():
        for method in set(methods) - {"parameters"}:
            answers = methods[method]["responses"]
            assert {"429", "503"} <= set(answers), path
            assert all("Retry-After" in answers[status]["headers"] for status in ("429", "503")), path


@pytest.mark.parametrize("name", [name for name in BODIES if name != "error"])
def test_an_exchange_that_took_place_keeps_to_its_schema(name: str):
    check_reply(name, example(name))


@pytest.mark.parametrize("name", RECORD_TYPES)
def test_a_record_that_was_sent_keeps_to_its_schema(name: str):
    record = example(name)
    assert record["type"] == name
    item = {"hash": record_hash(record), "record": record}
    assert why_rejected(record["box_id"], record["epoch"], item) is None


def test_the_records_of_the_example_request_have_their_hashes_and_links():
    request = example("records_request")
    check_records_request(request)
    items = request["records"]
    assert [why_rejected("lab3-box1", request["epoch"], item) for item in items] == [None] * len(items)
    assert [item["record"]["prev_hash"] for item in items[1:]] == [item["hash"] for item in items[:-1]]
    check_heartbeat("lab3-box1", example("heartbeat"))


def test_the_report_that_was_made_is_whole_and_signed_and_so_is_its_receipt():
    with opened(CONTRACT / "examples" / "report.jsonl") as report:
        statement = seal_statement(report.box_id, str(report.month), report.seal.sha256)
        assert is_signed(report.seal.public_key, report.seal.signature, statement)
        assert report.count > 0
    receipt = read_receipt(CONTRACT / "examples" / "report_receipt.json", report.box_id, ())
    assert [(epoch, seq) for epoch, seq, _head in receipt.marks] == list(report.heads.items())


def test_every_demand_stands_in_the_readme_with_its_number_and_words():
    text = " ".join((CONTRACT / "README.md").read_text(encoding="utf-8").split())
    told = re.findall(r"\*\*(M\d+)\. (.*?)\*\*", text)
    assert told == [(must.number, must.title) for must in MUSTS]


@pytest.mark.parametrize("name", RECORD_TYPES)
def test_the_published_schema_of_records_refuses_what_the_platform_refuses(name: str):
    published = Draft202012Validator(whole("record"))
    record = example(name)
    assert published.is_valid(record)
    for member in schema(name)["properties"]["data"]["required"]:
        lacking = {key: value for key, value in record["data"].items() if key != member}
        broken = {**record, "data": lacking}
        reason = why_rejected(record["box_id"], record["epoch"], {"hash": "0" * 64, "record": broken})
        assert reason is not None
        assert reason.startswith("schema: ")
        assert not published.is_valid(broken)
