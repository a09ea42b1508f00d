"""A box enrols with a code and signs what it sends; it takes a new key, and is let in no more once it is revoked."""

import json
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_clock import BOOTED_UTC_NS
from scripted_platform import Answer, Platform, Raw
from sender import Sender
from starlette.types import ASGIApp, Receive, Scope, Send

from instrument_agent import keys as keys_module
from instrument_agent.buffer.headfile import NotedHead, read_head, write_head
from instrument_agent.buffer.reader import Reader
from instrument_agent.buffer.verify import Report, verify
from instrument_agent.core.canonical import canonical, record_hash
from instrument_agent.core.errors import AgentError, PlatformUnauthorized, PlatformUnavailable
from instrument_agent.keys import public_key_of
from instrument_agent.receiver import Ledger, PlatformServer, create_app
from instrument_agent.receiver.enrolment import Enrolment
from instrument_agent.uplink.enrolled import Enrolled, KeyFile
from instrument_agent.uplink.enrolling import enrol, rotate
from instrument_agent.uplink.http import HttpTransport
from instrument_agent.uplink.retry import CAP_S


class Stage:
    """Lets one server carry the platform of each test in turn: stopping a server takes 0.2 s."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


class Institute:
    """The reference platform, which lets in enrolled boxes only."""

    def __init__(self, directory: Path, stage: Stage, server: PlatformServer) -> None:
        url = f"sqlite:///{directory / 'platform.db'}"
        self.ledger, self.enrolment, self.server = Ledger(url), Enrolment(url), server
        stage.app = create_app(self.ledger, lambda: BOOTED_UTC_NS, enrolment=self.enrolment)

    def code(self) -> str:
        return self.enrolment.new_code("box-1", BOOTED_UTC_NS, 1)


@pytest.fixture(scope="module")
def stage() -> Iterator[tuple[Stage, PlatformServer]]:
    stage = Stage()
    with PlatformServer(stage) as server:
        yield stage, server


@pytest.fixture
def institute(tmp_path: Path, stage: tuple[Stage, PlatformServer]) -> Iterator[Institute]:
    found = Institute(tmp_path, *stage)
    with found.ledger:
        yield found
    found.enrolment.close()


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path, "province")


@pytest.fixture
def to(institute: Institute, keys: KeyFile) -> Iterator[HttpTransport]:
    transport = HttpTransport(institute.server.url, "box-1", None, None, keys)
    yield transport
    transport.close()


def proofs(sender: Sender) -> list[tuple[Any, ...]]:
    return sender.store.rows("select seq, public_key, platform_key, receipt from proofs")


def verified(sender: Sender) -> Report:
    reader = Reader(sender.store.path.parent)
    try:
        return verify(reader, read_head(sender.store.path.parent))
    finally:
        reader.close()


def change(sender: Sender, sql: str, *values: object) -> None:
    connection = sqlite3.connect(sender.store.path)
    with connection:
        assert connection.execute(sql, values).rowcount >= 1
    connection.close()


def test_an_enrolled_box_delivers_signed_and_keeps_the_receipt(
    institute: Institute, sender: Sender, keys: KeyFile, to: HttpTransport
) -> None:
    given = enrol(keys, to, institute.code())
    sender.keys = keys
    sender.write(119)
    sender.start(institute.server.url)
    sender.until_settled()
    made = sender.outbox.queue().made
    assert len(institute.ledger.records("box-1")) == made
    [(seq, public_key, platform_key, receipt)] = proofs(sender)
    assert (seq, public_key, platform_key) == (made, given.public_key, institute.enrolment.public_key)
    assert json.loads(receipt)["acked_through"] == made
    report = verified(sender)
    assert [said for said in report.differences if "sign" in said or "platform" in said] == []
    assert (report.proven["signatures"], report.proven["receipts"]) == (1, 1)
    assert [key["public_key"] for key in report.keys] == [given.public_key, platform_key]


def rechained(sender: Sender, seq: int) -> None:
    """Alter one record and mend every hash after it, as somebody would who knows how the log is made."""
    connection = sqlite3.connect(sender.store.path)
    rows = connection.execute("select id, body from records where seq >= ? order by id", (seq,)).fetchall()
    before = ""
    for number, (id_, body) in enumerate(rows):
        record = json.loads(body)
        record["at_ms"] += 1 if number == 0 else 0
        record["prev_hash"] = before or record["prev_hash"]
        before = record_hash(record)
        with connection:
            connection.execute(
                "update records set body = ?, hash = ? where id = ?", (canonical(record).decode(), before, id_)
            )
    connection.close()
    head = read_head(sender.store.path.parent)
    assert head is not None
    write_head(sender.store.path.parent, NotedHead(head.epoch, head.seq, before, head.id))


FORGERIES: dict[str, tuple[Callable[[Sender], None], str]] = {
    "a log written anew": (lambda sender: rechained(sender, 3), "not the one the box signed"),
    "another signature": (
        lambda sender: change(sender, "update proofs set signature = ?", "A" * 86 + "=="),
        "signature of record",
    ),
    "a receipt for more": (
        lambda sender: change(sender, "update proofs set receipt = json_set(receipt, '$.acked_through', 3)"),
        "not signed by it",
    ),
    "a log that was cut off": (
        lambda sender: change(sender, "delete from records where seq > 3"),
        "which the platform has, is not here",
    ),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_what_was_altered_after_it_was_signed_is_a_difference(
    institute: Institute, sender: Sender, keys: KeyFile, to: HttpTransport, forgery: str
) -> None:
    enrol(keys, to, institute.code())
    sender.keys = keys
    sender.write(5)
    sender.start(institute.server.url)
    sender.until_settled()
    sender.stop()
    alter, said = FORGERIES[forgery]
    alter(sender)
    assert [sentence for sentence in verified(sender).differences if said in sentence]


@pytest.mark.parametrize("receipt", ["null", "json_set(receipt, '$.acked_through', 2)", "older"])
def test_what_went_further_than_the_receipt_is_not_proven(
    institute: Institute, sender: Sender, keys: KeyFile, to: HttpTransport, receipt: str
) -> None:
    enrol(keys, to, institute.code())
    sender.keys = keys
    sender.write(5)
    sender.start(institute.server.url)
    sender.until_settled()
    older = proofs(sender)[0][3]
    sender.write(2)
    sender.until_settled()
    sender.stop()
    change(
        sender, f"update proofs set receipt = {'?' if receipt == 'older' else receipt}", *[older][: receipt == "older"]
    )
    report = verified(sender)
    told = any("receipt" in said for said in report.differences)
    assert (report.unproven["unreceipted"], told) == ((0, True) if "json_set" in receipt else (1, False))


def test_a_batch_that_is_not_signed_or_wrongly_is_refused_and_kept(
    institute: Institute, sender: Sender, keys: KeyFile, to: HttpTransport
) -> None:
    given = enrol(keys, to, institute.code())
    whole = json.loads(keys.path.read_text())
    wrong = KeyFile(sender.store.path.parent, "stranger")
    other = HttpTransport(institute.server.url, "box-2", None, None)
    enrol(wrong, other, institute.enrolment.new_code(None, BOOTED_UTC_NS, 1))
    stolen = json.loads(wrong.path.read_text()) | {"credential": given.credential}
    keys.path.write_text(json.dumps(stolen))
    sender.keys = keys
    sender.write(3)
    delivery = sender.start(institute.server.url)
    sender.clock.await_waiting()
    assert "signature" in delivery.contact.error
    assert (institute.ledger.records("box-1"), sender.dead_letters()) == ([], {})
    keys.path.write_text(json.dumps(whole))
    delivery.again.set()
    assert sender.until_settled() < CAP_S / 2, "it does not wait for the slow probe once it is told of a new key"
    assert len(institute.ledger.records("box-1")) == sender.outbox.queue().made


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
    institute: Institute, sender: Sender, keys: KeyFile, to: HttpTransport
) -> None:
    first = enrol(keys, to, institute.code())
    sender.keys = keys
    sender.write(3)
    sender.start(institute.server.url)
    sender.until_settled()
    second = rotate(keys, to, "box-1")
    assert (second.credential, second.public_key != first.public_key) == (first.credential, True)
    assert public_key_of(keys.private_key()) == second.public_key
    sender.write(3)
    sender.until_settled()
    assert [row[1] for row in proofs(sender)] == [second.public_key]
    assert [key["public_key"] for key in institute.enrolment.keys("box-1")] == [second.public_key, first.public_key]


def test_until_the_new_key_is_used_the_old_one_counts_for_its_reply_may_be_lost(
    institute: Institute, sender: Sender, keys: KeyFile, to: HttpTransport
) -> None:
    enrol(keys, to, institute.code())
    old = keys.path.read_text()
    rotate(keys, to, "box-1")
    new = json.loads(keys.path.read_text())
    keys.path.write_text(old)
    keys.keep_coming(new["private_key"])  # as if no reply had come
    sender.keys = keys
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
    institute: Institute, keys: KeyFile, to: HttpTransport, tmp_path: Path
) -> None:
    given = enrol(keys, to, institute.code())
    thief = KeyFile(tmp_path, "thief")
    thief.take(json.loads(keys.path.read_text())["private_key"], given)
    rotate(keys, to, "box-1")
    rotate(keys, to, "box-1")
    with pytest.raises(PlatformUnauthorized, match="not the newest key"):
        rotate(thief, to, "box-1")
    forged = {"public_key": "A" * 43 + "=", "replaces": institute.enrolment.keys("box-1")[0]["public_key"]}
    with pytest.raises(PlatformUnauthorized, match="not made with the key"):
        to.key({**forged, "signature": "A" * 86 + "=="})


def test_a_box_that_is_revoked_is_let_in_no_more_until_it_enrols_with_a_code_made_for_it(
    institute: Institute, sender: Sender, keys: KeyFile, to: HttpTransport
) -> None:
    enrol(keys, to, institute.code())
    sender.keys = keys
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
