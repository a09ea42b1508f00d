"""A report at the platform: taken only as the box made it, and each second counted once by whichever way it came."""

import hashlib
import json
from pathlib import Path

import pytest
from reported_box import DESTINATION, NOW_NS, H, ReportedBox

from instrument_agent.core.canonical import canonical, record_hash
from instrument_agent.core.errors import AgentError
from instrument_agent.core.records import RecordType
from instrument_agent.keys import new_private_key, public_key_of, sign
from instrument_agent.receiver import reports
from instrument_agent.report.opened import opened
from instrument_agent.report.sealed import seal_statement


def refusal(done) -> str:
    assert isinstance(done.exception, AgentError), done.output
    assert done.exception.hint
    return str(done.exception)


def resealed(lines: list[bytes], key: str = "") -> bytes:
    """Return a report of these lines with a seal that fits, as somebody would make it who knows how."""
    sha256 = hashlib.sha256(b"".join(lines)).hexdigest()
    seal = {"sha256": sha256}
    if key:
        signature = sign(key, seal_statement("box-1", "2026-10", sha256))
        seal |= {"signature": signature, "public_key": public_key_of(key)}
    return b"".join(lines) + canonical({"seal": seal}) + b"\n"


def test_an_imported_month_has_the_hours_the_box_counted(enrolled, institute):
    done = institute.take(enrolled.file())
    assert done.exit_code == 0, done.exception
    assert "96 records, 96 of them new here, 0 refused" in done.output
    assert institute.hours().running.counted_ms == 31 * 4 * H
    assert institute.ledger.rejected("box-1") == []


@pytest.mark.parametrize("order", ["import", "import import", "import online", "online import", "import online import"])
def test_each_second_counts_once_whichever_way_comes_first_and_however_often(enrolled, institute, order):
    file = enrolled.file()
    for way in order.split():
        if way == "import":
            assert institute.take(file).exit_code == 0
        else:
            institute.receive(enrolled)
    spent = institute.hours().running
    assert (spent.counted_ms, spent.doubled_ms) == (31 * 4 * H, 0)
    assert institute.ledger.count("box-1") == enrolled.made
    assert list(institute.ledger.watermarks("box-1").values()) == [enrolled.made]


def test_half_over_the_network_and_half_by_file_is_a_whole(enrolled, institute):
    institute.receive(enrolled)
    enrolled.live(30, first=31)
    assert institute.take(enrolled.file(month="2026-11")).exit_code == 0
    assert institute.hours().running.counted_ms == 61 * 4 * H
    institute.receive(enrolled)
    assert institute.hours().running.counted_ms == 61 * 4 * H


def test_no_byte_of_a_report_can_be_changed(enrolled, institute, tmp_path):
    whole = enrolled.file().read_bytes()
    changed = tmp_path / "changed.jsonl"
    step = max(1, len(whole) // 150)
    for place in [*range(0, len(whole), step), *range(len(whole) - 300, len(whole), 7)]:
        changed.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(AgentError), opened(changed) as report:
            reports.check_seal(institute.enrolment, report, unsigned=True)
    assert institute.ledger.count("box-1") == 0


@pytest.mark.parametrize(
    ("before", "after"),
    [(b"Asia/Shanghai", b"Asia/Shanghaj"), (b'"month_days":31', b'"month_days":30'), (b"DY-1", b"DY-2")],
)
def test_what_no_record_says_cannot_be_changed_either(enrolled, institute, tmp_path, before, after):
    changed = tmp_path / "changed.jsonl"
    changed.write_bytes(enrolled.file().read_bytes().replace(before, after, 1))
    assert "it was changed after the box had made it" in refusal(institute.take(changed))


@pytest.mark.parametrize("cut", [1, 30, 400, 5000])
def test_a_report_that_was_cut_off_is_refused(enrolled, institute, tmp_path, cut):
    (tmp_path / "cut.jsonl").write_bytes(enrolled.file().read_bytes()[:-cut])
    assert "the report is refused" in refusal(institute.take(tmp_path / "cut.jsonl"))


def test_something_put_behind_the_seal_is_refused(enrolled, institute, tmp_path):
    (tmp_path / "long.jsonl").write_bytes(enrolled.file().read_bytes() + b"\n")
    assert "follows the seal" in refusal(institute.take(tmp_path / "long.jsonl"))


def test_nobody_but_the_box_can_seal_what_was_changed(enrolled, institute, tmp_path):
    lines = enrolled.file().read_bytes().splitlines(keepends=True)[:-1]
    forged = tmp_path / "forged.jsonl"
    for key in ("", new_private_key()):
        forged.write_bytes(resealed(lines[:-1], key))
        with pytest.raises(AgentError), opened(forged) as report:
            reports.check_seal(institute.enrolment, report, unsigned=True)
        forged.write_bytes(resealed(lines, key))
        assert "not signed with the key of box-1" in refusal(institute.take(forged, "--unsigned"))


def forged_hours(lines: list[bytes]) -> list[bytes]:
    """Add an hour to the first run, with a hash that fits it."""
    at = next(place for place, line in enumerate(lines) if b"run_session" in line)
    record = json.loads(lines[at])["record"]
    record["data"] |= {"end_ms": record["data"]["end_ms"] + H, "running_ms": record["data"]["running_ms"] + H}
    changed = {"hash": record_hash(record), "record": record}
    return [*lines[:at], canonical(changed) + b"\n", *lines[at + 1 :]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: [line.replace(b'"running_ms":14400000', b'"running_ms":14400001') for line in lines], "record"),
        (forged_hours, "is not what was written"),
        (lambda lines: [*lines[:6], *lines[7:]], "is not what was written"),
        (lambda lines: [*lines[:6], lines[7], lines[6], *lines[8:]], "is not what was written"),
        (lambda lines: [lines[0], lines[1].replace(b"446400000", b"446400001"), *lines[2:]], "sums of its days"),
        (lambda lines: lines[1:], "not the beginning"),
        (lambda lines: [lines[0].replace(b'"report":1', b'"report":2'), *lines[1:]], "newer version"),
        (lambda lines: [*lines, b"[" * 5000 + b"\n"], "no line of a report"),
        (lambda lines: [*lines, b'{"hash":1,"record":[]}\n'], "no line of a report"),
    ],
    ids=["hours", "hash", "left out", "swapped", "figure", "no head", "version", "deep", "shape"],
)
def test_even_without_a_signature_the_chain_and_the_sums_must_fit(box, institute, tmp_path, change, said):
    lines = change(box.file().read_bytes().splitlines(keepends=True)[:-1])
    (tmp_path / "forged.jsonl").write_bytes(resealed(lines))
    assert said in refusal(institute.take(tmp_path / "forged.jsonl", "--unsigned"))


def test_a_box_that_never_enrolled_is_taken_only_at_the_operators_word(box, institute):
    file = box.file()
    assert "not enrolled here" in refusal(institute.take(file))
    assert institute.ledger.count("box-1") == 0
    assert institute.take(file, "--unsigned").exit_code == 0
    assert institute.hours().running.counted_ms == 31 * 4 * H


def test_a_report_signed_with_a_key_that_was_changed_is_made_again(enrolled, institute):
    old = enrolled.file()
    institute.enrol(enrolled)
    assert "its key was changed" in institute.take(old).exception.hint
    assert institute.take(enrolled.file()).exit_code == 0


def test_a_box_that_was_revoked_is_let_in_by_file_no_more_either(enrolled, institute):
    file = enrolled.file()
    institute.enrolment.revoke_box("box-1")
    assert "box-1 was revoked here" in refusal(institute.take(file, "--unsigned"))
    assert institute.ledger.count("box-1") == 0
    institute.enrol(enrolled)
    assert institute.take(enrolled.file()).exit_code == 0


def test_a_file_that_is_not_there_is_said(institute, tmp_path):
    assert "cannot be read" in refusal(institute.take(tmp_path / "nothing.jsonl"))


def test_a_record_the_platform_refuses_is_named_in_the_receipt_and_holds_up_no_other(tmp_path, institute):
    box = ReportedBox(tmp_path / "odd", destinations=DESTINATION)
    institute.enrol(box)
    box.live(3)
    box.add(RecordType.RUN_SESSION, {"start_ms": 5, "end_ms": 9, "unseen_ms": 0, "running_ms": 5})
    box.live(2, first=3)
    file = box.file()
    with opened(file) as report:
        receipt = reports.take(institute.ledger, institute.enrolment, report, NOW_NS)
    assert [(item["seq"], item["reason"]) for item in receipt["rejected"]] == [(13, "sum_mismatch")]
    assert receipt["receipts"][0]["acked_through"] == box.made
    assert institute.hours().running.counted_ms == 5 * 4 * H
    box.store.close()


def test_the_receipt_lies_beside_the_report_unless_told_otherwise(enrolled, institute, tmp_path):
    file = enrolled.file()
    institute.take(file)
    assert Path(f"{file}.receipt.json").exists()
    assert institute.take(file, "--receipt", str(tmp_path / "r.json")).exit_code == 0
    assert json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["month"] == "2026-10"
