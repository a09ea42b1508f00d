"""Whose signature counts for a box, and the platform's own key.

A box signs the head of each batch with its newest key. While a key it rotated to has not been used, the one before it
counts too: the reply to the rotation may have been lost. Every key a box ever had is kept: it is what old signatures
are held against.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, insert, select, update

from instrument_agent.keys import (
    head_statement,
    is_signed,
    key_statement,
    new_private_key,
)
from instrument_agent.receiver.tables import box_keys, platform_key


class NotSigned(Exception):
    """A batch or a new key is not signed with a key of the box."""


def own_key(connection: Connection) -> str:
    """Return the private key of the platform, which is made when it is first asked for."""
    found = connection.execute(select(platform_key.c.private_key).order_by(platform_key.c.id)).scalars().first()
    if found is None:
        found = new_private_key()
        connection.execute(insert(platform_key).values(id=1, private_key=found))
    return str(found)


def note_key(connection: Connection, box_id: str, public_key: str, now_ns: int, *, used: bool) -> None:
    """Make a key the newest of a box, unless it is that already."""
    keys = keys_of(connection, box_id)
    if not keys or keys[0]["public_key"] != public_key:
        row = {"box_id": box_id, "public_key": public_key, "since_ns": now_ns, "used": int(used)}
        connection.execute(insert(box_keys).values(row))


def keys_of(connection: Connection, box_id: str) -> list[dict[str, Any]]:
    """Return every key a box had, newest first: ``public_key``, ``since_ns`` (UTC since 1970), ``used``."""
    query = select(box_keys).where(box_keys.c.box_id == box_id).order_by(box_keys.c.id.desc())
    return [dict(row) for row in connection.execute(query).mappings()]


def counting_keys(keys: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """Return which keys of a box count now, of all it had (``keys_of``)."""
    return keys[:1] if not keys or keys[0]["used"] else keys[:2]


def check_head(connection: Connection, box_id: str, body: Mapping[str, Any]) -> bool:
    """Check the signature of a batch; return whether it is the first one made with its key.

    Raises:
        NotSigned: it was not made with a key that counts for this box, or it does not cover every record.
    """
    if not _lead_to_the_last(body["records"]):
        raise NotSigned("records: one does not name the hash of the one before it, so the signature does not cover it")
    keys = keys_of(connection, box_id)
    last = body["records"][-1]["record"]["seq"]
    statement = head_statement(box_id, body["epoch"], last, body["head_hash"])
    for place, key in enumerate(counting_keys(keys)):
        if is_signed(key["public_key"], body.get("signature", ""), statement):
            return place == 0 and not key["used"]
    raise NotSigned("signature: not made with the key of this box over box_id, epoch, seq and head_hash")


def _lead_to_the_last(items: Sequence[Mapping[str, Any]]) -> bool:
    """Say whether each record names the hash of the one before it: only so the last one's hash stands for all."""
    return all(after["record"].get("prev_hash") == before["hash"] for before, after in pairwise(items))


def mark_used(connection: Connection, box_id: str) -> None:
    """Let only the newest key of a box count from now on."""
    newest = keys_of(connection, box_id)[0]["id"]
    connection.execute(update(box_keys).where(box_keys.c.id == newest).values(used=1))


def take_key(connection: Connection, box_id: str, body: Mapping[str, Any], now_ns: int) -> None:
    """Take a new key that is signed with the newest one; the same again is answered as before.

    Raises:
        NotSigned: it is not.
    """
    keys = keys_of(connection, box_id)
    statement = key_statement(box_id, body["replaces"], body["public_key"])
    again = len(keys) > 1 and (body["public_key"], body["replaces"]) == (keys[0]["public_key"], keys[1]["public_key"])
    if not again and (not keys or body["replaces"] != keys[0]["public_key"]):
        raise NotSigned("replaces: not the newest key of this box")
    if not is_signed(body["replaces"], body["signature"], statement):
        raise NotSigned("signature: not made with the key that is replaced")
    if not again and body["public_key"] in {key["public_key"] for key in keys}:
        raise NotSigned("public_key: this box had it before")
    note_key(connection, box_id, body["public_key"], now_ns, used=False)
