"""One server that carries the platform of each test in turn: stopping a server takes 0.2 s."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from wrong_platforms import Carrier

from instrument_agent.receiver import Ledger, PlatformServer


@pytest.fixture(scope="session")
def carrier() -> Iterator[Carrier]:
    carrier = Carrier()
    with PlatformServer(carrier) as server:
        carrier.url = server.url
        yield carrier


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{tmp_path / 'platform.db'}") as ledger:
        yield ledger
