"""A full disk is a state, not an end."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from damage import filled
from stored import append, opened, verified_chain

from instrument_agent.buffer.ballast import BALLAST_BYTES, BALLAST_NAME
from instrument_agent.buffer.quarantine import SALVAGE_DIR, open_books
from instrument_agent.buffer.reader import FILE_NAME
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


def test_a_damaged_database_for_whose_salvage_there_is_no_room_stays_and_is_set_aside_once_there_is(small_disk: Path):
    state_dir = small_disk / "box"
    filled(state_dir).close()
    path = state_dir / FILE_NAME
    flip_first(path, b'"end_ms":')
    before = path.read_bytes()
    filler, room = small_disk / "somebody else's file", os.statvfs(small_disk)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize - len(before))
    with pytest.raises(StoreUnavailable, match="cannot be set aside") as caught:
        open_books(state_dir, "box-1", 0)
    assert "make room on the card, three times" in caught.value.hint
    assert path.read_bytes() == before
    assert not (state_dir / BALLAST_NAME).exists()
    assert not (state_dir / SALVAGE_DIR).exists()
    open_books(state_dir, "box-1", 0).close()
    assert [item.read_bytes() for item in state_dir.glob("*.damaged-*-1")] == [before], "the ballast was room enough"


def flip_first(path: Path, text: bytes) -> None:
    raw = bytearray(path.read_bytes())
    raw[raw.index(text) + len(text)] ^= 1
    path.write_bytes(raw)
