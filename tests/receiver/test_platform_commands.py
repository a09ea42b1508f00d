"""``instrument-agent platform``: started, stopped, refused, and the codes it hands out."""

import json
import signal
import time
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner, Result
from served_platform import serving
from wire_box import Box

from instrument_agent.cli.platform import platform
from instrument_agent.core.errors import AgentError

KEY = "A" * 43 + "="


def call(*arguments: str) -> Result:
    return CliRunner().invoke(platform, arguments)


def test_it_serves_boxes_and_people_until_a_signal_and_keeps_what_it_was_given(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'p.db'}"
    code = call("codes", "new", "--database", url, "--box", "box-1").stdout.strip()
    with serving(tmp_path, "--database", url, "--next-heartbeat-s", "90") as (process, address):
        box = Box(address)
        assert box.beat().status_code == 401
        reply = requests.post(f"{box.address}/enrol", json={"code": code, "public_key": KEY}, timeout=30)
        headers = {"Authorization": f"Bearer {reply.json()['credential']}"}
        beat = requests.post(f"{box.address}/heartbeat", json=box.pulse(), headers=headers, timeout=30)
        assert (beat.status_code, beat.json()["next_heartbeat_s"]) == (200, 90)
        assert "box-1" in requests.get(address, timeout=30).text
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    listed = json.loads(call("codes", "list", "--database", url, "--json").stdout)
    assert [(item["state"], item["used_by"]) for item in listed] == [("used", "box-1")]


def test_open_on_loopback_lets_every_box_in(tmp_path: Path) -> None:
    with serving(tmp_path, "--open") as (_process, address):
        box = Box(address)
        assert box.send(box.chain(1)).json()["acked_through"] == 1
    assert (tmp_path / "platform.db").exists()


def test_codes_are_made_listed_and_revoked(tmp_path: Path) -> None:
    database = ("--database", f"sqlite:///{tmp_path / 'p.db'}")
    assert "no code yet" in call("codes", "list", *database).stdout
    made = call("codes", "new", *database, "--count", "3", "--days", "2").stdout.split()
    assert len(set(made)) == 3
    made += call("codes", "new", *database, "--box", "box-9").stdout.split()
    assert call("codes", "revoke", *database, "2").stdout == "code 2 is revoked\n"
    lines = call("codes", "list", *database).stdout.splitlines()
    assert [line.split()[1] for line in lines] == [f"{code[:4]}-..." for code in made]
    assert [line.split()[3] for line in lines] == ["open", "revoked", "open", "open"]
    assert lines[3].endswith("box-9")
    until = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 2 * 86_400))
    assert until in lines[0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["serve", "--listen", "0.0.0.0:0", "--open"], "--open lets everybody in"),
        (["serve", "--listen", "0.0.0.0:0"], "HTTPS only"),
        (["serve", "--listen", "example.org:1"], "not an address and a port"),
        (["serve", "--listen", "127.0.0.1:99999"], "not an address and a port"),
        (["serve", "--listen", "127.0.0.1"], "not an address and a port"),
        (["serve", "--tls-cert", "c.pem"], "needs its key"),
        (["serve", "--tls-cert", "c.pem", "--tls-key", "k.pem"], "cannot listen"),
        (["serve", "--zone", "Mars/Olympus"], "no time zone"),
        (["serve", "--page-password-file", "missing"], "cannot be read"),
        (["serve", "--page-password-file", "empty"], "is empty"),
        (["serve", "--database", "nonsense"], "cannot be used"),
        (["serve", "--database", "mysql://x/y"], "cannot be"),
        (["serve", "--database", "sqlite:////nowhere/at/all.db"], "cannot be opened"),
        (["serve", "--database", "postgresql://u:s3cret@127.0.0.1:1/x"], "cannot be opened"),
        (["codes", "new", "--box", "a b"], "cannot be the id of a box"),
        (["codes", "revoke", "7"], "no code number 7"),
    ],
)
def test_what_cannot_work_is_said_with_what_to_do(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").touch()
    done = call(*arguments)
    assert isinstance(done.exception, AgentError), done.output
    assert said in str(done.exception)
    assert done.exception.hint
    assert "s3cret" not in str(done.exception)


@pytest.mark.parametrize("arguments", [[], ["--box", "a", "--count", "2"]])
def test_codes_are_for_one_box_or_for_a_number_of_them(arguments: list[str]) -> None:
    done = call("codes", "new", *arguments)
    assert (done.exit_code, "give either --box or --count" in done.output) == (2, True)


def test_a_port_that_is_taken_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with serving(tmp_path, "--open") as (_process, address):
        done = call("serve", "--open", "--listen", address.removeprefix("http://"))
    assert "cannot listen" in str(done.exception)
