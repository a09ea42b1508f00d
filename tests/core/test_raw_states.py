"""An instrument that tells its state itself is judged by what its words mean, with the same times and back-dating."""

from dataclasses import replace

import pytest
from played import at, played, rules

from instrument_agent.core.activity import STATE_OFF_BELOW, STATE_RUN_ABOVE
from instrument_agent.core.readings import Activity

STATES = {"open": Activity.STANDBY, "closed": Activity.RUNNING, "0": Activity.OFF, "2.5": Activity.RUNNING}
LAMP = replace(
    rules(STATE_OFF_BELOW, STATE_RUN_ABOVE, STATE_RUN_ABOVE, min_on_s=0, min_off_s=0, off_settle_s=0), states=STATES
)


def told(*spans: tuple[int, int, float | str | None]):
    return [at(second, value) for start, stop, value in spans for second in range(start, stop)]


def test_words_become_intervals_and_a_run():
    books = played(told((0, 100, "open"), (100, 700, "closed"), (700, 800, "open")), LAMP)
    assert books.intervals == [(0, 100, "standby"), (100, 700, "running"), (700, 799, "standby")]
    assert [(start, end) for start, end, _unseen in books.runs] == [(100, 700)]


@pytest.mark.parametrize("value", ["busy", "CLOSED", "", 1.0, None])
def test_a_word_without_a_meaning_is_unknown_and_neither_off_nor_running(value: float | str | None):
    books = played(told((0, 100, "closed"), (100, 500, value), (500, 600, "closed")), LAMP)
    assert books.intervals == [
        (0, 99, "running"),
        (99, 500, "unknown: implausible_reading"),
        (500, 599, "running"),
    ]


def test_a_code_is_a_word_however_it_was_read():
    books = played(told((0, 100, 0), (100, 200, "0"), (200, 300, 2.5)), LAMP)
    assert books.intervals == [(0, 200, "off"), (200, 299, "running")]


def test_a_minimum_time_holds_for_words_too():
    slow = replace(LAMP, min_on_ns=60 * 10**9)
    books = played(told((0, 100, "open"), (100, 130, "closed"), (130, 300, "open")), slow)
    assert books.intervals == [(0, 299, "standby")]
