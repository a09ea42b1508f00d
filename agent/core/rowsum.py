"""A short checksum of a row that stands for time.

Records have their hash chain. What else figures are made from (intervals, anchors, watermarks) carries the first 16 hex
digits of a SHA-256 of its values. It guards against a card that forgets, not against a person: 64 bits miss a flipped
bit once in 10^19, and SHA-256 is already what the rest is checked with. SQLite itself does not notice a changed value.
"""

import hashlib
import json


def row_sum(*values: int | str | None) -> str:
    """Return the checksum of a row: 16 hex digits over its values as a JSON array."""
    return hashlib.sha256(json.dumps(values, separators=(",", ":")).encode()).hexdigest()[:16]
