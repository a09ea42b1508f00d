"""The database behind the instruments on a bus."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from boxes import opened
from fake_clock import FakeClock

from instrument_agent.buffer.store import Store


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[Store]:
    with opened(tmp_path, clock) as store:
        yield store
