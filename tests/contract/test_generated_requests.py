"""Whatever follows from the published contract, or breaks it, gets an answer that stands in it."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import DataObject, data
from wrong_platforms import Carrier

from instrument_agent.receiver import Ledger, create_app
from instrument_agent.receiver.enrolment import Enrolment
from instrument_agent.receiver.openapi import document

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed; it comes with the extra dev")
checks = pytest.importorskip("schemathesis.specs.openapi.checks")
CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
OPERATIONS = [
    (path, method.upper())
    for path, methods in document()["paths"].items()
    for method in methods
    if method != "parameters"
]
# The same examples every time: what a new one would find belongs into a test of its own.
FEW = settings(max_examples=6, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


@pytest.fixture
def published(carrier: Carrier, books: Ledger, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The document, at a platform; where boxes enrol it lets in nobody else."""
    enrolment = Enrolment(f"sqlite:///{tmp_path / 'platform.db'}")
    enrols = request.node.callspec.params["operation"][0].endswith("/enrol")
    carrier.app = create_app(books, time.time_ns, next_heartbeat_s=60, enrolment=enrolment if enrols else None)
    schema = schemathesis.openapi.from_dict(document())
    schema.config.update(base_url=carrier.url)
    yield schema
    enrolment.close()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation[0].rpartition("/")[2])
@pytest.mark.parametrize("kind", ["what the contract allows", "what breaks the contract"])
def test_every_answer_stands_in_the_contract(published: Any, operation: tuple[str, str], kind: str) -> None:
    path, method = operation
    allowed = kind == "what the contract allows"
    mode = schemathesis.GenerationMode.POSITIVE if allowed else schemathesis.GenerationMode.NEGATIVE
    cases = published[path][method].as_strategy(generation_mode=mode)
    statuses = []

    @FEW
    @given(data())
    def ask(source: DataObject) -> None:
        case = source.draw(cases)
        case.body = without_fractions(case.body) if allowed and method == "POST" else case.body
        if allowed and path.endswith("/records"):
            case.body["head_hash"] = case.body["records"][-1]["hash"]  # which no schema can say
        if allowed and path.endswith("/heartbeat"):
            case.body["box_id"] = unquote(case.path_parameters["box_id"])
        response = case.call()
        # In an address a wrong box_id may be none: the number 9 and the text 9 are written alike.
        refusing = [checks.negative_data_rejection] if method == "POST" else []
        case.validate_response(response, checks=CHECKS + refusing)
        statuses.append(response.status_code)

    ask()
    assert len(statuses) >= 6
    if allowed:
        # No code and no signature is made up that fits; where nobody is enrolled there are no keys.
        assert set(statuses) == {"enrol": {403}, "key": {404}}.get(path.rpartition("/")[2], {200})
    else:
        assert 400 in statuses


def without_fractions(value: Any) -> Any:
    """Write 1.0 as 1: JSON Schema calls both an integer, the contract only the one."""
    if isinstance(value, dict):
        return {name: without_fractions(part) for name, part in value.items()}
    if isinstance(value, list):
        return [without_fractions(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
