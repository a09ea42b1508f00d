"""Records and heartbeats through a real Mosquitto: what the platform did not answer is not settled."""

import secrets
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from brokers import MOSQUITTO, Balancer, Mosquitto, until
from fake_clock import BOOTED_UTC_NS, FakeClock
from oracle import RecordingLedger, delivery_problems
from scripted_platform import Answer, Platform, Request
from sender import Sender, has_each_once
from through_broker import BrokerPlatform, Listener

from instrument_agent.core.errors import (
    AgentError,
    PayloadTooLarge,
    PlatformRejected,
    PlatformUnauthorized,
    PlatformUnavailable,
)
from instrument_agent.receiver import create_app, mqtt_consumer
from instrument_agent.receiver.mqtt_consumer import MqttConsumer
from instrument_agent.uplink import mqtt
from instrument_agent.uplink.anchoring import Anchoring
from instrument_agent.uplink.broker import Message
from instrument_agent.uplink.heartbeat import Heartbeat
from instrument_agent.uplink.mqtt import MqttTransport

pytestmark = pytest.mark.skipif(
    MOSQUITTO is None, reason="Mosquitto is not installed; on Debian: apt install mosquitto"
)
STATUS = "trial/v1/boxes/box-1/status"


@pytest.fixture(scope="module")
def mosquitto() -> Iterator[Mosquitto]:
    broker = Mosquitto()
    yield broker
    broker.stop()


@pytest.fixture
def url(mosquitto: Mosquitto) -> str:
    return mosquitto.url


@pytest.fixture
def scripted(url: str, platform: Platform) -> Iterator[BrokerPlatform]:
    with BrokerPlatform(url, platform) as scripted:
        yield scripted


@pytest.fixture
def transport(url: str) -> Iterator[MqttTransport]:
    transport = MqttTransport(url, "box-1", None, None)
    yield transport
    transport.close()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[RecordingLedger]:
    with RecordingLedger(tmp_path / "platform.db") as ledger:
        yield ledger


def pulse(clock: FakeClock) -> dict[str, Any]:
    names = {"box_id": "box-1", "epoch": clock.boot_id, "boot_id": clock.boot_id, "agent_version": "0.1.0"}
    return {**names, "boottime_ms": 1000, "instruments": [], "queue": {"waiting": 0, "dead_lettered": 0}}


def test_the_platform_has_every_record_once(url: str, ledger: RecordingLedger, sender: Sender, tmp_path: Path) -> None:
    sender.write(120)
    with MqttConsumer(url, create_app(ledger, lambda: BOOTED_UTC_NS)):
        sender.start(url)
        sender.until_settled()
    assert delivery_problems(ledger, "box-1", tmp_path) == []
    assert len(ledger.keys("box-1")) > 120


def test_what_only_the_broker_acknowledged_is_not_settled(
    url: str, scripted: BrokerPlatform, platform: Platform, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "DEADLINE_S", 0.3)
    scripted.silent = lambda request: request.what == "records"
    sender.write(9)
    delivery = sender.start(url)
    sender.clock.await_waiting()
    assert delivery.contact.error == "the broker took it, but the platform does not answer"
    assert len(platform.sent("records")) == 1
    assert sender.watermark == 0
    scripted.silent = lambda _request: False
    sender.until_settled()
    assert has_each_once(platform, sender.store)


def test_what_was_stored_without_an_answer_is_sent_again_and_stored_once(
    url: str, scripted: BrokerPlatform, platform: Platform, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "DEADLINE_S", 0.3)
    lost: list[Request] = []

    def silent(request: Request) -> bool:
        if request.what == "records" and len(lost) < 2:
            lost.append(request)
        return bool(lost) and request is lost[-1]

    scripted.silent = silent
    sender.write(9)
    sender.start(url)
    sender.until_settled()
    assert len(lost) == 2
    assert has_each_once(platform, sender.store)
    assert platform.received.count((sender.store.epoch, 1)) >= 3


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, PlatformRejected),
        (401, PlatformUnauthorized),
        (403, PlatformUnauthorized),
        (404, PlatformUnavailable),
        (413, PayloadTooLarge),
        (422, PlatformRejected),
        (429, PlatformUnavailable),
        (500, PlatformUnavailable),
        (503, PlatformUnavailable),
    ],
)
@pytest.mark.usefixtures("scripted")
def test_each_status_means_what_it_means_over_https(
    platform: Platform, transport: MqttTransport, status: int, error: type[AgentError]
) -> None:
    platform.script.append(Answer(status, {"error": "because"}, {"Retry-After": "7"}))
    with pytest.raises(error, match=f"the platform answered {status}.*because") as caught:
        transport.records({"epoch": "e", "records": []})
    if isinstance(caught.value, PlatformUnavailable | PlatformUnauthorized):
        assert caught.value.retry_after_s == 7.0


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"no JSON",
        b"[]",
        b'{"status":200}',
        b'{"body":{}}',
        b'{"status":true,"body":{}}',
        b'{"status":200,"body":{"x":"' + b"x" * 1_000_000 + b'"}}',
    ],
)
@pytest.mark.usefixtures("scripted")
def test_what_is_no_answer_is_none(platform: Platform, transport: MqttTransport, answer: bytes) -> None:
    platform.always = Answer(body=answer)
    with pytest.raises(PlatformUnavailable):
        transport.watermark()


@pytest.mark.usefixtures("scripted")
def test_a_record_that_is_refused_is_set_aside_as_over_https(url: str, platform: Platform, sender: Sender) -> None:
    def refuse(request: Request) -> Answer:
        if 5 not in request.seqs:
            return platform.well_behaved(request)
        if len(request.seqs) == 1:
            platform.refuses.add(5)
        return Answer(400, {"error": "no"})

    platform.scripted, platform.always = ("records",), refuse  # type: ignore[assignment]
    sender.write(9)
    sender.start(url)
    sender.until_settled()
    assert list(sender.dead_letters()) == [5]
    assert set(platform.stored[sender.store.epoch]) == set(range(1, sender.watermark + 1)) - {5}


def test_what_is_too_large_for_a_broker_is_not_sent_to_it(transport: MqttTransport) -> None:
    noise = secrets.token_hex(mqtt.LARGEST_REQUEST + 1)  # two letters for a byte, so gzip halves it
    with pytest.raises(PayloadTooLarge):
        transport.records({"epoch": noise})
    assert transport._link is None


def test_a_broker_that_is_killed_loses_nothing_and_doubles_nothing(
    ledger: RecordingLedger, sender: Sender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "DEADLINE_S", 1.0)
    broker = Mosquitto()
    killed = threading.Event()
    store = ledger.store

    def storing(*given: Any) -> Any:
        result = store(*given)
        if not killed.is_set():
            killed.set()
            broker.kill()  # it is stored, and the answer to it is lost
        return result

    monkeypatch.setattr(ledger, "store", storing)
    try:
        sender.write(200)
        with MqttConsumer(broker.url, create_app(ledger, lambda: BOOTED_UTC_NS)):
            sender.start(broker.url)
            assert killed.wait(10)
            sender.write(50)
            broker.start()
            sender.until_settled()
    finally:
        broker.stop()
    assert delivery_problems(ledger, "box-1", tmp_path) == []


def test_a_platform_with_too_many_requests_asks_to_come_again(
    url: str, ledger: RecordingLedger, transport: MqttTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_consumer, "AT_A_TIME", 0)
    with MqttConsumer(url, create_app(ledger, lambda: BOOTED_UTC_NS)):
        with pytest.raises(PlatformUnavailable, match="429") as caught:
            transport.watermark()
        assert caught.value.retry_after_s == 5.0


def test_a_heartbeat_gets_the_platforms_time_and_its_wishes(
    url: str, ledger: RecordingLedger, clock: FakeClock, anchoring: Anchoring
) -> None:
    app = create_app(ledger, lambda: BOOTED_UTC_NS, next_heartbeat_s=90)
    with MqttConsumer(url, app):
        transport = MqttTransport(url, "box-1", None, None)
        heartbeat = Heartbeat("province", transport, clock, anchoring, 60.0, lambda: pulse(clock))
        heartbeat.start()
        clock.await_waiting()
        heartbeat.stop()
        heartbeat.join(10)
    assert (heartbeat.sent, heartbeat.error) == (1, "")
    assert 81 <= heartbeat._period_s <= 99
    assert anchoring.anchored.is_set()


@pytest.mark.usefixtures("scripted")
def test_birth_farewell_and_last_will_stand_retained_on_the_status_topic(mosquitto: Mosquitto) -> None:
    with Listener(mosquitto.url) as forgetful:
        forgetful.link.publish(Message(STATUS, b""), retain=True).wait_for_publish(10)
    with Listener(mosquitto.url, STATUS) as listener:
        transport = MqttTransport(mosquitto.url, "box-1", None, None)
        transport.heartbeat({})
        assert listener.next() == {"status": "online"}
        transport.close()
        assert listener.next() == {"status": "offline", "reason": "stopped"}
        with Balancer([mosquitto.port]) as line:
            transport = MqttTransport(line.url, "box-1", None, None)
            transport.heartbeat({})
            assert listener.next() == {"status": "online"}
        assert listener.next() == {"status": "offline", "reason": "lost"}, "the line was cut"
        with pytest.raises(PlatformUnavailable):
            transport.heartbeat({})
        transport.close()
    with Listener(mosquitto.url, STATUS) as late:
        assert late.next() == {"status": "offline", "reason": "lost"}, "it is told to those who come later"


@pytest.mark.usefixtures("scripted")
def test_a_last_will_that_is_told_too_late_is_put_right(url: str, transport: MqttTransport) -> None:
    transport.heartbeat({})
    with Listener(url, STATUS) as listener:
        assert listener.next() == {"status": "online"}
        listener.link.publish(Message(STATUS, mqtt.WILL), retain=True)
        assert listener.next() == {"status": "offline", "reason": "lost"}
        assert listener.next() == {"status": "online"}


@pytest.mark.usefixtures("scripted")
def test_a_connection_for_records_ends_when_it_is_not_used_and_the_live_one_stays(
    mosquitto: Mosquitto, transport: MqttTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "LINGER_S", 0.1)
    live = MqttTransport(mosquitto.url, "box-1", None, None)
    live.heartbeat({})
    transport.watermark()
    until(lambda: transport._link is None, lambda: "it is still there")
    assert live._link is not None
    assert live._link.alive
    assert transport.watermark().body["epochs"] == [], "it comes back"
    live.close()


def test_an_answer_to_something_else_is_none(
    url: str, platform: Platform, transport: MqttTransport, scripted: BrokerPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "DEADLINE_S", 0.3)
    transport.watermark()
    scripted.silent = lambda _request: True

    def of_the_one_before(request: Request) -> Answer:
        stale = Message(f"trial/v1/boxes/box-1/down/{transport._session}/1", b'{"status":200,"body":{"stale":1}}')
        scripted.link.publish(stale)
        return platform.well_behaved(request)

    platform.script.append(of_the_one_before)
    with pytest.raises(PlatformUnavailable, match="does not answer"):
        transport.watermark()


def test_without_paho_the_box_says_what_to_install(transport: MqttTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(PlatformUnavailable, match="MQTT is not installed") as caught:
        transport.watermark()
    assert "instrument-agent[mqtt]" in caught.value.hint


def test_a_broker_that_is_not_there_is_unavailable(sender: Sender) -> None:
    transport = MqttTransport("mqtt://127.0.0.1:1", "box-1", None, None)
    with pytest.raises(PlatformUnavailable, match="no answer from the broker: connection refused"):
        transport.watermark()
