"""``provision --from``: what the unit runs at the start of a box, as a command."""

import fcntl
import os
from pathlib import Path

import pytest
from brought import Brought
from in_process import Done, run


@pytest.fixture
def no_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without systemctl, so that the test restarts nothing on this one."""
    monkeypatch.setenv("PATH", str(tmp_path))


def provision(box: Brought) -> Done:
    return run("provision", "--from", str(box.card.folder), "--config", str(box.home.config), "--patience-s", "0")


@pytest.mark.usefixtures("no_systemd")
def test_the_verdict_is_on_the_card_and_on_the_terminal_and_the_status_says_whether_it_is_good(box: Brought) -> None:
    box.bring(box.text())
    done = provision(box)
    assert done.returncode == 1  # without systemd no agent takes the file up
    assert done.stdout == box.verdict().replace("\r\n", "\n").removeprefix("\ufeff") + "\n"
    assert "NOT COMPLETE" in done.stdout
    assert "systemctl" in done.stdout
    box.agent.start()
    done = provision(box)
    assert (done.returncode, "GOOD" in done.stdout) == (0, True)


def test_a_box_that_cannot_be_written_says_so_on_the_card(box: Brought) -> None:
    box.bring(box.text())
    box.home.config.parent.rmdir()
    done = provision(box)
    assert done.returncode == 1
    assert "cannot be written: No such file or directory" in done.stderr
    assert "REFUSED" in box.verdict()
    assert "cannot be written: No such file or directory" in box.verdict()
    assert "无法写入：没有这个文件或目录" in box.verdict()


def test_one_card_is_taken_up_after_the_other(box: Brought) -> None:
    box.bring(box.text())
    fd = os.open(box.home.config.parent, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    done = provision(box)
    os.close(fd)
    assert done.returncode == 1
    assert "another card is being taken up just now" in box.verdict()
    assert "正在取用另一张卡" in box.verdict()
    assert not box.home.config.exists()
