"""What a platform lost and is pruned here holds up nothing that came after it."""

from pathlib import Path

import pytest
from damage import UTC_NS, filled
from stored import BOOT

from instrument_agent.buffer.outbox import Outbox
from instrument_agent.buffer.retention import DAY_NS, KEPT_NS, prune
from instrument_agent.buffer.store import Store
from instrument_agent.core.anchors import Utc
from instrument_agent.core.readings import NS_PER_S

LATER = Utc(UTC_NS + KEPT_NS + DAY_NS, NS_PER_S)


@pytest.fixture
def store(tmp_path: Path):
    """Return a log that has arrived at one platform, and of which the older epochs are pruned."""
    store = filled(tmp_path / "box")
    Outbox(store, "province").settle(store.rows("select max(id) from records")[0][0], {}, BOOT, 1)
    assert prune(store, LATER, ["province"]).records > 0
    yield store
    store.close()


def first_waiting(outbox: Outbox) -> tuple[str, int] | None:
    batch = outbox.next_batch(10)
    return batch and (batch.epoch, batch.entries[0].seq)


def test_a_platform_that_lost_everything_is_sent_what_is_whole_here(store: Store) -> None:
    outbox = Outbox(store, "province")
    assert outbox.lost_there({}) == (store.epoch, 0)
    outbox.rewind(store.epoch, 0)
    assert first_waiting(outbox) == (store.epoch, 1)


def test_no_platform_can_ask_for_what_is_pruned(store: Store) -> None:
    outbox = Outbox(store, "province")
    pruned = store.rows("select epoch from roots limit 1")[0][0]
    outbox.rewind(pruned, 1)
    assert first_waiting(outbox) == (store.epoch, 1)


def test_a_destination_that_comes_back_after_pruning_goes_on_behind_it(store: Store) -> None:
    Outbox(store, "university").settle(3, {}, BOOT, 1)  # so far it had come when it was taken out of the config
    assert first_waiting(Outbox(store, "university")) == (store.epoch, 1)
