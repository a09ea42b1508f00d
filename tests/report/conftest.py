"""Boxes that hand over files, and who takes them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from reported_box import DESTINATION, Institute, ReportedBox


@pytest.fixture
def box(tmp_path: Path) -> Iterator[ReportedBox]:
    """A box with all of October in its log."""
    box = ReportedBox(tmp_path / "box", destinations=DESTINATION)
    box.live(31)
    yield box
    box.store.close()


@pytest.fixture
def institute(tmp_path: Path) -> Iterator[Institute]:
    institute = Institute(tmp_path)
    yield institute
    institute.close()


@pytest.fixture
def enrolled(box: ReportedBox, institute: Institute) -> ReportedBox:
    """A box that is known at the platform."""
    institute.enrol(box)
    return box
