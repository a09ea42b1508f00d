"""A box enrols with a code and is known by its key: it takes a new one, and is let in no more once it is revoked."""

import json
import os
import stat
from pathlib import Path

import pytest
from fake_clock import BOOTED_UTC_NS
from institute import Institute
from scripted_platform import Answer, Platform, Raw
from sender import Sender

from instrument_agent import keys as keys_module
from instrument_agent.core.errors import AgentError, PlatformUnauthorized, PlatformUnavailable
from instrument_agent.keys import public_key_of
from instrument_agent.uplink.enrolled import Enrolled, KeyFile
from instrument_agent.uplink.enrolling import enrol, rotate
from instrument_agent.uplink.http import HttpTransport


def test_files_are_their_owners_only_and_hold_no_code(institute: Institute, keys: KeyFile, to: HttpTransport) -> None:
    code = institute.code()
    before = os.umask(0)
    try:
        enrol(keys, to, code)
    finally:
        os.umask(before)
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(keys.path.parent.stat().st_mode) == 0o700
    assert [path.name for path in keys.path.parent.iterdir()] == ["province.json"]
    assert code not in keys.path.read_text()


def test_a_reply_that_is_lost_is_asked_for_again_with_the_same_key(keys: KeyFile) -> None:
    with Platform() as platform:
        platform.scripted = ("enrol",)
        platform.script.extend([Raw(()), Answer(body={"credential": "c" * 32, "server_time": ""})])
        transport = HttpTransport(platform.url, "box-1", None, None, keys)
        with pytest.raises(PlatformUnavailable):
            enrol(keys, transport, "CODE")
        assert keys.read() is None
        given = enrol(keys, transport, "CODE")
        transport.close()
        first, second = platform.sent("enrol")
    assert first.body == second.body == {"code": "CODE", "public_key": given.public_key}
    assert (given.credential, given.platform_key) == ("c" * 32, "")


@pytest.mark.parametrize(
    "answer", [Answer(403, b'{"error": "this code is used"}'), Answer(400, b"bad"), Answer(200, {}), Answer(404)]
)
def test_a_refused_code_changes_nothing_and_says_what_to_do(keys: KeyFile, answer: Answer) -> None:
    with Platform() as platform:
        platform.scripted = ("enrol",)
        platform.script.append(answer)
        transport = HttpTransport(platform.url, "box-1", None, None, keys)
        with pytest.raises(AgentError) as caught:
            enrol(keys, transport, "CODE")
        transport.close()
    assert caught.value.hint
    assert keys.read() is None


def test_a_new_key_is_signed_with_the_old_one_and_used_at_once(
    institute: Institute, sender: Sender, given: Enrolled, keys: KeyFile, to: HttpTransport
) -> None:
    sender.write(3)
    sender.start(institute.server.url)
    sender.until_settled()
    second = rotate(keys, to, "box-1")
    assert (second.credential, second.public_key != given.public_key) == (given.credential, True)
    assert public_key_of(keys.private_key()) == second.public_key
    sender.write(3)
    sender.until_settled()
    assert sender.store.rows("select public_key from proofs") == [(second.public_key,)]
    assert [key["public_key"] for key in institute.enrolment.keys("box-1")] == [second.public_key, given.public_key]


@pytest.mark.usefixtures("given")
def test_until_the_new_key_is_used_the_old_one_counts_for_its_reply_may_be_lost(
    institute: Institute, sender: Sender, keys: KeyFile, to: HttpTransport
) -> None:
    old = keys.path.read_text()
    rotate(keys, to, "box-1")
    new = json.loads(keys.path.read_text())
    keys.path.write_text(old)
    keys.keep_coming(new["private_key"])  # as if no reply had come
    sender.write(1)
    sender.start(institute.server.url)
    sender.until_settled()
    assert rotate(keys, to, "box-1").public_key == new["public_key"], "asked again, it is answered as before"
    sender.write(1)
    sender.until_settled()
    keys.path.write_text(old)
    sender.write(1)
    sender.clock.await_waiting()
    assert sender.outbox.queue().waiting == 1, "once the new key was used the old one counts no more"


def test_nobody_puts_a_key_of_his_own_in_place_of_the_boxs(
    institute: Institute, given: Enrolled, keys: KeyFile, to: HttpTransport, tmp_path: Path
) -> None:
    thief = KeyFile(tmp_path, "thief")
    thief.take(json.loads(keys.path.read_text())["private_key"], given)
    rotate(keys, to, "box-1")
    rotate(keys, to, "box-1")
    with pytest.raises(PlatformUnauthorized, match="not the newest key"):
        rotate(thief, to, "box-1")
    forged = {"public_key": "A" * 43 + "=", "replaces": institute.enrolment.keys("box-1")[0]["public_key"]}
    with pytest.raises(PlatformUnauthorized, match="not made with the key"):
        to.key({**forged, "signature": "A" * 86 + "=="})


@pytest.mark.usefixtures("given")
def test_a_box_that_is_revoked_is_let_in_no_more_until_it_enrols_with_a_code_made_for_it(
    institute: Institute, sender: Sender, keys: KeyFile, to: HttpTransport
) -> None:
    sender.write(1)
    delivery = sender.start(institute.server.url)
    sender.until_settled()
    assert institute.enrolment.revoke_box("box-1")
    assert not institute.enrolment.revoke_box("box-1")
    sender.write(1)
    sender.clock.await_waiting()
    assert "401" in delivery.contact.error
    with pytest.raises(AgentError, match="enrolled already"):
        enrol(keys, to, institute.enrolment.new_code(None, BOOTED_UTC_NS, 1))
    enrol(keys, to, institute.code())
    delivery.again.set()
    sender.until_settled()
    assert len(institute.ledger.records("box-1")) == sender.outbox.queue().made


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_enrols_belongs_to_the_user_the_agent_runs_as(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    state_dir.mkdir()
    os.chown(state_dir, 12345, 23456)
    keys = KeyFile(state_dir, "province")
    keys.take("k", Enrolled("c" * 32, "p", ""))
    owners = {(found.st_uid, found.st_gid) for found in (keys.path.stat(), keys.path.parent.stat())}
    assert owners == {(12345, 23456)}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"credential": "x"}', "\xff"])
def test_a_key_file_that_is_damaged_stops_sending_and_is_said(platform: Platform, keys: KeyFile, content: str) -> None:
    keys.take("k", Enrolled("c" * 32, "p", ""))
    keys.path.write_text(content, encoding="latin-1")
    transport = HttpTransport(platform.url, "box-1", None, None, keys)
    with pytest.raises(PlatformUnauthorized, match="not what was written") as caught:
        transport.watermark()
    transport.close()
    assert "enrol" in caught.value.hint
    assert platform.requests == []


def test_without_the_library_an_enrolled_box_sends_nothing_and_says_what_to_install(
    platform: Platform, sender: Sender, keys: KeyFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = tmp_path / "bare.py"
    bare.write_text(keys_module.SIGNER.read_text().replace("cryptography", "cryptography_that_is_not_here"))
    monkeypatch.setattr(keys_module, "SIGNER", bare)
    keys.take("k", Enrolled("c" * 32, "p", ""))
    sender.keys = keys
    sender.write(1)
    delivery = sender.start(platform.url)
    sender.clock.await_waiting()
    assert "library for signatures is missing" in delivery.contact.error
    assert "python3-cryptography" in delivery.contact.hint
    assert platform.sent("records") == []
