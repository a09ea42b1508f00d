"""Takes the reports of boxes without a network: the same records by another way, into the same ledger, once.

Reasons are for the operator who imports the file.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby, islice
from typing import Any

from instrument_agent.core.readings import NS_PER_MS, NS_PER_S
from instrument_agent.i18n import _
from instrument_agent.keys import is_signed
from instrument_agent.receiver.enrolment import Enrolment
from instrument_agent.receiver.ledger import Ledger
from instrument_agent.receiver.signatures import counting_keys
from instrument_agent.report.opened import Opened, ReportRefused
from instrument_agent.report.sealed import seal_statement

AT_ONCE = 500


def check_seal(enrolment: Enrolment, report: Opened, *, unsigned: bool) -> None:
    """Check that a report was signed by the box it speaks for; ``unsigned`` takes one of a box that never enrolled.

    Raises:
        ReportRefused: it was not, or this box is let in no more.
    """
    keys = counting_keys(enrolment.keys(report.box_id))
    statement = seal_statement(report.box_id, str(report.month), report.seal.sha256)
    if keys and not enrolment.admits(report.box_id):
        raise ReportRefused(
            _("{box} was revoked here").format(box=report.box_id),
            _("enrol it again with a code made for it, and have it make the report again"),
        )
    named = {key["public_key"] for key in keys} & {report.seal.public_key}
    if any(is_signed(public_key, report.seal.signature, statement) for public_key in named):
        return
    if keys:
        raise ReportRefused(
            _("the report is not signed with the key of {box}").format(box=report.box_id),
            _("have the box make it again; if its key was changed, the file may be older than that"),
        )
    if not unsigned:
        raise ReportRefused(
            _("{box} is not enrolled here, so nothing proves that the report is its own").format(box=report.box_id),
            _("enrol the box, or take the file at your own word with --unsigned"),
        )


def take(ledger: Ledger, enrolment: Enrolment, report: Opened, now_ns: int) -> dict[str, Any]:
    """Store the records of a checked report that are not here yet; return the receipt file (UTC ``now_ns``).

    Its receipts are those of the wire contract, one for each epoch, and it is signed as a whole: what it says was
    refused must not be altered either. An interrupted import is simply made again.
    """
    for epoch, items in groupby(report.items(), lambda item: str(item["record"]["epoch"])):
        while part := list(islice(items, AT_ONCE)):
            ledger.store(report.box_id, epoch, part)
    marks = ledger.watermarks(report.box_id)
    refused = [item for item in ledger.rejected(report.box_id) if item.epoch in report.heads]
    given = {
        "month": str(report.month),
        "report_sha256": report.seal.sha256,
        "platform_key": enrolment.public_key,
        "receipts": list(_receipts(ledger, enrolment, report, marks, _utc_text(now_ns))),
        "rejected": [{"epoch": item.epoch, "seq": item.seq, "reason": item.reason} for item in refused],
    }
    return enrolment.signed(given)


def _receipts(
    ledger: Ledger, enrolment: Enrolment, report: Opened, marks: dict[str, int], time: str
) -> Iterator[dict[str, Any]]:
    for epoch in report.heads:
        head = ledger.hash_at(report.box_id, epoch, marks[epoch])
        said = {"box_id": report.box_id, "epoch": epoch, "acked_through": marks[epoch], "time": time}
        yield enrolment.signed(said if head is None else {**said, "head_hash": head})


def _utc_text(utc_ns: int) -> str:
    seconds, ns = divmod(utc_ns, NS_PER_S)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ns // NS_PER_MS:03d}Z"
