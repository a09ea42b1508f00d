"""A full disk is a state, not an end."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from stored import append, opened, verified_chain

from instrument_agent.buffer.ballast import BALLAST_BYTES, BALLAST_NAME
from instrument_agent.core.errors import StoreUnavailable


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={4 * BALLAST_BYTES}", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small tmpfs cannot be mounted: this test needs root")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_the_ballast_is_given_up_and_taken_again(small_disk: Path):
    store = opened(small_disk)
    assert (small_disk / BALLAST_NAME).stat().st_size == BALLAST_BYTES
    filler = small_disk / "somebody else's file"
    room = os.statvfs(small_disk)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize)
    written = 0

    def until_full() -> None:
        nonlocal written
        for _ in range(10_000):
            append(store, written)
            written += 1

    with pytest.raises(StoreUnavailable, match="full") as caught:
        until_full()
    assert caught.value.hint
    assert not (small_disk / BALLAST_NAME).exists()
    append(store, written)
    written += 1
    filler.unlink()
    store.tend()
    assert (small_disk / BALLAST_NAME).exists()
    epoch = store.epoch
    store.close()
    numbers = [record["data"].get("number") for record in verified_chain(small_disk)[epoch]]
    assert numbers == [None, *range(written)], "all that was acknowledged, and nothing twice"
