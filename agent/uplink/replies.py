"""What a platform says in its replies, checked: none of it is believed further than it can be true."""

import json
from collections.abc import Mapping
from typing import Any

from instrument_agent.buffer.outbox import Batch
from instrument_agent.core.errors import PlatformUnavailable
from instrument_agent.i18n import _
from instrument_agent.uplink.answers import Reply

LONGEST_EPOCH, LARGEST_SEQ = 64, 2**53 - 1
"""What a platform says goes into a record, which holds no larger integers."""
LONGEST_RECEIPT = 2000


def acknowledged(reply: Reply, batch: Batch, last_seq: int) -> int:
    """Return up to which seq of this batch the platform has everything, or refuses it as ``rejected`` says.

    A platform may have more than this batch, if an earlier reply was lost; it cannot have more than ``last_seq``,
    the last one the box ever wrote in this epoch.

    Raises:
        PlatformUnavailable: the reply is no acknowledgement of this batch.
    """
    body: Mapping[str, Any] = reply.body
    acked = body.get("acked_through")
    whose = body.get("epoch") == batch.epoch and _names_refusals(body.get("rejected"))
    if not whose or type(acked) is not int or not 0 <= acked <= last_seq:
        raise PlatformUnavailable(
            _("the reply does not acknowledge what was sent"), _("the platform does not keep to contract v1")
        )
    return min(acked, batch.entries[-1].seq)


def _names_refusals(listed: object) -> bool:
    """Say whether ``rejected`` is what it must be: where it cannot be read, nobody knows what was stored."""
    return isinstance(listed, list) and all(
        isinstance(item, dict) and type(item.get("seq")) is int and isinstance(item.get("reason"), str)
        for item in listed
    )


def watermarks(reply: Reply) -> dict[str, int] | None:
    """Return ``acked_through`` of each epoch the platform knows; None if the reply does not say."""
    listed = reply.body.get("epochs")
    if not isinstance(listed, list):
        return None
    try:
        marks = {item["epoch"]: item["acked_through"] for item in listed}
    except (TypeError, KeyError):
        return None
    credible = all(
        isinstance(epoch, str) and len(epoch) <= LONGEST_EPOCH and type(mark) is int and 0 <= mark <= LARGEST_SEQ
        for epoch, mark in marks.items()
    )
    return marks if credible else None


def rejected(reply: Reply) -> list[tuple[int, str]]:
    """Return seq and reason of each record that was refused; the reply is an acknowledgement."""
    return [(item["seq"], item["reason"]) for item in reply.body["rejected"]]


def receipt(reply: Reply) -> str | None:
    """Return a receipt as it came, in JSON, or None without one; `verify` judges it."""
    found = reply.body.get("receipt")
    text = json.dumps(found) if isinstance(found, dict) else ""
    return text if 0 < len(text) <= LONGEST_RECEIPT else None
