"""A platform on a real socket with a real database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import told_facts
from postgres_cluster import BINARIES, Cluster
from served_platform import Stage
from wire_box import Box

from instrument_agent.receiver import Ledger, PlatformServer, create_app
from instrument_agent.receiver.page import Page

NOW_NS = 1_795_334_400_123_456_789  # 2026-11-22T08:00:00.123Z


@pytest.fixture(scope="session")
def stage() -> Iterator[tuple[Stage, str]]:
    stage = Stage()
    with PlatformServer(stage) as server:
        yield stage, server.url


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{tmp_path / 'platform.db'}") as ledger:
        yield ledger


@pytest.fixture
def url(ledger: Ledger, stage: tuple[Stage, str]) -> str:
    platform, url = stage
    platform.app = create_app(ledger, lambda: NOW_NS)
    return url


@pytest.fixture
def box(url: str) -> Box:
    return Box(url)


@pytest.fixture
def shown(ledger: Ledger, stage: tuple[Stage, str]) -> Box:
    platform, url = stage
    platform.app = create_app(ledger, lambda: told_facts.NOW_NS, page=Page(ledger, lambda: told_facts.NOW_NS))
    return Box(url)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    if not BINARIES:
        pytest.skip("PostgreSQL is not installed; on Debian: apt install postgresql")
    pytest.importorskip("psycopg", reason="the extra postgres is not installed")
    cluster = Cluster()
    yield cluster
    cluster.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'either.db'}"
    return request.getfixturevalue("cluster").new_database()
