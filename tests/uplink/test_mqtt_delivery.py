"""Records through a real Mosquitto: what the platform did not answer is not settled, and each arrives once."""

import threading
from pathlib import Path
from typing import Any

import pytest
from brokers import MOSQUITTO, Mosquitto
from fake_clock import BOOTED_UTC_NS
from oracle import RecordingLedger, delivery_problems
from scripted_platform import Answer, Platform, Request
from sender import Sender, has_each_once
from through_broker import BrokerPlatform

from instrument_agent.receiver import create_app
from instrument_agent.receiver.mqtt_consumer import MqttConsumer
from instrument_agent.uplink import mqtt


def test_the_platform_has_every_record_once(
    mosquitto: Mosquitto, ledger: RecordingLedger, sender: Sender, tmp_path: Path
) -> None:
    sender.write(120)
    with MqttConsumer(mosquitto.url, create_app(ledger, lambda: BOOTED_UTC_NS)):
        sender.start(mosquitto.url)
        sender.until_settled()
    assert delivery_problems(ledger, "box-1", tmp_path) == []
    assert len(ledger.keys("box-1")) > 120


def test_what_only_the_broker_acknowledged_is_not_settled(
    mosquitto: Mosquitto, scripted: BrokerPlatform, platform: Platform, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "DEADLINE_S", 0.3)
    scripted.silent = lambda request: request.what == "records"
    sender.write(9)
    delivery = sender.start(mosquitto.url)
    sender.clock.await_waiting()
    assert delivery.contact.error == "the broker took it, but the platform does not answer"
    assert len(platform.sent("records")) == 1
    assert sender.watermark == 0
    scripted.silent = lambda _request: False
    sender.until_settled()
    assert has_each_once(platform, sender.store)


def test_what_was_stored_without_an_answer_is_sent_again_and_stored_once(
    mosquitto: Mosquitto, scripted: BrokerPlatform, platform: Platform, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "DEADLINE_S", 0.3)
    lost: list[Request] = []

    def silent(request: Request) -> bool:
        if request.what == "records" and len(lost) < 2:
            lost.append(request)
        return bool(lost) and request is lost[-1]

    scripted.silent = silent
    sender.write(9)
    sender.start(mosquitto.url)
    sender.until_settled()
    assert len(lost) == 2
    assert has_each_once(platform, sender.store)
    assert platform.received.count((sender.store.epoch, 1)) >= 3


@pytest.mark.usefixtures("scripted")
def test_a_record_that_is_refused_is_set_aside_as_over_https(
    mosquitto: Mosquitto, platform: Platform, sender: Sender
) -> None:
    def refuse(request: Request) -> Answer:
        if 5 not in request.seqs:
            return platform.well_behaved(request)
        if len(request.seqs) == 1:
            platform.refuses.add(5)
        return Answer(400, {"error": "no"})

    platform.scripted, platform.always = ("records",), refuse  # type: ignore[assignment]
    sender.write(9)
    sender.start(mosquitto.url)
    sender.until_settled()
    assert list(sender.dead_letters()) == [5]
    assert set(platform.stored[sender.store.epoch]) == set(range(1, sender.watermark + 1)) - {5}


@pytest.mark.skipif(MOSQUITTO is None, reason="Mosquitto is not installed; on Debian: apt install mosquitto")
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
            broker.kill()  # it is stored, and the answer to it is lost
            killed.set()  # not before: who hears of it starts the broker anew
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
