"""The summary of a day, changed by who computes every hash after it anew."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from instrument_agent.buffer.reader import FILE_NAME
from instrument_agent.core.canonical import canonical, record_hash


def forge(state_dir: Path, day: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a summary, and every hash from it on."""
    (state_dir / "head.json").unlink()
    with closing(sqlite3.connect(state_dir / FILE_NAME)) as connection:
        links: dict[str, str] = {}
        changed = 0
        for id_, body in connection.execute("select id, body from records order by id").fetchall():
            record = json.loads(body)
            record["prev_hash"] = links.get(record["epoch"], record["prev_hash"])
            if record["data"].get("previous_epoch") in links:
                record["data"]["previous_hash"] = links[record["data"]["previous_epoch"]]
            if record["data"].get("day") == day:
                change(record["data"])
                changed += 1
            links[record["epoch"]] = record_hash(record)
            sealed = (canonical(record).decode(), links[record["epoch"]], id_)
            connection.execute("update records set body = ?, hash = ? where id = ?", sealed)
        connection.commit()
    assert changed == 1
