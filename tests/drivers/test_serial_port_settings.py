"""A port that does not take its settings is not read with others; one that may not be opened says who may."""

import errno
import getpass
import os
import shutil
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

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


@pytest.mark.parametrize(
    ("user", "mode", "hint"),
    [
        ("instrument-agent", 0o660, "70-instrument-agent.rules, has not seen it: sudo udevadm trigger"),
        ("alice", 0o660, "sudo usermod -aG {group} alice"),
        ("alice", 0o600, "no group may use it, unless a udev rule such as 70-instrument-agent.rules says so"),
    ],
)
def test_who_may_not_open_a_port_is_told_the_group_or_the_rule_that_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, user: str, mode: int, hint: str
) -> None:
    port = tmp_path / "ttyUSB0"
    port.touch()
    port.chmod(mode)
    if port.group() == "root":
        shutil.chown(port, group="tty")

    def refuse(_port: serial.Serial) -> None:
        raise serial.SerialException(errno.EACCES, "Permission denied")

    monkeypatch.setattr(serial.Serial, "open", refuse)
    monkeypatch.setattr(getpass, "getuser", lambda: user)
    with pytest.raises(DeviceUnavailable) as caught:
        open_port(str(port), 9600, "N", 1)
    assert hint.format(group=port.group()) in caught.value.hint


def test_a_port_the_service_was_not_let_at_asks_for_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_port: serial.Serial) -> None:
        raise serial.SerialException(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(serial.Serial, "open", refuse)
    with pytest.raises(DeviceUnavailable) as caught:
        open_port("/dev/ttyUSB0", 9600, "N", 1)
    assert "systemctl restart" in caught.value.hint
