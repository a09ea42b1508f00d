"""A support bundle has what helps, and no secret, wherever one stood."""

import base64
import json
import tarfile
from pathlib import Path
from urllib.parse import quote

import pytest
from click.testing import CliRunner, Result

from instrument_agent.cli.main import cli
from instrument_agent.control import ControlServer
from instrument_agent.core.errors import AgentError
from instrument_agent.doctor import credentials
from instrument_agent.doctor.redaction import redacted, secrets_in

CONFIG = """# the old one was password = "canary-comment"
[box]
id = "box-1"
state_dir = "state"
runtime_dir = "run"
[[destination]]
name = "province"
url = "http://127.0.0.1:9"
credential_file = "platform.token"
[[instrument]]
id = "trial-1"
[instrument.driver]
name = "mock"
script = [600.0]
[instrument.activity]
off_below = 5
run_above = 500
"""
TOKEN = "canary-token+/=x"
LOG = f"""2026-11-22T10:00:00 box-1 agent: the platform answered 401: {TOKEN}
2026-11-22T10:00:01 box-1 agent: GET https://user:canary-log-userinfo@platform.example.org/v1
2026-11-22T10:00:02 box-1 agent: Authorization: Bearer canary-log-bearer
2026-11-22T10:00:03 box-1 agent: cookie of {quote(TOKEN, safe="")} and {base64.b64encode(TOKEN.encode()).decode()}
2026-11-22T10:00:04 box-1 agent: watching 1 instruments
2026-11-22T10:00:05 box-1 agent: enrolled with token=canary-log-named, "secret": "canary-log-json"
"""
MEMBERS = {
    *("config.toml", "database.txt", "doctor.json", "doctor.txt"),
    *("log.txt", "schema.sql", "status.json", "versions.txt"),
}


STATUS = {
    "running": True,
    "boottime_ms": 5,
    "agent_version": "0.1.0",
    "config_hash": None,
    "utc": None,
    "storage_error": None,
    "instruments": [],
    "destinations": [],
}
INSTRUMENT = {
    "instrument_id": "trial-1",
    "reading": {"power_w": 1234.5},
    "read_at_ms": 1,
    "driver": None,
    "spent_ms": {"off": 0, "standby": 0, "running": 0, "unknown": 0},
}
DESTINATION = {
    "name": "province",
    "queue": {"waiting": 0, "dead_lettered": 0, "acked_at_ns": None, "acked_boot_id": None},
    "contact": {"error": f"answered: {TOKEN} https://u:canary-status@host/", "hint": ""},
}


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A box with a secret in every place where one could be."""
    (tmp_path / "box.toml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "platform.token").write_text(TOKEN + "\n", encoding="utf-8")
    (tmp_path / "platform.token").chmod(0o600)
    handed_over = tmp_path / "credentials"
    handed_over.mkdir()
    (handed_over / "school").write_text("canary-systemd", encoding="utf-8")
    monkeypatch.setattr(credentials, "HANDED_OVER", handed_over)
    keys = tmp_path / "state" / "keys"
    keys.mkdir(parents=True)
    kept = {"credential": "canary-enrolled", "private_key": "canary-private", "public_key": "shown"}
    (keys / "province.json").write_text(json.dumps(kept), encoding="utf-8")
    programs = tmp_path / "bin"
    programs.mkdir()
    (tmp_path / "journal").write_text(LOG + "again canary-systemd canary-env canary-private\n", encoding="utf-8")
    (programs / "journalctl").write_text(f'#!/bin/sh\nexec /bin/cat "{tmp_path}/journal"\n', encoding="utf-8")
    (programs / "journalctl").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("HTTPS_PROXY_PASSWORD", "canary-env")
    return tmp_path


def bundle(box: Path, *arguments: str) -> Result:
    command = ["support-bundle", "--config", str(box / "box.toml"), "--out", str(box / "out.tar.gz"), *arguments]
    return CliRunner().invoke(cli, command, catch_exceptions=False)


def unpacked(box: Path) -> dict[str, str]:
    with tarfile.open(box / "out.tar.gz") as archive:
        found = {member.name: archive.extractfile(member) for member in archive}
        return {name.rpartition("/")[2]: file.read().decode() for name, file in found.items() if file is not None}


def test_no_secret_comes_out_of_any_place(box: Path) -> None:
    status = STATUS | {"destinations": [DESTINATION]}
    server = ControlServer(box / "run", {"status": lambda _request: status})
    try:
        done = bundle(box)
    finally:
        server.close()
    assert done.exit_code == 0
    texts = unpacked(box)
    assert texts.keys() == MEMBERS
    everything = "\n".join([*texts.values(), done.output])
    assert "canary" not in everything
    for form in (quote(TOKEN, safe=""), base64.b64encode(TOKEN.encode()).decode().rstrip("=")):
        assert form not in everything
    # What is around them is still there.
    assert "watching 1 instruments" in texts["log.txt"]
    assert "https://[removed]@platform.example.org/v1" in texts["log.txt"]
    assert 'credential_file = "platform.token"' in texts["config.toml"]
    assert json.loads(texts["status.json"])["destinations"][0]["name"] == "province"
    assert json.loads(texts["doctor.json"])["verdicts"]


def test_a_secret_that_a_table_would_break_over_two_lines_is_found_before(box: Path) -> None:
    long = "canary" + "0123456789abcdef" * 20
    (box / "platform.token").write_text(long, encoding="utf-8")
    driver = {"reads": 0, "failures": 9, "failing": "driver_error", "error": f"it said {long}", "hint": ""}
    status = STATUS | {"instruments": [INSTRUMENT | {"driver": driver}]}
    server = ControlServer(box / "run", {"status": lambda _request: status})
    try:
        bundle(box)
    finally:
        server.close()
    texts = unpacked(box)
    assert "it said [removed]" in texts["doctor.txt"]
    assert "canary0123" not in texts["doctor.txt"].replace("\n", "").replace(" ", "")


def test_it_says_what_is_in_it_and_where_it_lies(box: Path) -> None:
    done = bundle(box)
    assert all(f"{name}: " in done.output for name in MEMBERS)
    assert done.output.splitlines()[-1].startswith(str(box / "out.tar.gz"))
    assert (box / "out.tar.gz").stat().st_mode & 0o777 == 0o600


def test_readings_are_named_and_not_told(box: Path) -> None:
    status = STATUS | {"instruments": [INSTRUMENT]}
    server = ControlServer(box / "run", {"status": lambda _request: status})
    try:
        bundle(box)
    finally:
        server.close()
    texts = unpacked(box)
    assert json.loads(texts["status.json"])["instruments"][0]["reading"] == ["power_w"]
    assert "1234.5" not in "".join(texts.values())


def test_a_box_whose_config_is_wrong_can_be_helped_too(box: Path) -> None:
    (box / "box.toml").write_text(CONFIG.replace("[box]", "[bux]"), encoding="utf-8")
    assert bundle(box).exit_code == 0
    texts = unpacked(box)
    assert "[bux]" in texts["config.toml"]
    assert json.loads(texts["doctor.json"])["verdicts"][0]["grade"] == "fail"


def test_a_file_that_is_there_is_not_overwritten(box: Path) -> None:
    (box / "out.tar.gz").write_text("mine", encoding="utf-8")
    with pytest.raises(AgentError, match="File exists"):
        bundle(box)
    assert (box / "out.tar.gz").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://agent:hunter22@db/box",
        'api_key: "hunter22"',
        "PLATFORM_TOKEN=hunter22",
        "{'password': 'hunter22'}",
        "authorization: basic aHVudGVyMjI6hunter22==",
        "one-time-code = hunter22",
        "-----BEGIN EC PRIVATE KEY-----\nhunter22\n-----END EC PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nhunter22",
    ],
)
def test_what_looks_like_a_secret_is_taken_for_one(text: str) -> None:
    assert "hunter22" not in redacted(text, [])


@pytest.mark.parametrize(
    "text",
    [
        "https://platform.example.org/v1/boxes",
        'credential_file = "platform.token"',
        "the credential is accepted",
        "xrd-1: lost, driver_unavailable: no answer from unit 1",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redacted(text, secrets_in(["s3cret-token"], {"HOME": "/root"})) == text


def test_short_words_are_no_secrets() -> None:
    assert secrets_in(["on", "a\nlong-enough"], {"X_TOKEN": "abc", "PASSWORD": "abcd"}) == ["long-enough", "abcd"]
    assert secrets_in(["box-1:broker-pass"], {}) == ["box-1:broker-pass", "broker-pass"]


def test_what_lies_beyond_the_permission_of_this_user_is_left_out(box: Path) -> None:
    (box / "credentials" / "school").unlink()
    (box / "credentials" / "school").mkdir()  # not to be read by anybody, root included
    assert bundle(box).exit_code == 0
