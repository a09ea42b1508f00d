"""What an enrolled box delivers is signed, and what is not as it was signed is refused or found out."""

import json
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from fake_clock import BOOTED_UTC_NS
from institute import Institute
from sender import Sender
from walked_log import walked

from instrument_agent.buffer.headfile import NotedHead, read_head, write_head
from instrument_agent.buffer.verify import Report
from instrument_agent.core.canonical import canonical, record_hash
from instrument_agent.uplink.enrolled import Enrolled, KeyFile
from instrument_agent.uplink.enrolling import enrol
from instrument_agent.uplink.http import HttpTransport
from instrument_agent.uplink.retry import CAP_S


def proofs(sender: Sender) -> list[tuple[Any, ...]]:
    return sender.store.rows("select seq, public_key, platform_key, receipt from proofs")


def verified(sender: Sender) -> Report:
    return walked(sender.store.path.parent)


def change(sender: Sender, sql: str, *values: object) -> None:
    connection = sqlite3.connect(sender.store.path)
    with connection:
        assert connection.execute(sql, values).rowcount >= 1
    connection.close()


def test_an_enrolled_box_delivers_signed_and_keeps_the_receipt(
    institute: Institute, sender: Sender, given: Enrolled
) -> None:
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


@pytest.mark.usefixtures("given")
@pytest.mark.parametrize("forgery", FORGERIES)
def test_what_was_altered_after_it_was_signed_is_a_difference(
    institute: Institute, sender: Sender, forgery: str
) -> None:
    sender.write(5)
    sender.start(institute.server.url)
    sender.until_settled()
    sender.stop()
    alter, said = FORGERIES[forgery]
    alter(sender)
    assert [sentence for sentence in verified(sender).differences if said in sentence]


@pytest.mark.usefixtures("given")
@pytest.mark.parametrize("receipt", ["null", "json_set(receipt, '$.acked_through', 2)", "older"])
def test_what_went_further_than_the_receipt_is_not_proven(institute: Institute, sender: Sender, receipt: str) -> None:
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
    institute: Institute, sender: Sender, given: Enrolled, keys: KeyFile
) -> None:
    whole = json.loads(keys.path.read_text())
    wrong = KeyFile(sender.store.path.parent, "stranger")
    other = HttpTransport(institute.server.url, "box-2", None, None)
    enrol(wrong, other, institute.enrolment.new_code(None, BOOTED_UTC_NS, 1))
    stolen = json.loads(wrong.path.read_text()) | {"credential": given.credential}
    keys.path.write_text(json.dumps(stolen))
    sender.write(3)
    delivery = sender.start(institute.server.url)
    sender.clock.await_waiting()
    assert "signature" in delivery.contact.error
    assert (institute.ledger.records("box-1"), sender.dead_letters()) == ([], {})
    keys.path.write_text(json.dumps(whole))
    delivery.again.set()
    assert sender.until_settled() < CAP_S / 2, "it does not wait for the slow probe once it is told of a new key"
    assert len(institute.ledger.records("box-1")) == sender.outbox.queue().made
