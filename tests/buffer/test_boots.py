"""Which boots a database knows, and how far each is known to have gone."""

from pathlib import Path

from stored import BOOT, append, start

from instrument_agent.buffer.books import save_anchor, save_interval, save_state, save_stop
from instrument_agent.buffer.boots import boots, chronology
from instrument_agent.buffer.store import Store
from instrument_agent.core.anchors import Anchor, Quality
from instrument_agent.core.chronology import Boot
from instrument_agent.core.ledger import Interval
from instrument_agent.core.readings import NS_PER_S, Activity
from instrument_agent.core.step import begin

SECOND = "22222222-2222-4222-8222-222222222222"
THIRD = "33333333-3333-4333-8333-333333333333"
UTC_NS = 1_800_000_000 * NS_PER_S


def anchor(boot_id: str, at_s: int, utc_ns: int) -> Anchor:
    return Anchor(boot_id, at_s * NS_PER_S, utc_ns, NS_PER_S, "ntp")


def test_boots_come_in_the_order_they_happened_with_their_first_start(tmp_path: Path):
    store = Store(tmp_path, "box-1")
    for at_s, boot_id in ((50, SECOND), (90, SECOND), (20, BOOT)):
        store.begin_epoch(start(at_s, boot_id))
    assert boots(store) == [Boot(SECOND, 50 * NS_PER_S, 90 * NS_PER_S), Boot(BOOT, 20 * NS_PER_S, 20 * NS_PER_S)]
    store.close()


def test_every_trace_shows_that_a_boot_went_on(tmp_path: Path):
    store = Store(tmp_path, "box-1")
    epoch = store.begin_epoch(start(10))

    def last_s() -> int:
        [boot] = boots(store)
        return boot.last_ns // NS_PER_S

    append(store, 20)
    assert last_s() == 20
    with store.write() as change:
        save_state(change, "xrd-1", begin(BOOT, 30 * NS_PER_S))
    assert last_s() == 30
    with store.write() as change:
        save_anchor(change, anchor(BOOT, 40, UTC_NS))
    assert last_s() == 40
    with store.write() as change:
        save_interval(change, "xrd-1", BOOT, Interval(0, 50 * NS_PER_S, Activity.OFF))
    assert last_s() == 50
    with store.write() as change:
        save_stop(change, epoch, 60 * NS_PER_S)
    assert last_s() == 60
    store.close()


def test_what_an_epoch_says_of_the_boot_before_it_is_no_trace_of_its_own(tmp_path: Path):
    store = Store(tmp_path, "box-1")
    store.begin_epoch(start(10))
    store.begin_epoch(start(5, SECOND))
    append(store, 900)  # on the clock of the first boot
    assert boots(store) == [Boot(BOOT, 10 * NS_PER_S, 900 * NS_PER_S), Boot(SECOND, 5 * NS_PER_S, 5 * NS_PER_S)]
    store.close()


def test_a_boot_without_an_anchor_is_bounded_by_what_the_database_says_of_its_neighbours(tmp_path: Path):
    store = Store(tmp_path, "box-1")
    for number, boot_id in enumerate((BOOT, SECOND, THIRD)):
        store.begin_epoch(start(10, boot_id))
        if boot_id != SECOND:
            with store.write() as change:
                save_anchor(change, anchor(boot_id, 100, UTC_NS + number * 3600 * NS_PER_S))
    moment = chronology(store).moment(SECOND, 10 * NS_PER_S)
    store.close()
    assert moment.latest_ns is not None
    assert moment.quality is Quality.BOUNDED
    assert moment.earliest_ns == UTC_NS - NS_PER_S
    assert moment.latest_ns == UTC_NS + 7200 * NS_PER_S - 90 * NS_PER_S + NS_PER_S + 9_000_000
