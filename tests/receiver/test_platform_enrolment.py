"""One-time codes, and credentials that let each box in as itself only."""

import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from wire_box import Box, ran

from instrument_agent.keys import is_signed, new_private_key, public_key_of
from instrument_agent.receiver import Ledger, create_app
from instrument_agent.receiver.enrolment import DAY_NS, Enrolment

NOW_NS = 1_795_334_400_000_000_000
PRIVATE, OTHER_PRIVATE = new_private_key(), new_private_key()
KEY, OTHER_KEY = public_key_of(PRIVATE), public_key_of(OTHER_PRIVATE)


class Time:
    ns = NOW_NS


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def enrolment(ledger: Ledger, tmp_path: Path) -> Iterator[Enrolment]:
    enrolment = Enrolment(f"sqlite:///{tmp_path / 'platform.db'}")
    yield enrolment
    enrolment.close()


@pytest.fixture
def closed(ledger: Ledger, enrolment: Enrolment, stage: tuple[Any, str], clock: Time) -> Box:
    """A box at a platform that lets enrolled boxes in."""
    platform, url = stage
    platform.app = create_app(ledger, lambda: clock.ns, enrolment=enrolment)
    return Box(url, key=PRIVATE)


def enrol(box: Box, code: str, key: str = KEY) -> requests.Response:
    return requests.post(f"{box.address}/enrol", json={"code": code, "public_key": key}, timeout=30)


def send(box: Box, credential: str, count: int = 1) -> requests.Response:
    headers = {"Authorization": f"Bearer {credential}"}
    return requests.post(f"{box.address}/records", json=box.envelope(box.chain(count)), headers=headers, timeout=30)


def test_a_code_gives_a_credential_that_lets_the_box_in(closed: Box, enrolment: Enrolment, ledger: Ledger):
    reply = enrol(closed, enrolment.new_code("box-1", NOW_NS, 1))
    assert (reply.status_code, sorted(reply.json())) == (200, ["credential", "platform_key", "server_time"])
    assert send(closed, reply.json()["credential"]).json()["acked_through"] == 1
    assert len(ledger.records()) == 1


def test_a_code_is_taken_as_people_type_it(closed: Box, enrolment: Enrolment):
    code = enrolment.new_code("box-1", NOW_NS, 1)
    assert enrol(closed, f" {code.lower().replace('-', ' ').replace('0', 'o').replace('1', 'l')} ").status_code == 200


def test_an_enrolled_box_gets_a_receipt_for_what_is_stored(closed: Box, enrolment: Enrolment):
    credential = enrol(closed, enrolment.new_code("box-1", NOW_NS, 1)).json()["credential"]
    reply = send(closed, credential, 3).json()
    signature = reply["receipt"].pop("signature")
    assert is_signed(enrolment.public_key, signature, reply["receipt"])
    assert not is_signed(enrolment.public_key, signature, reply["receipt"] | {"acked_through": 4})
    assert reply["receipt"] == {
        "box_id": "box-1",
        "epoch": closed.epoch,
        "acked_through": 3,
        "head_hash": closed.chain(3)[-1]["hash"],
        "time": reply["server_time"],
    }


def test_a_signature_covers_no_record_that_does_not_lead_to_the_last_one(
    closed: Box, enrolment: Enrolment, ledger: Ledger
):
    credential = enrol(closed, enrolment.new_code("box-1", NOW_NS, 1)).json()["credential"]
    items = closed.chain(3)
    signed = closed.envelope(items)
    forged = closed.chain(2, data=ran(0, 900_000))
    for records in ([forged[0], *items[1:]], [items[0], forged[1], items[2]], items[::2]):
        body = {**signed, "records": records}
        headers = {"Authorization": f"Bearer {credential}"}
        reply = requests.post(f"{closed.address}/records", json=body, headers=headers, timeout=30)
        assert (reply.status_code, "hash of the one before" in reply.json()["error"]) == (403, True)
    assert ledger.records() == []


def test_a_box_that_is_not_enrolled_gets_no_receipt(box: Box):
    assert "receipt" not in box.send(box.chain(1)).json()


def test_codes_are_refused_with_the_reason(closed: Box, enrolment: Enrolment, clock: Time):
    def refusal(code: str, box: Box = closed) -> str:
        reply = enrol(box, code)
        assert reply.status_code == 403
        return reply.json()["error"]

    mine, revoked = enrolment.new_code("box-1", NOW_NS, 1), enrolment.new_code("box-1", NOW_NS, 1)
    expiring = enrolment.new_code("box-1", NOW_NS, 1)
    assert "not known" in refusal("0000-0000-0000-0000-0000")
    assert "another box" in refusal(mine, Box(closed.url, "box-2"))
    assert enrolment.revoke_code(2)
    assert "revoked" in refusal(revoked)
    send(closed, enrol(closed, mine).json()["credential"])
    assert "used" in refusal(mine)
    clock.ns += DAY_NS
    assert "expired" in refusal(expiring)


def test_a_lost_reply_is_asked_for_again_until_the_credential_was_borne(closed: Box, enrolment: Enrolment):
    code = enrolment.new_code("box-1", NOW_NS, 1)
    lost = enrol(closed, code).json()["credential"]
    assert enrol(closed, code, OTHER_KEY).status_code == 403, "another key is another box"
    second = enrol(closed, code).json()["credential"]
    assert send(closed, lost).status_code == 401
    assert send(closed, second).status_code == 200
    assert enrol(closed, code).status_code == 403


def test_a_lost_reply_is_not_asked_for_again_after_the_code_expired(closed: Box, enrolment: Enrolment, clock: Time):
    code = enrolment.new_code("box-1", NOW_NS, 1)
    enrol(closed, code)
    clock.ns += DAY_NS
    assert enrol(closed, code).status_code == 403


def test_a_spare_code_does_not_take_the_place_of_an_enrolled_box(closed: Box, enrolment: Enrolment):
    first = enrol(closed, enrolment.new_code(None, NOW_NS, 1)).json()["credential"]
    spare = enrolment.new_code(None, NOW_NS, 1)
    assert "enrolled already" in enrol(closed, spare, OTHER_KEY).json()["error"]
    assert send(closed, first).status_code == 200
    assert enrol(Box(closed.url, "box-2"), spare).status_code == 200, "the spare code is still good elsewhere"


def test_a_code_made_for_a_box_replaces_its_credential(closed: Box, enrolment: Enrolment):
    first = enrol(closed, enrolment.new_code("box-1", NOW_NS, 1)).json()["credential"]
    second = enrol(closed, enrolment.new_code("box-1", NOW_NS, 1), OTHER_KEY).json()["credential"]
    assert (send(closed, first).status_code, send(closed, second).status_code) == (401, 403)
    assert send(replace(closed, key=OTHER_PRIVATE), second).status_code == 200


def test_revoking_a_code_takes_away_the_credential_it_gave(closed: Box, enrolment: Enrolment):
    credential = enrol(closed, enrolment.new_code("box-1", NOW_NS, 1)).json()["credential"]
    assert send(closed, credential).status_code == 200
    assert enrolment.revoke_code(1)
    assert send(closed, credential).status_code == 401
    assert not enrolment.revoke_code(2)
    spare = enrolment.new_code(None, NOW_NS, 1)
    assert "a code made for it" in enrol(closed, spare, OTHER_KEY).json()["error"], "its name is nobody else's to take"
    assert enrol(closed, enrolment.new_code("box-1", NOW_NS, 1), OTHER_KEY).status_code == 200


@pytest.mark.parametrize("what", ["records", "heartbeat", "watermark"])
def test_nobody_speaks_for_a_box_with_another_ones_credential(
    closed: Box, enrolment: Enrolment, ledger: Ledger, what: str
):
    credential = enrol(closed, enrolment.new_code("box-1", NOW_NS, 1)).json()["credential"]
    other = Box(closed.url, "box-2")
    enrol(other, enrolment.new_code("box-2", NOW_NS, 1))
    body = {"records": other.envelope(other.chain(1)), "heartbeat": other.pulse(), "watermark": None}[what]
    for token in (credential, credential + "x", "", "\u00fcber"):
        for address in (f"{other.address}/{what}", f"{closed.url}/v1/boxes/box%2D2/{what}", f"{other.address}/{what}/"):
            reply = requests.request(
                "GET" if body is None else "POST",
                address,
                json=body,
                headers={"Authorization": f"Bearer {token}".encode("latin-1")},
                timeout=30,
                allow_redirects=False,
            )
            assert reply.status_code == 401
    assert ledger.records() == []


def test_neither_codes_nor_credentials_stand_in_the_database(closed: Box, enrolment: Enrolment, tmp_path: Path):
    code = enrolment.new_code("box-1", NOW_NS, 1)
    credential = enrol(closed, code).json()["credential"]
    with sqlite3.connect(tmp_path / "platform.db") as connection:
        text = "\n".join(connection.iterdump())
    connection.close()
    assert credential not in text
    assert code not in text
    assert code.replace("-", "") not in text
    assert KEY in text


@pytest.mark.parametrize("body", [{}, {"code": "x"}, {"code": "x", "public_key": "short"}, {"code": 1}])
def test_a_malformed_enrolment_is_a_bad_request(closed: Box, body: dict[str, Any]):
    assert requests.post(f"{closed.address}/enrol", json=body, timeout=30).status_code == 400


def test_where_boxes_are_not_enrolled_there_is_no_such_address(box: Box):
    assert enrol(box, "x").status_code == 404


def test_the_contract_and_health_are_there_for_everybody(closed: Box):
    assert requests.get(f"{closed.url}/v1/openapi.json", timeout=30).json()["openapi"] == "3.1.0"
    assert requests.get(f"{closed.url}/healthz", timeout=30).status_code == 200


def test_codes_do_not_repeat(enrolment: Enrolment):
    assert len({enrolment.new_code(None, time.time_ns(), 1) for _number in range(50)}) == 50
