"""Platforms and brokers that can be told to misbehave, and a log to deliver to them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from brokers import MOSQUITTO, Mosquitto
from certificates import Authority
from fake_clock import FakeClock
from institute import Institute
from oracle import RecordingLedger
from scripted_platform import Platform
from sender import LIMIT, Sender
from served_platform import Stage
from through_broker import BrokerPlatform

from instrument_agent.buffer.store import Start, Store
from instrument_agent.core.readings import NS_PER_S
from instrument_agent.receiver import PlatformServer
from instrument_agent.uplink.anchoring import Anchoring
from instrument_agent.uplink.enrolled import Enrolled, KeyFile
from instrument_agent.uplink.enrolling import enrol
from instrument_agent.uplink.http import HttpTransport


@pytest.fixture
def platform(clock: FakeClock) -> Iterator[Platform]:
    began_ns = clock.boottime_ns()
    with Platform(lambda: (clock.boottime_ns() - began_ns) / NS_PER_S) as platform:
        yield platform


@pytest.fixture
def over_http(platform: Platform) -> Iterator[HttpTransport]:
    transport = HttpTransport(platform.url, "box-1", None, None)
    yield transport
    transport.close()


@pytest.fixture(scope="module")
def mosquitto() -> Iterator[Mosquitto]:
    if MOSQUITTO is None:
        pytest.skip("Mosquitto is not installed; on Debian: apt install mosquitto")
    broker = Mosquitto()
    yield broker
    broker.stop()


@pytest.fixture
def scripted(mosquitto: Mosquitto, platform: Platform) -> Iterator[BrokerPlatform]:
    """The scripted platform, answering through the broker."""
    with BrokerPlatform(mosquitto.url, platform) as scripted:
        yield scripted


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[RecordingLedger]:
    with RecordingLedger(tmp_path / "platform.db") as ledger:
        yield ledger


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("province"), "province")


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[Store]:
    store = Store(tmp_path, "box-1")
    store._connection.execute("pragma busy_timeout=20")
    store.begin_epoch(Start(clock.boot_id, clock.boottime_ns(), "0.1.0", "0" * 64))
    yield store
    store.close()


@pytest.fixture
def anchoring(store: Store, clock: FakeClock) -> Anchoring:
    return Anchoring(store, clock)


@pytest.fixture
def sender(store: Store, clock: FakeClock, anchoring: Anchoring) -> Iterator[Sender]:
    sender = Sender(store, clock, anchoring, LIMIT)
    yield sender
    sender.stop()


@pytest.fixture(scope="session")
def stage() -> Iterator[tuple[Stage, PlatformServer]]:
    stage = Stage()
    with PlatformServer(stage) as server:
        yield stage, server


@pytest.fixture
def institute(tmp_path: Path, stage: tuple[Stage, PlatformServer]) -> Iterator[Institute]:
    found = Institute(tmp_path, *stage)
    with found.ledger:
        yield found
    found.enrolment.close()


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path, "province")


@pytest.fixture
def to(institute: Institute, keys: KeyFile) -> Iterator[HttpTransport]:
    transport = HttpTransport(institute.server.url, "box-1", None, None, keys)
    yield transport
    transport.close()


@pytest.fixture
def given(institute: Institute, sender: Sender, keys: KeyFile, to: HttpTransport) -> Enrolled:
    """What the institute gave the box of ``sender`` when it enrolled."""
    sender.keys = keys
    return enrol(keys, to, institute.code())
