"""A platform that can be told to misbehave, and a log to deliver to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_clock import FakeClock
from scripted_platform import Platform
from sender import LIMIT, Sender

from instrument_agent.buffer.store import Start, Store
from instrument_agent.core.readings import NS_PER_S
from instrument_agent.uplink.anchoring import Anchoring


@pytest.fixture
def platform(clock: FakeClock) -> Iterator[Platform]:
    began_ns = clock.boottime_ns()
    with Platform(lambda: (clock.boottime_ns() - began_ns) / NS_PER_S) as platform:
        yield platform


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
