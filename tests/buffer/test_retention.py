"""What is old and has arrived goes; what sums it up stays."""

from pathlib import Path

import pytest
from damage import NAME, UTC_NS, filled
from stored import BOOT, start

from instrument_agent.buffer.books import save_anchor, save_events
from instrument_agent.buffer.outbox import Outbox
from instrument_agent.buffer.reader import FILE_NAME
from instrument_agent.buffer.retention import DAY_NS, KEPT_NS, Pruned, prune
from instrument_agent.buffer.store import Start, Store
from instrument_agent.buffer.verify import verify
from instrument_agent.core.anchors import Anchor, Utc
from instrument_agent.core.ledger import Interval
from instrument_agent.core.readings import NS_PER_S, Activity, UnknownReason
from instrument_agent.core.sessions import RunSession
from instrument_agent.core.step import begin

LATER = Utc(UTC_NS + KEPT_NS + DAY_NS, NS_PER_S)


def all_acknowledged(store: Store, name: str = "province") -> None:
    Outbox(store, name).settle(store.rows("select max(id) from records")[0][0], {}, BOOT, 1)


def test_old_epochs_that_have_arrived_are_pruned_to_what_is_kept_for_life(tmp_path: Path):
    store = filled(tmp_path / "box")
    all_acknowledged(store)
    assert prune(store, LATER, ["province"]).records == 2 * 60
    kept = dict(store.rows("select type, count(*) from records where epoch <> ? group by type", (store.epoch,)))
    assert kept == {"epoch_started": 2, "lifecycle_event": 2, "time_anchor": 2}
    report = verify(store, None)
    assert report.differences == []
    assert len(report.roots) == 2
    assert report.unproven["lone_records"] == 6
    store.close()


def test_what_was_pruned_is_not_said_to_be_lost_when_a_platform_still_has_it(tmp_path: Path):
    store = filled(tmp_path / "box")
    there = dict(store.rows("select epoch, max(seq) from records group by epoch"))
    all_acknowledged(store)
    prune(store, LATER, ["province"])
    outbox = Outbox(store, "province")
    outbox.note_high_water(there, BOOT, 1)
    assert store.rows("select body from records where type = 'fault'") == []
    assert {epoch: outbox.last_seq(epoch) for epoch in there} == there
    store.close()


@pytest.mark.parametrize(
    ("now", "names"),
    [
        (None, ["province"]),
        (Utc(UTC_NS + KEPT_NS - DAY_NS, 0), ["province"]),
        (Utc(LATER.utc_ns, 3 * DAY_NS), ["province"]),
        (LATER, []),
        (LATER, ["province", "university"]),
    ],
    ids=["no time", "too young", "perhaps too young", "no destination", "one has not got it"],
)
def test_nothing_else_is_pruned(tmp_path: Path, now: Utc | None, names: list[str]):
    store = filled(tmp_path / "box")
    all_acknowledged(store)
    assert prune(store, now, names) == Pruned()
    store.close()


@pytest.mark.parametrize("same_boot", [True, False], ids=["in a boot that a platform saw, too", "in a boot of its own"])
def test_a_time_server_that_is_years_behind_makes_nothing_old(tmp_path: Path, same_boot: bool):
    store = filled(tmp_path / "box")
    boot_id = BOOT if same_boot else "boot-2"
    if not same_boot:
        store.begin_epoch(Start(boot_id, 5 * NS_PER_S, "0", "x"))
    with store.write() as change:
        save_anchor(change, Anchor(boot_id, 200 * NS_PER_S, UTC_NS - 350 * DAY_NS, NS_PER_S, "ntp"))
    all_acknowledged(store)
    young = Utc(UTC_NS + 60 * DAY_NS, NS_PER_S)
    assert prune(store, young, ["province"]) == Pruned()
    assert prune(store, LATER, ["province"]).records > 0, "what is old goes all the same"
    store.close()


def test_a_platform_that_comes_later_begins_behind_what_was_pruned(tmp_path: Path):
    store = filled(tmp_path / "box")
    all_acknowledged(store)
    prune(store, LATER, ["province"])
    batch = Outbox(store, "university").next_batch(10)
    assert batch is not None
    assert (batch.epoch, batch.entries[0].seq) == (store.epoch, 1)
    store.close()


def test_the_file_stops_growing_over_ten_years(tmp_path: Path):
    store = Store(tmp_path, "box-1")
    outbox = Outbox(store, "province")
    sizes = []
    for month in range(120):
        at_ns = month * 30 * DAY_NS
        store.begin_epoch(start(at_ns // NS_PER_S))
        with store.write() as change:
            save_anchor(change, Anchor(BOOT, at_ns, UTC_NS + at_ns, NS_PER_S, "ntp"))
            for run in range(100):
                a, b, c = (at_ns + (run * 3 + more) * NS_PER_S for more in range(3))
                gap = Interval(b, c, Activity.UNKNOWN, UnknownReason.NOT_POLLED)
                events = (Interval(a, b, Activity.RUNNING), RunSession(a, b, 0), gap)
                save_events(change, NAME, begin(BOOT, c), events)
        outbox.settle(store.rows("select max(id) from records")[0][0], {}, BOOT, 1)
        prune(store, Utc(UTC_NS + at_ns, NS_PER_S), ["province"])
        store.rows("pragma wal_checkpoint(truncate)")
        sizes.append((tmp_path / FILE_NAME).stat().st_size)
    assert sizes[-1] < 1.4 * sizes[17], "after the first 400 days only what is kept for life adds to it"
    assert store.rows("select count(*) from records")[0][0] < 17 * 202 + 120 * 2
    store.close()


def test_an_epoch_of_its_beginning_only_is_not_asked_for_again_once_what_came_after_it_is_pruned(tmp_path: Path):
    store = Store(tmp_path, "box-1")
    store.begin_epoch(start(0))
    lone = store.epoch
    store.close()
    store = Store(tmp_path, "box-1")
    for number in (1, 2):
        at_ns = number * NS_PER_S
        store.begin_epoch(start(number))
        with store.write() as change:
            save_anchor(change, Anchor(BOOT, at_ns, UTC_NS + at_ns, NS_PER_S, "platform:province"))
            save_events(change, NAME, begin(BOOT, at_ns), (RunSession(at_ns, at_ns + NS_PER_S // 2, 0),))
    all_acknowledged(store)
    outbox = Outbox(store, "province")
    assert outbox.lost_there({}) == (lone, 0)
    assert prune(store, LATER, ["province"]).records == 1
    # Going back to it would lead nowhere: nothing before what is pruned is sent again.
    assert outbox.lost_there({}) == (store.epoch, 0)
    store.close()
