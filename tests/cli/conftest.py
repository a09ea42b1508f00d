"""A box that is ready to be commissioned."""

from pathlib import Path

import pytest
from walked_box import PHASES, WalkedBox


@pytest.fixture
def walked(tmp_path: Path) -> WalkedBox:
    return WalkedBox(tmp_path, PHASES)
