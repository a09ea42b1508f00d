"""Single requests through a real Mosquitto: what each answer means, and what the broker is told of the connection."""

import secrets
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from brokers import Balancer, Mosquitto, until
from fake_clock import BOOTED_UTC_NS, FakeClock
from oracle import RecordingLedger
from scripted_platform import Answer, Platform, Request
from sender import Sender
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

STATUS = "trial/v1/boxes/box-1/status"


@pytest.fixture
def transport(mosquitto: Mosquitto) -> Iterator[MqttTransport]:
    transport = MqttTransport(mosquitto.url, "box-1", None, None)
    yield transport
    transport.close()


def pulse(clock: FakeClock) -> dict[str, Any]:
    names = {"box_id": "box-1", "epoch": clock.boot_id, "boot_id": clock.boot_id, "agent_version": "0.1.0"}
    return {**names, "boottime_ms": 1000, "instruments": [], "queue": {"waiting": 0, "dead_lettered": 0}}


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


def test_what_is_too_large_for_a_broker_is_not_sent_to_it(transport: MqttTransport) -> None:
    noise = secrets.token_hex(mqtt.LARGEST_REQUEST + 1)  # two letters for a byte, so gzip halves it
    with pytest.raises(PayloadTooLarge):
        transport.records({"epoch": noise})
    assert transport._link is None


def test_a_platform_with_too_many_requests_asks_to_come_again(
    mosquitto: Mosquitto, ledger: RecordingLedger, transport: MqttTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_consumer, "AT_A_TIME", 0)
    with MqttConsumer(mosquitto.url, create_app(ledger, lambda: BOOTED_UTC_NS)):
        with pytest.raises(PlatformUnavailable, match="429") as caught:
            transport.watermark()
        assert caught.value.retry_after_s == 5.0


def test_a_heartbeat_gets_the_platforms_time_and_its_wishes(
    mosquitto: Mosquitto, ledger: RecordingLedger, clock: FakeClock, anchoring: Anchoring
) -> None:
    app = create_app(ledger, lambda: BOOTED_UTC_NS, next_heartbeat_s=90)
    with MqttConsumer(mosquitto.url, app):
        transport = MqttTransport(mosquitto.url, "box-1", None, None)
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
def test_a_last_will_that_is_told_too_late_is_put_right(mosquitto: Mosquitto, transport: MqttTransport) -> None:
    transport.heartbeat({})
    with Listener(mosquitto.url, STATUS) as listener:
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
    mosquitto: Mosquitto,
    platform: Platform,
    transport: MqttTransport,
    scripted: BrokerPlatform,
    monkeypatch: pytest.MonkeyPatch,
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
