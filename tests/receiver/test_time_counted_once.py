"""Hours per instrument: each second once, whichever boxes, cards and epochs tell of it."""

from collections.abc import Iterator
from typing import Any

import pytest
from wire_box import ran, sealed

from instrument_agent.core.canonical import NO_HASH
from instrument_agent.receiver import Ledger
from instrument_agent.receiver.counting import Hours, Spent, hours
from instrument_agent.receiver.views import hours_of, oddities

H = 3_600_000
DAWN = 1_795_334_400_000  # UTC ms since 1970
BOOTS = [f"6f1d8f3e-52f0-4f6e-8b9a-0c7f2d1e4a{number:02d}" for number in range(9)]
EPOCHS = [f"0b54c7fb-7c3c-4a83-9d2f-3a1a3f5a2b{number:02d}" for number in range(9)]


class Card:
    """The log of one epoch, written by a box in one boot that began ``booted_h`` hours after dawn."""

    def __init__(self, number: int, boot: int, booted_h: float, box_id: str = "box-1", error_ms: int = 1000) -> None:
        self.box_id, self.epoch, self.boot_id = box_id, EPOCHS[number], BOOTS[boot]
        self.items: list[dict[str, Any]] = []
        if error_ms:
            utc_ms = DAWN + round(booted_h * H)
            self.add("time_anchor", {"boottime_ms": 0, "utc_ms": utc_ms, "error_ms": error_ms, "source": "ntp"}, None)

    def add(self, kind: str, data: dict[str, Any], instrument_id: str | None = "xrd-1") -> "Card":
        place = {"box_id": self.box_id, "epoch": self.epoch, "seq": len(self.items) + 1, "boot_id": self.boot_id}
        prev_hash = self.items[-1]["hash"] if self.items else NO_HASH
        record = {**place, "prev_hash": prev_hash, "at_ms": len(self.items), "type": kind, "data": data}
        self.items.append(sealed(record if instrument_id is None else {**record, "instrument_id": instrument_id}))
        return self

    def run(self, start_h: float, end_h: float, instrument_id: str = "xrd-1") -> "Card":
        return self.add("run_session", ran(round(start_h * H), round(end_h * H)), instrument_id)

    def named(self, platform_code: str, instrument_id: str = "xrd-1") -> "Card":
        identity = {"platform_code": platform_code}
        return self.add("lifecycle_event", {"event": "configured", "identity": identity}, instrument_id)

    @property
    def records(self) -> list[dict[str, Any]]:
        return [item["record"] for item in self.items]


def counted(*cards: Card) -> Hours:
    [found] = hours(record for card in cards for record in card.records)
    return found


def running_h(*cards: Card) -> tuple[float, float]:
    spent = counted(*cards).running
    return spent.counted_ms / H, spent.doubled_ms / H


@pytest.fixture
def ledger(tmp_path: Any) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{tmp_path / 'platform.db'}") as ledger:
        yield ledger


def test_runs_one_after_the_other_are_summed():
    assert running_h(Card(0, 0, 0).run(1, 2).run(2, 4), Card(1, 1, 10).run(0, 3)) == (6, 0)


def test_a_cloned_card_in_a_second_box_adds_nothing_to_the_time_it_doubles():
    # The same hours of the same instrument, from two boots with boot clocks of their own.
    original, clone = Card(0, 0, 0).run(1, 5), Card(1, 1, 0.5).run(0.5, 4.5)
    assert running_h(original, clone) == (4, 4)
    [doubled] = counted(original, clone).running.doubled
    assert (doubled.epoch, doubled.seq, doubled.doubled_ms) == (EPOCHS[1], 2, 4 * H)


def test_of_an_overlap_only_what_overlaps_is_left_out():
    assert running_h(Card(0, 0, 0).run(1, 5), Card(1, 1, 0).run(4, 7)) == (6, 1)
    assert running_h(Card(0, 0, 0).run(1, 5), Card(1, 1, 0).run(0, 2), Card(2, 2, 0).run(0, 7)) == (7, 6)


def test_a_run_that_a_restored_card_tells_again_in_the_same_boot_counts_once():
    assert running_h(Card(0, 0, 0).run(1, 5), Card(1, 0, 0).run(1, 5.5)) == (4.5, 4)


def test_without_any_sight_of_utc_a_boot_is_compared_with_itself_and_told_apart():
    alone = Card(0, 0, 0, error_ms=0).run(1, 5)
    assert counted(alone).running == Spent(4 * H, 0, 4 * H)
    again = Card(1, 0, 0, error_ms=0).run(4, 6)
    assert running_h(alone, again) == (5, 1)


def test_an_overlap_that_the_clocks_cannot_prove_is_summed():
    # Each UTC may be 60 s off: boots that seem to overlap by 100 s may have followed each other.
    before = Card(0, 0, 0, error_ms=60_000).run(0, 1)
    assert running_h(before, Card(1, 1, 1 - 100 / 3600, error_ms=60_000).run(0, 1)) == (2, 0)
    counted_h, doubled_h = running_h(before, Card(1, 1, 1 - 200 / 3600, error_ms=60_000).run(0, 1))
    assert doubled_h == pytest.approx(200 / 3600)
    assert counted_h == pytest.approx(2 - 200 / 3600)


def test_time_that_was_not_seen_is_not_doubled_by_whoever_saw_it():
    # A run from 1 to 5 that was not seen from 2 to 4; a second box saw just that.
    seen = Card(0, 0, 0).add("observation_gap", {"start_ms": 2 * H, "end_ms": 4 * H, "reason": "driver_error"})
    seen.add("run_session", {"start_ms": H, "end_ms": 5 * H, "unseen_ms": 2 * H, "running_ms": 2 * H})
    assert running_h(seen, Card(1, 1, 0).run(2, 4)) == (4, 0)
    assert running_h(seen, Card(1, 1, 0).run(1, 5)) == (4, 2)


def test_a_gap_that_a_restored_card_tells_later_in_the_same_boot_frees_no_time_that_was_counted():
    # What the first card saw from 1 to 5, the one that was put back did not see from 2 to 4; a second box saw it again.
    seen = Card(0, 0, 0).named("DY-1").run(1, 5)
    restored = Card(1, 0, 0).named("DY-1")
    restored.add("observation_gap", {"start_ms": 2 * H, "end_ms": 4 * H, "reason": "agent_stopped"})
    restored.add("run_session", {"start_ms": H, "end_ms": 6 * H, "unseen_ms": 2 * H, "running_ms": 3 * H})
    assert running_h(seen, restored, Card(2, 1, 0, "box-2").named("DY-1", "b").run(2, 4, "b")) == (5, 4)


def test_gaps_make_one_hole_in_whatever_order_they_are_told():
    gaps = [(3, 4), (1, 2), (1.5, 3.5), (6, 7), (4, 5)]
    for order in (gaps, gaps[::-1], sorted(gaps)):
        seen = Card(0, 0, 0)
        for start_h, end_h in order:
            seen.add("observation_gap", {"start_ms": round(start_h * H), "end_ms": round(end_h * H), "reason": "x"})
        seen.add("run_session", {"start_ms": 0, "end_ms": 8 * H, "unseen_ms": 5 * H, "running_ms": 3 * H})
        assert running_h(seen, Card(1, 1, 0).run(0, 8)) == (8, 3)


def test_instruments_are_counted_apart():
    found = hours(Card(0, 0, 0).run(1, 5).run(1, 5, "sem-1").records)
    assert [(item.instrument.instrument_id, item.running.counted_ms) for item in found] == [
        ("xrd-1", 4 * H),
        ("sem-1", 4 * H),
    ]


def test_the_same_name_on_two_boxes_is_two_instruments_without_a_platform_code():
    found = hours(Card(0, 0, 0).run(1, 5).records + Card(1, 1, 0, "box-2").run(1, 5).records)
    assert [item.running.counted_ms for item in found] == [4 * H, 4 * H]


def test_one_instrument_on_two_boxes_is_counted_once():
    first = Card(0, 0, 0).named("DY-1").run(1, 5)
    second = Card(1, 1, 0, "box-2").named("DY-1", "b").run(4, 6, "b")
    assert running_h(first, second) == (5, 1)
    assert counted(first, second).instrument.platform_code == "DY-1"


def test_power_is_counted_like_runs_and_apart_from_them():
    def powered(card: Card, start_h: int, end_h: int) -> Card:
        span = {"start_ms": start_h * H, "end_ms": end_h * H, "unseen_ms": 0, "powered_ms": (end_h - start_h) * H}
        return card.add("power_session", span)

    found = counted(powered(Card(0, 0, 0).run(2, 3), 1, 5), powered(Card(1, 1, 0), 3, 8))
    assert (found.running.counted_ms, found.powered.counted_ms, found.powered.doubled_ms) == (H, 7 * H, 2 * H)


def test_the_ledger_answers_for_a_box_with_all_that_watched_its_instruments(ledger: Ledger):
    cards = [
        Card(0, 0, 0).named("DY-1").run(1, 5),
        Card(1, 1, 0, "box-2").named("DY-1").run(4, 6),
        Card(2, 2, 0, "box-3").run(0, 1),
    ]
    for card in cards:
        assert ledger.store(card.box_id, card.epoch, card.items).rejected == []
    assert [(item.running.counted_ms, item.running.doubled_ms) for item in hours_of(ledger, "box-2")] == [(5 * H, H)]
    assert [item.running.counted_ms for item in hours_of(ledger, "box-3")] == [H]
    assert len(hours_of(ledger)) == 2


def test_two_boxes_of_one_name_that_tell_of_the_same_hours_are_stored_flagged_and_summed_once(ledger: Ledger):
    first, second = Card(0, 0, 0), Card(1, 1, 0)
    named = {"previous_epoch": EPOCHS[5], "previous_seq": 3, "previous_hash": "a" * 64}
    for card in (first, second):
        card.items.clear()
        card.add("epoch_started", named, None)
        card.add("time_anchor", {"boottime_ms": 0, "utc_ms": DAWN, "error_ms": 1000, "source": "ntp"}, None)
        card.run(1, 5)
        assert ledger.store("box-1", card.epoch, card.items).rejected == []
    assert len(ledger.records(type="run_session")) == 2
    [found] = hours_of(ledger, "box-1")
    assert (found.running.counted_ms, found.running.doubled_ms) == (4 * H, 4 * H)
    assert [(item.kind, item.epoch) for item in oddities(ledger, "box-1")] == [("fork", EPOCHS[1])]


def test_months_of_an_instrument_and_of_its_clone_are_summed():
    cards = []
    for day in range(90):
        for number, boot in ((0, f"a{day:03d}"), (1, f"b{day:03d}")):
            card = Card(number, 0, 0)
            card.boot_id = f"6f1d8f3e-52f0-4f6e-8b9a-0c7f2d1e{boot}"
            card.items.clear()
            anchor = {"boottime_ms": 0, "utc_ms": DAWN + day * 24 * H, "error_ms": 1000, "source": "ntp"}
            card.add("time_anchor", anchor, None)
            for hour in range(10):
                card.run(hour, hour + 0.5)
            cards.append(card)
    assert running_h(*cards) == (90 * 5, 90 * 5)
