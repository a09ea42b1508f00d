"""What the platform says to requests that are not what the contract says."""

import gzip
import json
import zlib
from typing import Any

import pytest
import requests
from wire_box import Box

from instrument_agent.receiver import Ledger

LIMIT = 16 * 1024 * 1024
JSON = {"Content-Type": "application/json"}
GZIP = {**JSON, "Content-Encoding": "gzip"}


def post(box: Box, data: bytes, headers: dict[str, str]) -> requests.Response:
    return requests.post(f"{box.address}/records", data=data, headers=headers, timeout=30)


def refused(reply: requests.Response) -> tuple[int, bool]:
    """Return the status, and whether the body is one sentence and nothing else."""
    body = reply.json()
    return reply.status_code, list(body) == ["error"] and isinstance(body["error"], str) and body["error"] != ""


def test_gzip_is_understood(box: Box, ledger: Ledger) -> None:
    body = gzip.compress(json.dumps(box.envelope(box.chain(3))).encode())
    reply = post(box, body, {**JSON, "Content-Type": "application/json; charset=utf-8", "Content-Encoding": "gzip"})
    assert (reply.status_code, reply.json()["acked_through"]) == (200, 3)
    assert len(ledger.records()) == 3


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda _whole: b"{}", id="not gzip at all"),
        pytest.param(lambda _whole: b"", id="empty"),
        pytest.param(lambda whole: whole[:-1], id="cut short"),
        pytest.param(lambda whole: whole + b"x", id="something behind it"),
        pytest.param(lambda whole: whole[:-8] + bytes(4) + whole[-4:], id="wrong checksum"),
    ],
)
def test_bad_gzip_is_a_bad_request(box: Box, ledger: Ledger, damage: Any) -> None:
    whole = gzip.compress(json.dumps(box.envelope(box.chain(1))).encode())
    assert refused(post(box, damage(whole), GZIP)) == (400, True)
    assert ledger.records() == []


def test_a_gzip_bomb_is_too_large(box: Box) -> None:
    bomb = gzip.compress(b" " * (LIMIT + 1))
    assert len(bomb) < 20_000
    assert refused(post(box, bomb, GZIP)) == (413, True)


def test_a_body_up_to_the_limit_is_read(box: Box) -> None:
    whole = json.dumps(box.envelope(box.chain(1))).encode()
    assert post(box, gzip.compress(whole.ljust(LIMIT)), GZIP).status_code == 200


def test_too_large_is_heard_by_a_sender_that_is_still_sending(box: Box) -> None:
    assert refused(post(box, b" " * (3 * LIMIT), JSON)) == (413, True)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{", id="half"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"\xff{}", id="not UTF-8"),
        pytest.param(b"[" * 100_000, id="nested without end"),
        pytest.param(b"1" * 10_000, id="a number without end"),
    ],
)
def test_what_is_not_json_is_a_bad_request(box: Box, body: bytes) -> None:
    assert refused(post(box, body, JSON)) == (400, True)


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
def test_a_number_that_is_none_is_a_bad_request(box: Box, ledger: Ledger, number: str) -> None:
    body = json.dumps(box.pulse(temperature_c=21.5)).replace("21.5", number).encode()
    reply = requests.post(f"{box.address}/heartbeat", data=body, headers=JSON, timeout=30)
    assert refused(reply) == (400, True)
    assert ledger.heartbeats(box.box_id).count == 0


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"epoch": "now"}, id="epoch not a uuid"),
        pytest.param({"epoch": None}, id="epoch null"),
        pytest.param({"boot_id": 1}, id="boot id not a text"),
        pytest.param({"boottime_ms": -1}, id="negative boot clock"),
        pytest.param({"boottime_ms": 1.0}, id="float boot clock"),
        pytest.param({"head_hash": "0" * 64}, id="head of another chain"),
        pytest.param({"records": []}, id="no record"),
        pytest.param({"records": {}}, id="records not a list"),
        pytest.param({"records": ["x"]}, id="record not an item"),
        pytest.param({"records": [{"hash": "0" * 64, "record": {"seq": 0}}]}, id="seq 0"),
        pytest.param({"records": [{"hash": "0" * 64, "record": {"seq": True}}]}, id="seq a boolean"),
        pytest.param({"records": [{"hash": "0" * 64, "record": {"seq": 2**53}}]}, id="seq too big"),
        pytest.param({"records": [{"hash": "0" * 64, "record": {}}]}, id="record without seq"),
        pytest.param({"records": [{"hash": "0" * 63, "record": {"seq": 1}}]}, id="short hash"),
        pytest.param({"records": [{"record": {"seq": 1}}]}, id="no hash"),
    ],
)
def test_a_malformed_envelope_is_a_bad_request_and_stores_nothing(
    box: Box, ledger: Ledger, changes: dict[str, Any]
) -> None:
    items = changes.get("records")
    if isinstance(items, list) and items and isinstance(items[-1], dict):
        changes = {**changes, "head_hash": items[-1].get("hash", "0" * 64)}
    assert refused(box.send(box.chain(1), **changes)) == (400, True)
    assert ledger.watermarks(box.box_id) == {}


@pytest.mark.parametrize("member", ["epoch", "boot_id", "boottime_ms", "records", "head_hash"])
def test_an_envelope_without_a_member_is_a_bad_request(box: Box, member: str) -> None:
    envelope = {name: value for name, value in box.envelope(box.chain(1)).items() if name != member}
    reply = post(box, json.dumps(envelope).encode(), JSON)
    assert reply.status_code == 400
    assert member in reply.json()["error"]


def test_an_envelope_may_carry_more_than_is_known_today(box: Box) -> None:
    assert box.send(box.chain(1), signature="A" * 86 + "==").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Content-Type": "text/plain"}, id="text"),
        pytest.param({}, id="no content type"),
        pytest.param({**JSON, "Content-Encoding": "br"}, id="brotli"),
    ],
)
def test_other_content_types_are_unsupported(box: Box, headers: dict[str, str]) -> None:
    body = json.dumps(box.envelope(box.chain(1))).encode()
    assert refused(post(box, body, headers)) == (415, True)


def test_deflate_is_not_taken_for_gzip(box: Box) -> None:
    whole = json.dumps(box.envelope(box.chain(1))).encode()
    assert refused(post(box, zlib.compress(whole), GZIP)) == (400, True)


@pytest.mark.parametrize("name", ["%00", "a%0A", "box 1", "盒子", "x" * 65])
def test_an_address_that_is_no_box_is_a_bad_request(url: str, name: str) -> None:
    for method, room in (("GET", "watermark"), ("POST", "records"), ("POST", "heartbeat")):
        reply = requests.request(method, f"{url}/v1/boxes/{name}/{room}", timeout=30)
        assert refused(reply) == (400, True)


def test_unknown_addresses_and_methods_are_answered_in_json(url: str) -> None:
    assert refused(requests.get(f"{url}/v2/boxes", timeout=30)) == (404, True)
    assert refused(requests.get(f"{url}/v1/boxes/box-1/records", timeout=30)) == (405, True)


def test_health_is_ok(url: str) -> None:
    reply = requests.get(f"{url}/healthz", timeout=30)
    assert (reply.status_code, reply.json()) == (200, {"status": "ok"})
