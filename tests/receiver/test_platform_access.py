"""Who is let in, and what they learn when something breaks."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import requests
from wire_box import Box

from instrument_agent.receiver import Ledger, PlatformServer, create_app

TOKEN = "s3cret-密"


@pytest.fixture
def guarded(ledger: Ledger, stage: tuple[Any, str]) -> Box:
    platform, url = stage
    platform.app = create_app(ledger, lambda: 0, token=TOKEN)
    return Box(url)


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Bearer {TOKEN}x", f"Bearer  {TOKEN}", TOKEN, f"Basic {TOKEN}"],
)
def test_without_the_token_nothing_is_answered_and_nothing_is_stored(
    guarded: Box, ledger: Ledger, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization.encode()}
    body = guarded.envelope(guarded.chain(1))
    for reply in (
        requests.post(f"{guarded.address}/records", json=body, headers=headers, timeout=30),
        requests.post(f"{guarded.address}/heartbeat", json=guarded.pulse(), headers=headers, timeout=30),
        requests.get(f"{guarded.address}/watermark", headers=headers, timeout=30),
        requests.get(f"{guarded.url}/healthz", headers=headers, timeout=30),
    ):
        assert (reply.status_code, reply.json()) == (401, {"error": "unauthorized"})
        assert reply.headers["WWW-Authenticate"] == "Bearer"
    assert ledger.records() == []
    assert ledger.heartbeats(guarded.box_id).count == 0


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_with_the_token_records_are_stored(guarded: Box, scheme: str) -> None:
    reply = requests.post(
        f"{guarded.address}/records",
        json=guarded.envelope(guarded.chain(2)),
        headers={"Authorization": f"{scheme} {TOKEN}".encode()},
        timeout=30,
    )
    assert (reply.status_code, reply.json()["acked_through"]) == (200, 2)


def test_unauthorized_is_heard_by_a_sender_that_is_still_sending(guarded: Box) -> None:
    reply = requests.post(f"{guarded.address}/records", data=bytes(16 * 1024 * 1024), timeout=30)
    assert reply.status_code == 401


def test_an_empty_token_is_refused(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="token is empty"):
        create_app(ledger, lambda: 0, token="")


def test_a_ledger_that_fails_asks_the_box_to_come_again(box: Box, ledger: Ledger, tmp_path: Path) -> None:
    box.send(box.chain(1))
    with sqlite3.connect(tmp_path / "platform.db") as other:
        other.execute("ALTER TABLE records RENAME TO lost")
    other.close()
    reply = box.send(box.chain(2))
    assert (reply.status_code, reply.json()) == (503, {"error": "the ledger is not available now"})
    with sqlite3.connect(tmp_path / "platform.db") as other:
        other.execute("ALTER TABLE lost RENAME TO records")
    other.close()
    assert box.send(box.chain(2)).json()["acked_through"] == 2
    assert len(ledger.records()) == 2


def test_a_bug_shows_nothing_of_the_inside(ledger: Ledger) -> None:
    def broken_clock() -> int:
        raise RuntimeError("inside")

    with PlatformServer(create_app(ledger, broken_clock)) as server:
        box = Box(server.url)
        reply = box.send(box.chain(1))
    assert (reply.status_code, reply.json()) == (500, {"error": "internal error"})
