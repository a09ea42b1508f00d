"""What the tests of every room may want."""

import os

# The tests read English sentences, whatever language the developer's terminal speaks; set before our own imports.
os.environ["LANGUAGE"] = "C"

import pytest
from fake_clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()
