"""A card that can fail: a small ext4 file system of its own, on a loop device."""

import fcntl
import os
import shutil
import struct
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

SHUTDOWN = 0x8004587D
"""EXT4_IOC_SHUTDOWN of linux/ext4.h, _IOR('X', 125, __u32); 2 is EXT4_GOING_FLAGS_NOLOGFLUSH."""
SIZE_MB = 32


class Card:
    """The file system at ``path``."""

    def __init__(self, folder: Path, path: Path) -> None:
        self.path = path
        self._image = folder / "card.img"
        self._filler = path / "somebody else's file"
        if os.geteuid() or not shutil.which("mkfs.ext4"):
            pytest.skip("an ext4 image is to be mounted on a loop device: this test needs root and mkfs.ext4")
        path.mkdir()
        with self._image.open("wb") as file:
            file.truncate(SIZE_MB * 1024 * 1024)
        made = subprocess.run(["mkfs.ext4", "-q", "-F", self._image], capture_output=True, check=False)
        if made.returncode or self._mount().returncode:
            pytest.skip("an ext4 image cannot be mounted on a loop device here")

    def fill(self) -> None:
        """Take all the room there is."""
        with self._filler.open("ab") as file:
            for size in (65536, 4096):
                with suppress(OSError):
                    while True:
                        os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, size)

    def free(self) -> None:
        """Give it back."""
        self._filler.unlink()

    def fail_with_eio(self) -> None:
        """Have every later read and write of the disk fail, as when it is pulled out."""
        fd = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", 2))
        finally:
            os.close(fd)

    def give_up(self) -> None:
        """Have ext4 meet an error in its own structures, upon which it goes read-only."""
        (device,) = [
            line.split()[0]
            for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
            if line.split()[1] == str(self.path)
        ]
        trigger = Path("/sys/fs/ext4", Path(device).name, "trigger_fs_error")
        if not trigger.exists():
            pytest.skip("this kernel cannot trigger an error of ext4")
        trigger.write_text("a test", encoding="ascii")

    def remount(self, how: str) -> None:
        """Mount it read-only (ro) or for writing (rw) without taking it away."""
        subprocess.run(["mount", "-o", f"remount,{how}", self.path], check=True, capture_output=True)

    def put_in_again(self) -> None:
        """Take the card out, have it checked and put it in again."""
        self.take_out()
        subprocess.run(["fsck.ext4", "-p", "-f", self._image], check=False, capture_output=True)
        assert self._mount().returncode == 0

    def take_out(self) -> None:
        subprocess.run(["umount", "-l", self.path], check=False, capture_output=True)

    def _mount(self) -> "subprocess.CompletedProcess[bytes]":
        options = "loop,errors=remount-ro"
        return subprocess.run(["mount", "-o", options, self._image, self.path], capture_output=True, check=False)
