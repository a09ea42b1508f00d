"""Files through which somebody else could steer or hang the agent are refused, with a sentence that says what to do."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from instrument_agent.buffer.lock import StateLock
from instrument_agent.config import InvalidConfig, load_config
from instrument_agent.control import ControlServer
from instrument_agent.core.errors import AgentError, PlatformUnauthorized, StoreUnavailable
from instrument_agent.rights import UnsafeFile, open_ordinary
from instrument_agent.uplink.enrolled import KeyFile
from instrument_agent.uplink.http import HttpTransport

NOBODY = 65534
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to somebody else")


def pipe(path: Path) -> None:
    os.mkfifo(path, 0o600)


def world_writable(path: Path) -> None:
    path.write_text("content")
    path.chmod(0o666)


def link(path: Path) -> None:
    target = path.with_name("target")
    target.write_text("content")
    path.symlink_to(target)


def link_of_somebody(path: Path) -> None:
    link(path)
    os.lchown(path, NOBODY, NOBODY)


KINDS = [
    (pipe, "this is no ordinary file", "put an ordinary file there"),
    (world_writable, "anybody on this machine may change it", "sudo chmod o-w"),
    pytest.param(link_of_somebody, "a link that somebody else made", "put the file itself there", marks=only_root),
]


@pytest.mark.parametrize(("made", "said", "todo"), KINDS)
def test_such_a_config_file_is_refused(tmp_path: Path, made: Callable[[Path], None], said: str, todo: str) -> None:
    made(tmp_path / "config.toml")
    with pytest.raises(InvalidConfig, match=re.escape(said)) as caught:
        load_config(tmp_path / "config.toml")
    assert todo in str(caught.value)


@pytest.mark.parametrize(("made", "said", "todo"), KINDS)
def test_such_a_token_is_not_sent(tmp_path: Path, made: Callable[[Path], None], said: str, todo: str) -> None:
    made(tmp_path / "token")
    transport = HttpTransport("http://127.0.0.1:1", "box-1", tmp_path / "token", None)
    with pytest.raises(PlatformUnauthorized, match=re.escape(said)) as caught:
        transport.watermark()
    transport.close()
    assert todo in caught.value.hint


@pytest.mark.parametrize("name", ["lock", "buffer.db", "buffer.db-wal", "head.json", "ballast", "stopped"])
@pytest.mark.parametrize(
    ("made", "said"),
    [(pipe, "no ordinary file"), (world_writable, "may change it"), (link, "this is a link")],
)
def test_such_a_file_among_the_agents_own_is_refused(
    tmp_path: Path, name: str, made: Callable[[Path], None], said: str
) -> None:
    made(tmp_path / name)
    with pytest.raises(StoreUnavailable, match=re.escape(said)) as caught:
        StateLock(tmp_path)
    assert str(tmp_path / name) in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(("made", "said", "todo"), KINDS)
def test_such_a_file_of_keys_is_not_used(tmp_path: Path, made: Callable[[Path], None], said: str, todo: str) -> None:
    keys = KeyFile(tmp_path, "province")
    keys.path.parent.mkdir()
    made(keys.path)
    with pytest.raises(PlatformUnauthorized, match=re.escape(said)) as caught:
        keys.read()
    assert todo in caught.value.hint


def test_a_config_file_that_anybody_may_replace_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("content")
    tmp_path.chmod(0o777)
    with pytest.raises(InvalidConfig, match="may replace it") as caught:
        load_config(tmp_path / "config.toml")
    assert f"sudo chmod o-w {tmp_path}" in str(caught.value)
    tmp_path.chmod(0o1777)
    with pytest.raises(InvalidConfig, match="not valid TOML"):
        load_config(tmp_path / "config.toml")


def test_a_token_below_a_folder_that_anybody_may_change_is_not_used(tmp_path: Path) -> None:
    folder = tmp_path / "open" / "private"
    folder.mkdir(parents=True)
    (folder / "token").write_text("content")
    (tmp_path / "link").symlink_to(folder)
    folder.parent.chmod(0o777)
    for path in (folder / "token", tmp_path / "link" / "token"):
        with pytest.raises(UnsafeFile, match="may replace it") as caught:
            open_ordinary(path)
        assert caught.value.hint == f"sudo chmod o-w {folder.parent}"


def test_folders_in_which_anybody_may_replace_files_are_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(StoreUnavailable, match="may replace files") as caught:
        StateLock(tmp_path)
    assert caught.value.hint == f"sudo chmod o-w {tmp_path}"
    with pytest.raises(AgentError, match="may replace files"):
        ControlServer(tmp_path, {})
    assert list(tmp_path.iterdir()) == []
    tmp_path.chmod(0o1777)
    StateLock(tmp_path).release()


def test_a_link_of_ones_own_is_followed_and_a_folder_is_none(tmp_path: Path) -> None:
    link(tmp_path / "config.toml")
    with os.fdopen(open_ordinary(tmp_path / "config.toml")) as file:
        assert file.read() == "content"
    with pytest.raises(IsADirectoryError):
        open_ordinary(tmp_path)
    (tmp_path / "device").symlink_to("/dev/null")
    with pytest.raises(UnsafeFile, match="no ordinary file"):
        open_ordinary(tmp_path / "device")
