"""What a platform answers to a report: a receipt file, by which the box releases what was imported."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from instrument_agent.buffer.chain import stands_for
from instrument_agent.buffer.outbox import Outbox
from instrument_agent.buffer.reader import Readable
from instrument_agent.buffer.retention import REPORTS, released_id
from instrument_agent.buffer.store import Store
from instrument_agent.clock import Clock
from instrument_agent.config import Config
from instrument_agent.core.errors import AgentError
from instrument_agent.i18n import _
from instrument_agent.keys import is_signed

LONGEST_RECEIPT = 1 << 20


class ReceiptRefused(AgentError):
    """A receipt that is not one for the records of this box."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a platform has of a box: ``marks`` are (epoch, acked_through, head hash), ``refused`` (epoch, seq, reason).

    The head hash is empty where the platform refused that very record.
    """

    platform_key: str
    marks: Sequence[tuple[str, int, str]]
    refused: Sequence[tuple[str, int, str]]


def read_receipt(path: Path, box_id: str, platform_keys: Collection[str]) -> Receipt:
    """Read a receipt file and check who signed it; ``platform_keys`` are those of the platforms that know this box.

    Raises:
        ReceiptRefused: it is no receipt, for another box, or not signed by one of them (by the key in it without any).
        KeysUnavailable: the library for signatures is missing.
    """
    try:
        said = json.loads(path.read_text(encoding="utf-8")[:LONGEST_RECEIPT])
        found = _receipt(said)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ReceiptRefused(
            _("{path} is no receipt").format(path=path), _("give the file that `platform import` wrote")
        ) from error
    for item in said["receipts"]:
        if item.get("box_id") != box_id:
            raise ReceiptRefused(
                _("this receipt is for the box {other}, not for {box}").format(other=item.get("box_id"), box=box_id),
                _("take it to that box"),
            )
    statement = {name: value for name, value in said.items() if name != "signature"}
    if not is_signed(found.platform_key, str(said.get("signature")), statement):
        raise ReceiptRefused(
            _("the receipt is not signed as it should be: it was changed"), _("import the report again")
        )
    if platform_keys and found.platform_key not in platform_keys:
        raise ReceiptRefused(
            _("the receipt is signed by a platform at which this box is not enrolled"),
            _("compare its key with the platform's (platform keys): {key}").format(key=found.platform_key),
        )
    return found


def confirming(store: Store, clock: Clock, config: Config) -> dict[str, Callable[[Mapping[str, Any]], int]]:
    """Return the answer to ``confirm_report``, by the name of the request."""
    return {"confirm_report": lambda request: confirm(store, clock, config, request)}


def confirm(store: Store, clock: Clock, config: Config, request: Mapping[str, Any]) -> int:
    """Release what a receipt says has arrived; return how many records that is.

    ``request`` holds ``marks`` and ``refused`` of a receipt that was checked.

    Raises:
        ReceiptRefused: it names records that this box does not have.
    """
    marks = {str(epoch): int(seq) for epoch, seq, _head in request["marks"]}
    for epoch, seq, head_hash in request["marks"]:
        _check_head(store, str(epoch), int(seq), str(head_hash))
    before_id = released_id(store, [item.name for item in config.destinations])
    through_id = _reached(store, before_id, marks)
    if through_id == before_id:
        return 0
    refused: dict[int, str] = {}
    for epoch, seq, reason in request["refused"]:
        ids = store.rows("select id from records where epoch = ? and seq = ?", (epoch, seq))
        refused |= {id_: str(reason) for (id_,) in ids}
    Outbox(store, REPORTS).settle(through_id, refused, clock.boot_id, clock.boottime_ns())
    count: int = store.rows("select count(*) from records where id > ? and id <= ?", (before_id, through_id))[0][0]
    return count


def _receipt(said: Mapping[str, Any]) -> Receipt:
    marks = [
        (str(item["epoch"]), int(item["acked_through"]), str(item.get("head_hash", ""))) for item in said["receipts"]
    ]
    refused = [(str(item["epoch"]), int(item["seq"]), str(item["reason"])) for item in said["rejected"]]
    return Receipt(str(said["platform_key"]), marks, refused)


def _check_head(source: Readable, epoch: str, seq: int, head_hash: str) -> None:
    """Refuse a mark on a record that is not in this log; one that was pruned has been released before."""
    if seq == 0 or source.rows("select 1 from roots where epoch = ? and seq >= ?", (epoch, seq)):
        return
    rows = source.rows("select body, hash from records where epoch = ? and seq = ?", (epoch, seq))
    here = stands_for(json.loads(rows[0][0]), rows[0][1]) if rows else None
    if here is None or (head_hash and head_hash != here):
        raise ReceiptRefused(
            _("the receipt names record {seq} of epoch {epoch}, which is not in this box").format(seq=seq, epoch=epoch),
            _("was the card copied or restored? look with: instrument-agent verify"),
        )


def _reached(source: Readable, after_id: int, marks: Mapping[str, int]) -> int:
    """Return up to where everything after a place in the log has arrived."""
    ends = source.rows(
        "select epoch, max(seq), max(id) from records where id > ? group by epoch order by min(id)", (after_id,)
    )
    for epoch, last_seq, last_id in ends:
        if marks.get(epoch, 0) < last_seq:
            part = source.rows(
                "select coalesce(max(id), 0) from records where epoch = ? and seq <= ?", (epoch, marks.get(epoch, 0))
            )
            return max(after_id, int(part[0][0]))
        after_id = int(last_id)
    return after_id
