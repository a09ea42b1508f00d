"""A sight of UTC is true although nothing can be written down; it is written down later."""

import sqlite3
from contextlib import closing
from pathlib import Path

from fake_clock import FakeClock

from instrument_agent.buffer.store import Store
from instrument_agent.core.anchors import NTP, Anchor
from instrument_agent.core.readings import NS_PER_S
from instrument_agent.uplink.anchoring import RETRY_NS, Anchoring


def anchors(store: Store) -> int:
    count: int = store.rows("select count(*) from anchors")[0][0]
    return count


def test_time_is_known_at_once_and_its_anchor_is_written_when_it_can_be(
    store: Store, anchoring: Anchoring, clock: FakeClock, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "buffer.db")) as other:
        other.execute("begin immediate")
        for source in (NTP, "platform:province"):
            anchoring.see(Anchor(clock.boot_id, clock.boottime_ns(), clock.utc_ns(), NS_PER_S, source))
        other.rollback()
    assert anchors(store) == 0
    assert anchoring.anchored.is_set()
    known = anchoring.utc(clock.boot_id, clock.boottime_ns())
    assert known is not None
    assert abs(known.utc_ns - clock.utc_ns()) <= known.error_ns
    anchoring.see(None)
    assert anchors(store) == 0, "a database that failed is left alone for a while"
    clock.advance(RETRY_NS / NS_PER_S)
    anchoring.see(None)
    assert anchors(store) == 2
    assert store.rows("select count(*) from records where type = 'time_anchor'") == [(2,)]
