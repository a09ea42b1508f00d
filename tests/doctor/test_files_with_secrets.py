"""Which files of a box hold secrets."""

from pathlib import Path

import pytest

from instrument_agent.config import BoxConfig, Config, DestinationConfig
from instrument_agent.doctor import credentials
from instrument_agent.uplink.enrolled import Enrolled, KeyFile


def test_all_files_with_secrets_are_known_wherever_they_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "HANDED_OVER", tmp_path / "credentials")
    handed, brought = tmp_path / "credentials" / "school", tmp_path / "provisioned" / "2" / "platform.token"
    for path in (handed, brought):
        path.parent.mkdir(parents=True)
        path.write_text("s3cret")
        path.chmod(0o600)
    brought.with_name("instrument-agent.toml").touch(0o640)
    copy = credentials.COPIES / "instrument-agent.service" / "token_school"
    config = box_with(tmp_path, credential_file=copy)
    assert credentials.secret_files(config) == [handed, brought]


def test_a_token_that_is_missing_is_not_missed_once_the_box_is_enrolled(tmp_path: Path) -> None:
    config = box_with(tmp_path, credential_file=tmp_path / "platform.token")
    assert credentials.secret_files(config) == [tmp_path / "platform.token"]
    keys = KeyFile(tmp_path, "province")
    keys.take("private", Enrolled("credential", "public", ""))
    assert credentials.secret_files(config) == [keys.path]


def box_with(folder: Path, credential_file: Path) -> Config:
    destination = DestinationConfig(name="province", url="https://127.0.0.1", credential_file=credential_file)
    box = BoxConfig(id="box-1", state_dir=folder)
    return Config(path=folder / "config.toml", hash="", box=box, destinations=(destination,), instruments=())
