"""Too many at once are asked to come again, and live state does not wait behind them."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests
from wire_box import Box

from instrument_agent.receiver import Ledger
from instrument_agent.receiver.app import WRITERS

TOO_MANY = WRITERS + 4


def test_more_writers_than_there_is_room_for_are_sent_away_with_retry_after(
    box: Box, ledger: Ledger, tmp_path: Path
) -> None:
    other = sqlite3.connect(tmp_path / "platform.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")  # nobody else can write now
    replies: list[requests.Response] = []
    turned_away = threading.Event()

    def send(number: int) -> None:
        reply = box.send(box.chain(1), boottime_ms=number)
        replies.append(reply)
        if len(replies) == TOO_MANY - WRITERS:
            turned_away.set()

    with ThreadPoolExecutor(TOO_MANY) as pool:
        for number in range(TOO_MANY):
            pool.submit(send, number)
        try:
            assert turned_away.wait(30)
            assert [reply.status_code for reply in replies] == [429] * (TOO_MANY - WRITERS)
            assert {reply.headers["Retry-After"] for reply in replies} == {"5"}
            assert replies[0].json() == {"error": "too many at once"}
            # There is room for a heartbeat; only the database keeps it waiting.
            beat = pool.submit(box.beat)
        finally:
            other.execute("COMMIT")
            other.close()
    assert beat.result().status_code == 200
    assert sorted(reply.status_code for reply in replies) == [200] * WRITERS + [429] * (TOO_MANY - WRITERS)
    assert len(ledger.records()) == 1
    assert box.send(box.chain(1)).status_code == 200, "the places are free again"
