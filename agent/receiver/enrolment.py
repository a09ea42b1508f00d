"""Who may speak for a box: one-time codes, the credential a box gets for one, and the keys it signs with.

A code is for one box, or for whichever box comes first; a box that is enrolled already needs a code made for it, so
that nobody takes its place with a spare one. A reply can be lost: until the credential has been borne once, the same
code with the same public key is answered again, with a new credential in place of the first.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from instrument_agent.core.readings import NS_PER_S
from instrument_agent.keys import public_key_of, sign
from instrument_agent.receiver.engine import laid_out, locked, writing
from instrument_agent.receiver.signatures import check_head, keys_of, mark_used, note_key, own_key, take_key
from instrument_agent.receiver.tables import REVOKED, boxes, codes, credentials

DAY_NS = 86_400 * NS_PER_S
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: nothing that is easily misread
_GROUPS, _GROUP = 5, 4  # 100 bits
_SHOWN = 4
_TOKEN_BYTES = 32
_NOBODY = hashlib.sha256(secrets.token_bytes(_TOKEN_BYTES)).hexdigest()


class CodeRefused(Exception):
    """The code does not enrol this box; the message says why."""


@dataclass(frozen=True, slots=True)
class Code:
    """A one-time code as it is listed: its text is known to nobody but whom it was given to.

    ``state``: open, used, expired or revoked. ``begins`` is its first characters. ``expires_ns``: UTC since 1970.
    """

    number: int
    begins: str
    box_id: str | None
    expires_ns: int
    used_by: str | None
    state: str


class Enrolment:
    """Codes and credentials in the database at a SQLAlchemy URL; may be used from many threads and processes."""

    def __init__(self, url: str) -> None:
        self._engine = laid_out(url)
        self._writer = writing(self._engine)
        with self._writer.begin() as connection:
            self._private_key = own_key(connection)
        self.public_key = public_key_of(self._private_key)
        """The platform's own, with which boxes check its receipts."""

    def close(self) -> None:
        """Give the database back."""
        self._engine.dispose()

    def new_code(self, box_id: str | None, now_ns: int, days: int) -> str:
        """Make a code that enrols ``box_id`` (None: any box that is not enrolled) within ``days``; return its text."""
        plain = "".join(secrets.choice(_ALPHABET) for _place in range(_GROUPS * _GROUP))
        row = {
            "code_hash": _digest(plain),
            "begins": plain[:_SHOWN],
            "box_id": box_id,
            "expires_ns": now_ns + days * DAY_NS,
            "revoked": 0,
        }
        with self._writer.begin() as connection:
            connection.execute(insert(codes).values(row))
        return "-".join(plain[at : at + _GROUP] for at in range(0, len(plain), _GROUP))

    def codes(self, now_ns: int) -> list[Code]:
        """Return all codes, oldest first."""
        with self._engine.begin() as connection:
            rows = connection.execute(select(codes).order_by(codes.c.id)).all()
        return [Code(row.id, row.begins, row.box_id, row.expires_ns, row.used_by, _state(row, now_ns)) for row in rows]

    def revoke_code(self, number: int) -> bool:
        """Make a code useless, and revoke the box that enrolled with it; False if there is no such code."""
        with self._writer.begin() as connection:
            found = connection.execute(update(codes).where(codes.c.id == number).values(revoked=1))
            _take_away(connection, credentials.c.code_id == number)
        return found.rowcount > 0

    def enrol(self, box_id: str, text: str, public_key: str, now_ns: int) -> str:
        """Take a code and return the credential of the box.

        Raises:
            CodeRefused: it is not known, used, expired, revoked, or for another box.
        """
        mine = codes.c.code_hash == _digest(_plain(text))
        with self._writer.begin() as connection:
            locked(connection, boxes, {"box_id": box_id}, "box_id")
            row: Any = connection.execute(select(codes).where(mine).with_for_update()).one_or_none()
            known = connection.execute(select(credentials).where(credentials.c.box_id == box_id)).one_or_none()
            _check(row, box_id, known, public_key, now_ns)
            credential = secrets.token_urlsafe(_TOKEN_BYTES)
            given = {"token_hash": _digest(credential), "public_key": public_key, "borne": 0}
            connection.execute(delete(credentials).where(credentials.c.box_id == box_id))
            connection.execute(insert(credentials).values(box_id=box_id, code_id=row.id, **given))
            connection.execute(update(codes).where(mine).values(used_by=box_id))
            note_key(connection, box_id, public_key, now_ns, used=True)
        return credential

    def revoke_box(self, box_id: str) -> bool:
        """Take a box's credential away; False if it has none. To enrol again it needs a code made for it."""
        with self._writer.begin() as connection:
            return _take_away(connection, credentials.c.box_id == box_id)

    def keys(self, box_id: str) -> list[dict[str, Any]]:
        """Return every key a box had, newest first: ``public_key``, ``since_ns`` (UTC since 1970)."""
        with self._engine.begin() as connection:
            return keys_of(connection, box_id)

    def take_key(self, box_id: str, body: Mapping[str, Any], now_ns: int) -> None:
        """Take the new key of a box, signed with its old one.

        Raises:
            NotSigned: it is not.
        """
        with self._writer.begin() as connection:
            locked(connection, boxes, {"box_id": box_id}, "box_id")
            take_key(connection, box_id, body, now_ns)

    def check_head(self, box_id: str, body: Mapping[str, Any]) -> None:
        """Check the signature of a batch.

        Raises:
            NotSigned: it was not made by this box.
        """
        new = (credentials.c.box_id == box_id, credentials.c.borne == 0)
        with self._engine.begin() as connection:
            first = check_head(connection, box_id, body)
            unborne = connection.execute(select(credentials.c.box_id).where(*new)).first() is not None
        if first or unborne:
            with self._writer.begin() as connection:
                if first:
                    mark_used(connection, box_id)
                # Through a broker no credential is ever borne here; a signature shows as well that the reply came.
                connection.execute(update(credentials).where(*new).values(borne=1))

    def signed(self, statement: Mapping[str, Any]) -> dict[str, Any]:
        """Return a statement with the platform's signature of it."""
        return {**statement, "signature": sign(self._private_key, statement)}

    def admits(self, box_id: str) -> bool:
        """Say whether the box is enrolled and not revoked; for those whose name somebody else vouches for."""
        mine = (credentials.c.box_id == box_id, credentials.c.token_hash != REVOKED)
        with self._engine.begin() as connection:
            return connection.execute(select(credentials.c.box_id).where(*mine)).first() is not None

    def bears(self, box_id: str, token: bytes) -> bool:
        """Say whether ``token`` is the credential of the box; takes as long whether it is nearly so or not at all."""
        with self._engine.begin() as connection:
            row = connection.execute(select(credentials).where(credentials.c.box_id == box_id)).one_or_none()
        given = hashlib.sha256(token).hexdigest()
        good = hmac.compare_digest(given, _NOBODY if row is None else row.token_hash)
        if good and row is not None and not row.borne:
            mine = (credentials.c.box_id == box_id, credentials.c.token_hash == given)
            with self._writer.begin() as connection:
                connection.execute(update(credentials).where(*mine).values(borne=1))
        return good and row is not None


def _take_away(connection: Connection, whose: ColumnElement[bool]) -> bool:
    """Take credentials away and remember that they were, so that no spare code enrols another box of that name."""
    mine = (whose, credentials.c.token_hash != REVOKED)
    return connection.execute(update(credentials).where(*mine).values(token_hash=REVOKED, borne=1)).rowcount > 0


def _check(row: Any, box_id: str, known: Any, public_key: str, now_ns: int) -> None:
    """Refuse a code that does not enrol this box; ``known`` is the credential the box has now."""
    if row is None:
        raise CodeRefused("this code is not known here")
    given = known is not None and (known.code_id, known.public_key, known.borne) == (row.id, public_key, 0)
    again = given and now_ns < row.expires_ns
    state = _state(row, now_ns)
    if state != "open" and not (state == "used" and again):
        raise CodeRefused(f"this code is {state}; ask for a new one")
    if row.box_id not in (None, box_id):
        raise CodeRefused("this code is for another box")
    if known is not None and row.box_id is None and not again:
        raise CodeRefused("this box is enrolled already; it takes a code made for it to enrol it again")


def _state(row: Any, now_ns: int) -> str:
    if row.revoked:
        return "revoked"
    if row.used_by is not None:
        return "used"
    return "expired" if now_ns >= row.expires_ns else "open"


def _plain(text: str) -> str:
    """Return a code as it was made, from what a person typed."""
    typed = "".join(text.split()).replace("-", "").upper()
    return typed.translate(str.maketrans("OIL", "011"))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
