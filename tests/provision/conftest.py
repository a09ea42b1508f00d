from collections.abc import Iterator
from pathlib import Path

import pytest
from brought import Brought


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Brought]:
    with Brought(tmp_path) as box:
        yield box
