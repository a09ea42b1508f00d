"""Holds the log against what was signed: by the box when it sent a batch, and by the platform when it had it.

A signature that fits proves that the log up to there was not altered after the box wrote it, as long as nobody has the
box's key; a receipt proves that the platform had it then, whoever has the card. Neither proves that it is true.
"""

import json
from typing import TYPE_CHECKING, Any

from instrument_agent.buffer.chain import stands_for
from instrument_agent.buffer.reader import Readable
from instrument_agent.i18n import _
from instrument_agent.keys import KeysUnavailable, head_statement, is_signed

if TYPE_CHECKING:
    from instrument_agent.buffer.verify import Report

SIGNED = (
    "select destination, epoch, seq, head_hash, signature, public_key, receipt, platform_key from proofs"
    " order by destination, rowid"
)


def signatures(source: Readable, report: "Report") -> None:
    """Check the newest signature and receipt of each epoch and destination."""
    if not source.rows("select 1 from sqlite_master where name = 'proofs'"):
        return  # written before there were any
    for name, epoch, seq, head_hash, signature, public_key, receipt, platform_key in source.rows(SIGNED):
        try:
            _own(source, report, head_statement(_box_id(source, epoch), epoch, seq, head_hash), public_key, signature)
            if platform_key:
                _receipt(source, report, _read(receipt), {"epoch": epoch, "seq": seq}, platform_key)
        except KeysUnavailable as error:
            report.unproven["signatures"] += 1
            report.unsigned = str(error)
            continue
        for whose, key in (("box", public_key), ("platform", platform_key)):
            entry = {"destination": name, "of": whose, "public_key": key}
            if key and entry not in report.keys:
                report.keys.append(entry)


def _own(source: Readable, report: "Report", statement: dict[str, Any], public_key: str, signature: str) -> None:
    place = {"seq": statement["seq"], "epoch": statement["epoch"]}
    here = _hash_at(source, statement["epoch"], statement["seq"])
    if here is None:
        _missing(report, "signatures", _("record {seq} of epoch {epoch}, which the box signed, is not here"), place)
    elif here != statement["head_hash"]:
        report.differs(_("record {seq} of epoch {epoch} is not the one the box signed").format(**place))
    elif not is_signed(public_key, signature, statement):
        report.differs(_("the box's signature of record {seq} of epoch {epoch} does not fit").format(**place))
    else:
        report.proven["signatures"] += 1


def _receipt(
    source: Readable, report: "Report", receipt: dict[str, Any], sent: dict[str, Any], platform_key: str
) -> None:
    """Check a receipt of a platform that promised to sign some; ``sent`` is up to where records went there."""
    if not receipt:
        report.unproven["unreceipted"] += 1
        return
    epoch = sent["epoch"]
    said = {name: value for name, value in receipt.items() if name != "signature"}
    place = {"seq": said.get("acked_through"), "epoch": epoch}
    whose, box_id = (said.get("box_id"), said.get("epoch")), _box_id(source, epoch)
    if whose != (box_id or said.get("box_id"), epoch) or not is_signed(
        platform_key, str(receipt.get("signature")), said
    ):
        report.differs(_("the platform's receipt for epoch {epoch} is not signed by it").format(**place))
        return
    if type(place["seq"]) is not int or place["seq"] < sent["seq"]:  # or who acknowledged the rest was somebody else
        report.unproven["unreceipted"] += 1
    here, signed = _hash_at(source, epoch, place["seq"]), said.get("head_hash")
    if here is None:
        _missing(report, "receipts", _("record {seq} of epoch {epoch}, which the platform has, is not here"), place)
    elif signed is None:
        report.unproven["receipts"] += 1  # the platform refused the record up to which it has everything
    elif here != signed:
        report.differs(_("record {seq} of epoch {epoch} is not the one the platform has").format(**place))
    else:
        report.proven["receipts"] += 1


def _missing(report: "Report", what: str, sentence: str, place: dict[str, Any]) -> None:
    """Note a record that is not here: no difference if it was pruned, or the log itself tells that it was lost."""
    epoch = place["epoch"]
    told = any(
        epoch in (fault.get("epoch"), *(lost.get("epoch") for lost in fault.get("lost", ()))) for fault in report.faults
    )
    if epoch in report.roots or told:
        report.unproven[what] += 1
    else:
        report.differs(sentence.format(**place))


def _hash_at(source: Readable, epoch: str, seq: object) -> str | None:
    """Return the hash of a record as it was written first; the mark of one that was lost stands for it."""
    rows = source.rows("select body, hash from records where epoch = ? and seq = ?", (epoch, seq))
    try:
        return stands_for(json.loads(rows[0][0]), rows[0][1]) if rows else None
    except (ValueError, KeyError, TypeError):  # damaged, which the chain tells
        return str(rows[0][1])


def _box_id(source: Readable, epoch: str) -> str:
    """Return whose epoch it is, as its first record that is still here says."""
    rows = source.rows(
        "select json_extract(body, '$.box_id') from records where epoch = ? and json_valid(body) order by seq limit 1",
        (epoch,),
    )
    return str(rows[0][0]) if rows else ""


def _read(text: str | None) -> dict[str, Any]:
    """Return a receipt as it came; one that cannot be read is signed by nobody."""
    if text is None:
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        return {"signature": ""}
    return found if isinstance(found, dict) else {"signature": ""}
