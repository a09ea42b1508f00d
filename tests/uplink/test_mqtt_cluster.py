"""Records through a NATS cluster of three nodes, each killed once under load: nothing is lost, nothing is doubled."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from brokers import NATS, Balancer, NatsCluster
from fake_clock import BOOTED_UTC_NS
from oracle import RecordingLedger, delivery_problems
from sender import Sender

from instrument_agent.core.errors import AgentError
from instrument_agent.receiver import create_app
from instrument_agent.receiver.mqtt_consumer import MqttConsumer
from instrument_agent.uplink import mqtt
from instrument_agent.uplink.broker import Link, broker_at

pytestmark = [
    pytest.mark.skipif(NATS is None, reason="NATS is not installed; on Debian: apt install nats-server"),
    pytest.mark.skipif("KILLS" not in os.environ, reason="takes half a minute; make faults runs it"),
]
LOAD = 1000


@pytest.fixture
def cluster() -> Iterator[NatsCluster]:
    cluster = NatsCluster()
    try:
        cluster.ready(serves)
        yield cluster
    finally:
        cluster.stop()


def serves(port: int) -> bool:
    """Say whether a node lets a client in, which it does once the cluster has a quorum."""
    link = Link(broker_at(f"mqtt://127.0.0.1:{port}"), f"asks-{port}", None, lambda *_told: None, lambda: None)
    with suppress(AgentError):
        link.open(["trial/nothing"])
        link.close()
        return True
    return False


def test_a_node_that_is_killed_under_load_loses_nothing_and_doubles_nothing(
    cluster: NatsCluster, sender: Sender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "DEADLINE_S", 3.0)
    stored: list[int] = []
    with RecordingLedger(tmp_path / "platform.db") as ledger, Balancer(cluster.mqtt_ports) as line:
        store = ledger.store

        def storing(*given: Any) -> Any:
            result = store(*given)
            stored.append(len(result.rejected))
            if len(stored) == 5:
                cluster.nodes[0].kill()  # both ends are connected to it, and the answer is not told yet
            return result

        monkeypatch.setattr(ledger, "store", storing)
        sender.write(LOAD)
        with MqttConsumer(line.url, create_app(ledger, lambda: BOOTED_UTC_NS)):
            sender.start(line.url)
            sender.until_settled()
        assert delivery_problems(ledger, "box-1", tmp_path) == []
        assert len(stored) > LOAD // 50
