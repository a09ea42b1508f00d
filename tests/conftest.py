"""What the tests of every room may want."""

import os

# The tests read English sentences, whatever language the developer's terminal speaks; set before our own imports.
os.environ["LANGUAGE"] = "C"

from collections.abc import Iterator

import pytest
from fake_clock import FakeClock
from hypothesis import HealthCheck, settings

from instrument_agent.worker import Worker

# How fast examples are made says something about the machine and nothing about the product.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def started() -> Iterator[list[Worker]]:
    """Loops on their threads, put in by who starts one, which end with the test."""
    loops: list[Worker] = []
    yield loops
    for loop in loops:
        loop.stop()
        loop.join(10)
        assert not loop.is_alive()
