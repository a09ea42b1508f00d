from collections.abc import Iterator
from pathlib import Path

import pytest
from stored import opened

from instrument_agent.buffer.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with_epoch = opened(tmp_path)
    yield with_epoch
    with_epoch.close()
