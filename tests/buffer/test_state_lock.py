"""One agent per state directory."""

import subprocess
import sys
from pathlib import Path

import pytest

from instrument_agent.buffer.lock import StateLock
from instrument_agent.core.errors import StoreUnavailable

TAKE = """
import sys
from pathlib import Path
from instrument_agent.buffer.lock import StateLock
from instrument_agent.core.errors import StoreUnavailable
try:
    StateLock(Path(sys.argv[1]))
except StoreUnavailable as error:
    sys.exit(f"{error}. {error.hint}")
print("taken", flush=True)
sys.stdin.read()
"""


def test_a_second_lock_of_the_same_process_is_refused(tmp_path: Path):
    lock = StateLock(tmp_path)
    with pytest.raises(StoreUnavailable, match="another agent") as caught:
        StateLock(tmp_path)
    assert "stop" in caught.value.hint
    lock.release()


def test_a_lock_that_was_released_can_be_taken(tmp_path: Path):
    StateLock(tmp_path).release()
    StateLock(tmp_path).release()


def test_another_process_is_refused(tmp_path: Path):
    lock = StateLock(tmp_path)
    other = subprocess.run(
        [sys.executable, "-c", TAKE, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    lock.release()
    assert other.returncode == 1
    assert "another agent already works in" in other.stderr


def test_a_process_that_was_killed_leaves_no_lock(tmp_path: Path):
    with subprocess.Popen(
        [sys.executable, "-c", TAKE, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "taken\n"
        with pytest.raises(StoreUnavailable):
            StateLock(tmp_path)
        holder.kill()
        holder.wait()
    StateLock(tmp_path).release()


def test_the_directory_is_made(tmp_path: Path):
    StateLock(tmp_path / "a" / "b").release()
    assert (tmp_path / "a" / "b" / "lock").is_file()


def test_a_place_that_cannot_be_a_directory_is_an_error_of_the_store(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match="cannot be used") as caught:
        StateLock(tmp_path / "file" / "state")
    assert caught.value.hint
