"""The latest heartbeat of each box, and how many there were."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests
from wire_box import Box

from instrument_agent.receiver import Heartbeats, Ledger, PlatformServer, create_app


@pytest.fixture
def ordering(ledger: Ledger) -> Iterator[Box]:
    with PlatformServer(create_app(ledger, lambda: 7_000_000, next_heartbeat_s=90)) as server:
        yield Box(server.url)


def test_the_latest_is_kept_and_all_are_counted(box: Box, ledger: Ledger) -> None:
    assert ledger.heartbeats(box.box_id) == Heartbeats(0, None, None)
    for boottime_ms in (1000, 3000, 2000):
        reply = box.beat(boottime_ms=boottime_ms, temperature_c=21.5)
        assert (reply.status_code, reply.json()) == (200, {"server_time": "2026-11-22T08:00:00.123Z"})
    heard = ledger.heartbeats(box.box_id)
    assert heard.count == 3
    assert heard.latest == box.pulse(boottime_ms=2000, temperature_c=21.5)
    assert heard.received_ns == 1_795_334_400_123_456_789


def test_boxes_are_counted_apart(box: Box, ledger: Ledger) -> None:
    other = replace(box, box_id="box-2")
    box.beat()
    other.beat()
    other.beat()
    assert (ledger.heartbeats("box-1").count, ledger.heartbeats("box-2").count) == (1, 2)


def test_the_platform_sets_the_pace_in_every_reply(ordering: Box) -> None:
    assert ordering.beat().json() == {"server_time": "1970-01-01T00:00:00.007Z", "next_heartbeat_s": 90}
    assert ordering.send(ordering.chain(1)).json()["next_heartbeat_s"] == 90


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"box_id": "box-2"}, id="speaks for another box"),
        pytest.param({"epoch": "x"}, id="epoch not a uuid"),
        pytest.param({"boottime_ms": 1.5}, id="float boot clock"),
        pytest.param({"instruments": [{"instrument_id": "a", "activity": "idle", "since_ms": 1}]}, id="activity"),
        pytest.param({"instruments": [{"instrument_id": "a", "activity": "off"}]}, id="activity since nothing"),
        pytest.param({"queue": 3}, id="queue a number"),
    ],
)
def test_a_malformed_heartbeat_is_a_bad_request(box: Box, ledger: Ledger, changes: dict[str, Any]) -> None:
    reply = box.beat(**changes)
    assert reply.status_code == 400
    assert list(reply.json()) == ["error"]
    assert ledger.heartbeats(box.box_id).count == 0


@pytest.mark.parametrize(
    "member", ["box_id", "epoch", "boot_id", "boottime_ms", "agent_version", "instruments", "queue"]
)
def test_a_heartbeat_without_a_member_is_a_bad_request(box: Box, member: str) -> None:
    body = {name: value for name, value in box.pulse().items() if name != member}
    reply = requests.post(f"{box.address}/heartbeat", json=body, timeout=30)
    assert reply.status_code == 400
    assert member in reply.json()["error"]
