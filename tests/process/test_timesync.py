"""When the wall clock is evidence of UTC: only while a time server vouches for it in this boot."""

import os
from pathlib import Path

import pytest
from fake_clock import BOOTED_UTC_NS, NS, FakeClock

from instrument_agent.core.anchors import Anchor
from instrument_agent.timesync import FRESH_NS, TimeSync

YEARS_10_S = 10 * 365 * 86_400


class Wall(FakeClock):
    """A clock whose wall clock can be set, as NTP or an administrator does."""

    def __init__(self, boottime_s: float = 1000.0) -> None:
        super().__init__(boottime_s)
        self.wrong_s = 0.0

    def utc_ns(self) -> int:
        return super().utc_ns() + round(self.wrong_s * NS)


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "synchronized"


def touch(path: Path, wall: Wall) -> None:
    """Do what timesyncd does after an exchange with its time server."""
    path.touch()
    os.utime(path, ns=(wall.utc_ns(), wall.utc_ns()))


def test_a_wall_clock_nobody_vouches_for_is_no_sight(wall: Wall, file: Path):
    assert TimeSync(wall, file).sight() is None


def test_a_synchronized_wall_clock_is_true_to_a_second(wall: Wall, file: Path):
    sync = TimeSync(wall, file)
    touch(file, wall)
    wall.advance(30)
    assert sync.sight() == Anchor(wall.boot_id, 1030 * NS, BOOTED_UTC_NS + 1030 * NS, NS, "ntp")


def test_a_box_that_starts_in_1970_and_jumps_once_is_seen_only_after_the_jump(wall: Wall, file: Path):
    wall.wrong_s = -BOOTED_UTC_NS / NS
    sync = TimeSync(wall, file)
    for _ in range(10):
        assert sync.sight() is None
        wall.advance(60)
    wall.wrong_s = 0.0  # timesyncd sets the clock, then touches its file
    assert sync.sight() is None
    touch(file, wall)
    sight = sync.sight()
    assert sight is not None
    assert sight.utc_ns - sight.boottime_ns == BOOTED_UTC_NS


@pytest.mark.parametrize("step_s", [-YEARS_10_S, -3600, -1, 1, 3600, YEARS_10_S])
def test_a_wall_clock_that_was_set_afterwards_is_no_sight_until_the_next_exchange(wall: Wall, file: Path, step_s):
    sync = TimeSync(wall, file)
    touch(file, wall)
    assert sync.sight() is not None
    wall.advance(60)
    wall.wrong_s = step_s
    assert sync.sight() is None
    wall.advance(60)
    assert sync.sight() is None
    touch(file, wall)
    assert sync.sight() is not None


@pytest.mark.parametrize("step_s", [-YEARS_10_S, -3600, 3600, YEARS_10_S])
def test_an_exchange_before_the_jump_does_not_count_for_an_agent_started_after_it(wall: Wall, file: Path, step_s):
    touch(file, wall)
    wall.advance(60)
    wall.wrong_s = step_s
    assert TimeSync(wall, file).sight() is None


def test_an_exchange_long_ago_vouches_for_nothing(wall: Wall, file: Path):
    wall.advance(10 * 3600)
    sync = TimeSync(wall, file)
    touch(file, wall)
    wall.advance(FRESH_NS / NS)
    assert sync.sight() is not None
    wall.advance(1)
    assert sync.sight() is None


def test_a_file_that_seems_older_than_the_boot_vouches_for_nothing(file: Path):
    wall = Wall(boottime_s=100.0)
    touch(file, wall)
    os.utime(file, ns=(wall.utc_ns() - 101 * NS, wall.utc_ns() - 101 * NS))
    assert TimeSync(wall, file).sight() is None
