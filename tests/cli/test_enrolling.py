"""``enrol``, ``resend`` and what `verify` says then, as a person at the box types it while the agent runs."""

import io
import json
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from delivering_box import config_of
from in_process import run

from instrument_agent.control import ask
from instrument_agent.receiver import Ledger, PlatformServer, create_app
from instrument_agent.receiver.enrolment import Enrolment
from instrument_agent.sandbox.agent_process import AgentProcess

PATIENCE_S = 30.0


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'platform.db'}"


@pytest.fixture
def enrolment(database: str) -> Iterator[Enrolment]:
    enrolment = Enrolment(database)
    yield enrolment
    enrolment.close()


@pytest.fixture
def config(tmp_path: Path, database: str, enrolment: Enrolment) -> Iterator[Path]:
    """The config of a box at a platform that lets enrolled boxes in only."""
    with Ledger(database) as ledger, PlatformServer(create_app(ledger, time.time_ns, enrolment=enrolment)) as server:
        yield config_of(tmp_path, province=server.url)


def until(config: Path, claim: Callable[[dict[str, Any]], Any]) -> None:
    """Ask the agent until the claim holds of its destination; it is another process, so there is no event."""
    end_s = time.monotonic() + PATIENCE_S
    while not claim(found := ask(config.parent / "run", {"do": "status"})["destinations"][0]):
        assert time.monotonic() < end_s, found
        threading.Event().wait(0.02)


def test_a_box_is_enrolled_and_delivers_at_once_and_is_revoked(config: Path, enrolment: Enrolment, database: str):
    here = ("--config", str(config))
    code = config.parent / "code.txt"
    code.write_text(enrolment.new_code("box-1", time.time_ns(), 1) + "\n")
    agent = AgentProcess(config, config.parent / "log")
    try:
        until(config, lambda found: "401" in found["contact"]["error"])
        done = run("enrol", *here, "--code-file", str(code))
        key = done.stdout.split()[-1]
        assert (done.stdout, done.stderr) == (f"box-1 is enrolled at province; its public key is {key}\n", "")
        until(config, lambda found: found["queue"]["made"] and not found["queue"]["waiting"])
        assert stat.S_IMODE((config.parent / "state" / "keys" / "province.json").stat().st_mode) == 0o600

        done = run("verify", *here)
        assert done.returncode == 0, done.stdout
        assert "1 epoch is as the box signed it" in done.stdout
        assert "1 epoch is as a platform confirmed it" in done.stdout
        assert f"province  box  {key}\n  province  platform  {enrolment.public_key}\n" in done.stdout

        done = run("resend", *here, "--from", "1", "--to", "1")
        assert done.stdout == "1 records will be sent to province again, after what is new\n", done.stderr
        assert "this code is used" in run("enrol", *here, "--code-file", str(code)).stderr
        assert run("enrol", *here, "--rotate").returncode == 0
        listed = run("platform", "keys", "--database", database, "box-1").stdout.splitlines()
        assert (len(listed), listed[1].startswith(key)) == (2, True)

        assert run("platform", "revoke", "--database", database, "box-1").stdout == "box-1 is let in no more\n"

        def refused(found: dict[str, Any]) -> bool:
            run("resend", *here, "--from", "1", "--to", "1")  # what was asked before may have gone just in time
            return "401" in found["contact"]["error"]

        until(config, refused)
    finally:
        assert agent.stop() == 0
    assert "not enrolled" in run("platform", "revoke", "--database", database, "box-2").stderr
    assert run("platform", "keys", "--database", database).stdout == f"{enrolment.public_key}\n"


def test_a_token_that_was_never_put_there_is_no_reason_not_to_enrol(config: Path, enrolment: Enrolment):
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("first_contact", 'credential_file = "platform.token"\nfirst_contact'))
    code = config.parent / "code.txt"
    code.write_text(enrolment.new_code("box-1", time.time_ns(), 1) + "\n")
    done = run("enrol", "--config", str(config), "--code-file", str(code))
    assert (done.returncode, done.stderr) == (0, "")
    verdicts = json.loads(run("doctor", "--config", str(config), "--json").stdout)["verdicts"]
    assert {item["check"]: item["grade"] for item in verdicts if item["check"] in ("credential", "platform")} == {
        "credential": "ok",
        "platform": "ok",
    }


def test_the_code_comes_from_standard_input_too_and_with_a_warning_from_the_command_line(
    config: Path, enrolment: Enrolment, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys, "stdin", io.StringIO(enrolment.new_code("box-1", time.time_ns(), 1) + "\nmore"))
    done = run("enrol", "--config", str(config), "--code", "-")
    assert (done.returncode, done.stderr) == (0, "")
    done = run("enrol", "--config", str(config), "--code", enrolment.new_code("box-1", time.time_ns(), 1))
    assert done.returncode == 0
    assert "other users of this machine can see" in done.stderr
    keys = json.loads((config.parent / "state" / "keys" / "province.json").read_text())
    assert enrolment.keys("box-1")[0]["public_key"] == keys["public_key"]


def test_what_does_not_enrol_says_why_and_what_to_do(config: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(config.parent)
    Path("empty").write_text("\n")
    Path("wrong").write_text("0000-0000")
    for arguments, said, todo in (
        (["--rotate"], "not enrolled there", "enrol it with a code"),
        (["--code-file", "missing"], "cannot be read", "readable only by you"),
        (["--code-file", "empty"], "there is no code", "on one line"),
        (["--code-file", "wrong"], "this code is not known here", "ask for a new code"),
        (["--destination", "elsewhere", "--rotate"], "no destination elsewhere", "one of province"),
        (["--code-file", "wrong", "--rotate"], "give one of", ""),
    ):
        done = run("enrol", "--config", str(config), *arguments)
        assert done.returncode != 0
        assert said in done.stderr
        assert todo in done.stderr
    assert not (config.parent / "state" / "keys" / "province.json").exists()


def test_without_a_platform_nothing_is_enrolled_and_the_key_waits(config: Path, tmp_path: Path):
    config_of(tmp_path, province="http://127.0.0.1:1")
    (tmp_path / "code").write_text("0000")
    done = run("enrol", "--config", str(config), "--code-file", str(tmp_path / "code"))
    assert (done.returncode, "connection refused" in done.stderr) == (1, True)
    assert [path.name for path in (tmp_path / "state" / "keys").iterdir()] == ["province.coming.json"]
