"""What the commands say to somebody who may not, and that who may look need not be root."""

import grp
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_box import AS_ANYBODY, SmallBox

pytestmark = pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv of util-linux")


@pytest.fixture
def box(tmp_path: Path) -> Iterator[SmallBox]:
    box = SmallBox(tmp_path)
    yield box
    box.kill()


def shared(path: Path) -> str:
    """Give a file to a group, as far as this user can, and return the group's name."""
    if os.geteuid() == 0:
        os.chown(path, -1, grp.getgrnam("daemon").gr_gid)
    return path.group()


def test_who_may_not_ask_a_running_agent_is_not_told_that_none_runs(box: SmallBox):
    box.start()
    control = box.folder / "run" / "control.sock"
    group = shared(control)
    control.chmod(0)
    done = box.command("status", prefix=AS_ANYBODY)
    assert (done.returncode, done.stdout) == (1, "")
    assert "an agent may be running, but this user may not ask it" in done.stderr
    assert "no agent is running" not in done.stderr
    assert f"sudo usermod -aG {group} " in done.stderr


@pytest.mark.parametrize("command", ["status", "sessions"])
def test_who_may_not_read_the_database_is_told_of_sudo_and_the_group_and_not_of_free_space(box: SmallBox, command: str):
    box.start()
    box.stop()
    group = shared(box.database)
    box.database.chmod(0)
    done = box.command(command, prefix=AS_ANYBODY)
    assert (done.returncode, done.stdout) == (1, "")
    assert str(box.database) in done.stderr
    assert "use sudo" in done.stderr
    assert f"sudo usermod -aG {group} " in done.stderr
    assert "free space" not in done.stderr


@pytest.mark.parametrize("command", ["status", "sessions"])
def test_after_a_clean_stop_who_may_only_read_can_look(box: SmallBox, command: str):
    box.start()
    box.stop()
    box.database.chmod(0o440)
    box.database.parent.chmod(0o550)
    done = box.command(command, prefix=AS_ANYBODY)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in box.database.parent.glob("buffer.db*")) == ["buffer.db"]


@pytest.mark.parametrize("command", ["check", "run", "sessions", "status"])
def test_a_config_file_that_may_not_be_read_is_told_in_our_own_words(box: SmallBox, command: str):
    box.config_path.chmod(0)
    done = box.command(command, prefix=AS_ANYBODY)
    assert (done.returncode, done.stdout) == (78, "")
    assert f"{box.config_path}: no permission to read it (try with sudo" in done.stderr


@pytest.mark.parametrize("command", ["doctor", "support-bundle"])
def test_who_may_not_read_the_keys_of_the_box_has_all_else_judged(box: SmallBox, command: str):
    box.config_path.write_text(
        box.config_path.read_text() + '[[destination]]\nname = "province"\nurl = "http://127.0.0.1:9"\n'
    )
    keys = box.folder / "state" / "keys"
    keys.mkdir(parents=True)
    keys.chmod(0)
    done = box.command(command, *(["--json"] if command == "doctor" else ["--out", "/dev/null"]), prefix=AS_ANYBODY)
    keys.chmod(0o700)
    assert "Traceback" not in done.stderr
    if command == "doctor":
        by = {item["check"]: item for item in json.loads(done.stdout)["verdicts"]}
        assert (by["platform"]["grade"], by["platform"]["advice"]) == ("not_applicable", "use sudo")
        assert by["credential"]["grade"] == "not_applicable"


def test_a_serial_port_that_may_not_be_opened_names_its_group_and_how_to_join_it(tmp_path: Path):
    ours, theirs = os.openpty()
    port = Path(os.ttyname(theirs))
    group = shared(port)
    port.chmod(0o060)  # the group may, the owner may not
    box = SmallBox(tmp_path, f'name = "modbus"\nport = "{port}"')
    try:
        box.start(prefix=AS_ANYBODY)
        driver = box.until(lambda found: found["instruments"][0]["driver"]["error"])["instruments"][0]["driver"]
    finally:
        box.kill()
        os.close(ours)
        os.close(theirs)
    assert "Permission denied" in driver["error"]
    assert f"sudo usermod -aG {group} " in driver["hint"]
