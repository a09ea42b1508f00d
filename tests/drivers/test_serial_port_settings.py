"""A port that does not take its settings is not read with others."""

import os
import tty
from collections.abc import Iterator

import pytest

from instrument_agent.core.errors import DeviceUnavailable
from instrument_agent.drivers.serial_port import open_port


@pytest.fixture
def pty() -> Iterator[str]:
    """A port that knows no parity: the kernel drops it without a word when the baud rate changes as well."""
    near, far = os.openpty()
    tty.setraw(far)
    yield os.ttyname(far)
    os.close(near)
    os.close(far)


@pytest.mark.parametrize("parity", ["E", "O"])
def test_a_parity_that_is_dropped_without_a_word_is_an_error_and_the_port_is_free_again(pty: str, parity: str) -> None:
    with pytest.raises(DeviceUnavailable, match=f"does not know parity {parity}") as caught:
        open_port(pty, 9600, parity, 1)
    assert "other settings" in caught.value.hint
    open_port(pty, 9600, "N", 1).close()


def test_a_parity_that_the_system_refuses_is_told_with_the_same_hint(pty: str) -> None:
    open_port(pty, 9600, "N", 1).close()
    with pytest.raises(DeviceUnavailable) as caught:
        open_port(pty, 9600, "E", 1)
    assert "other settings" in caught.value.hint
