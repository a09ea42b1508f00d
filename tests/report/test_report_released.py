"""What a platform has imported may go from the card in its time; nothing else may."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from reported_box import BOOT, DAWN_MS, DESTINATION, Institute, ReportedBox

from instrument_agent.buffer.books import save_anchor
from instrument_agent.buffer.outbox import Outbox
from instrument_agent.buffer.retention import DAY_NS, KEPT_NS, prune, released_id
from instrument_agent.buffer.store import Start
from instrument_agent.buffer.verify import verify
from instrument_agent.cli.report import report
from instrument_agent.clock import SystemClock
from instrument_agent.config import load_config
from instrument_agent.control import ControlServer
from instrument_agent.core.anchors import Anchor, Utc
from instrument_agent.core.errors import AgentError
from instrument_agent.core.readings import NS_PER_MS, NS_PER_S
from instrument_agent.report.confirming import confirming

LATER = Utc(DAWN_MS * NS_PER_MS + 2 * KEPT_NS, 0)


def imported(box: ReportedBox, institute: Any, month: str = "2026-10") -> Path:
    """Carry a report to the platform; return the receipt."""
    file = box.file(month=month)
    assert institute.take(file).exit_code == 0
    return Path(f"{file}.receipt.json")


def changed(receipt: Path, first: dict[str, Any], whole: dict[str, Any]) -> Path:
    """Write a receipt with other values in the first of its receipts, and in itself."""
    said = json.loads(receipt.read_text(encoding="utf-8"))
    said["receipts"][0] |= first
    said |= whole
    path = receipt.with_name("changed.json")
    path.write_text(json.dumps(said), encoding="utf-8")
    return path


@pytest.fixture
def other(tmp_path: Path) -> Iterator[ReportedBox]:
    """Another box."""
    box = ReportedBox(tmp_path / "other", "box-2", DESTINATION)
    yield box
    box.store.close()


def test_a_receipt_releases_what_was_imported_and_no_more(enrolled, institute):
    receipt = imported(enrolled, institute)
    enrolled.live(10, first=31)
    assert released_id(enrolled.store, ["province"]) == 0
    assert "96 more records have arrived" in enrolled.confirm(receipt).output
    assert released_id(enrolled.store, ["province"]) == 96
    assert "nothing more has arrived" in enrolled.confirm(receipt).output


def test_released_records_are_pruned_in_their_time_and_others_stay(enrolled, institute):
    receipt = imported(enrolled, institute)
    for day in (40, 1000):
        enrolled.store.begin_epoch(Start(f"boot-{day}", 0, "0.1.0", "c0ffee01" * 8))
        with enrolled.store.write() as change:
            save_anchor(change, Anchor(f"boot-{day}", 0, DAWN_MS * NS_PER_MS + day * DAY_NS, NS_PER_S, "ntp"))
    assert prune(enrolled.store, LATER, ["province"]).records == 0
    enrolled.confirm(receipt)
    assert prune(enrolled.store, LATER, ["province"]).records == 2 * 31
    assert verify(enrolled.store, None).broken == 0
    assert enrolled.file(month="2026-11")
    done = enrolled.report()
    assert "no longer in this box" in str(done.exception)
    assert enrolled.report("--format", "csv", "--out", str(enrolled.folder / "t.csv")).exit_code == 0


def test_the_receipt_of_another_box_is_refused(enrolled, institute, other):
    done = other.confirm(imported(enrolled, institute))
    assert isinstance(done.exception, AgentError)
    assert "is for the box box-1, not for box-2" in str(done.exception)
    assert released_id(other.store, []) == 0


@pytest.mark.parametrize("first", [{"acked_through": 95}, {"head_hash": "0" * 64}, {"time": "2026-11-01"}, {"x": 1}])
def test_a_receipt_that_was_changed_is_refused(enrolled, institute, first):
    done = enrolled.confirm(changed(imported(enrolled, institute), first, {}))
    assert "it was changed" in str(done.exception)
    assert released_id(enrolled.store, ["province"]) == 0


REFUSED = {"epoch": "0b54c7fb-7c3c-4a83-9d2f-3a1a3f5a2b10", "seq": 3, "reason": "conflict"}


@pytest.mark.parametrize(
    "whole", [{"rejected": [REFUSED]}, {"month": "2026-11"}, {"report_sha256": "x"}, {"signature": "x"}]
)
def test_nor_can_what_it_says_of_refusals_be_changed(enrolled, institute, whole):
    done = enrolled.confirm(changed(imported(enrolled, institute), {}, whole))
    assert "it was changed" in str(done.exception)


def test_a_receipt_of_a_platform_that_does_not_know_the_box_is_refused(enrolled, institute, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    elsewhere = Institute(tmp_path / "elsewhere")
    file = enrolled.file()
    assert elsewhere.take(file, "--unsigned").exit_code == 0
    done = enrolled.confirm(Path(f"{file}.receipt.json"))
    assert "at which this box is not enrolled" in str(done.exception)
    elsewhere.close()


def test_a_receipt_for_records_this_card_does_not_have_is_refused(box, institute, tmp_path):
    restored = ReportedBox(tmp_path / "restored")
    file = box.file()
    institute.take(file, "--unsigned")
    done = restored.confirm(Path(f"{file}.receipt.json"))
    assert "which is not in this box" in str(done.exception)
    restored.store.close()


def test_a_box_that_is_enrolled_nowhere_shows_the_key_to_compare(tmp_path, institute):
    box = ReportedBox(tmp_path / "lone")
    box.live(31)
    file = box.file()
    institute.take(file, "--unsigned")
    done = box.confirm(Path(f"{file}.receipt.json"))
    assert institute.enrolment.public_key in done.output
    assert released_id(box.store, []) == 96
    box.store.close()


def test_what_is_missing_at_the_platform_before_a_report_is_not_released(enrolled, institute):
    # The first month was carried to one platform and released; a second platform gets the next month only.
    Outbox(enrolled.store, "province").settle(50, {}, BOOT, 1)
    enrolled.live(30, first=31)
    file = enrolled.file(month="2026-11")
    institute.take(file)
    done = enrolled.confirm(Path(f"{file}.receipt.json"))
    assert "records before it are missing" in done.output
    assert released_id(enrolled.store, ["province"]) == 50


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"receipts": [1], "rejected": []}', "[" * 5000])
def test_what_is_no_receipt_is_refused(box, tmp_path, text):
    (tmp_path / "r.json").write_text(text, encoding="utf-8")
    assert "is no receipt" in str(box.confirm(tmp_path / "r.json").exception)


def test_the_running_agent_takes_a_receipt_itself(enrolled, institute):
    config = load_config(enrolled.config_path)
    server = ControlServer(config.box.runtime_dir, confirming(enrolled.store, SystemClock(), config))
    try:
        assert "96 more records" in enrolled.confirm(imported(enrolled, institute)).output
    finally:
        server.close()
    assert released_id(enrolled.store, ["province"]) == 96


@pytest.mark.parametrize("arguments", [[], ["--month", "2026-10", "--confirm", "r.json"]])
def test_a_report_is_made_or_confirmed(box, arguments):
    done = CliRunner().invoke(report, ["--config", str(box.config_path), *arguments])
    assert (done.exit_code, "give either --month or --confirm" in done.output) == (2, True)
