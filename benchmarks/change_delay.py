"""How soon a platform has heard of a change of activity, while 100,000 records of a backlog are on their way to it.

Counted from before the commit that a change begins with to the platform's answer to the heartbeat that tells it; box
and platform share this machine. A box tells changes at most once in 5 s; here that is taken off, to get enough of them.
The floor is the same without a backlog. The target with it: 99 of 100 within 1 s.

    change_delay.py [RECORDS]
"""

import json
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drain import BATCH, BOX, RECORDS, backlog, left, platform

from instrument_agent.buffer.outbox import Outbox
from instrument_agent.buffer.store import Store
from instrument_agent.clock import SystemClock
from instrument_agent.core.records import Fact, RecordType
from instrument_agent.uplink import heartbeat as beating
from instrument_agent.uplink.anchoring import Anchoring
from instrument_agent.uplink.answers import Reply
from instrument_agent.uplink.delivery import Delivery
from instrument_agent.uplink.heartbeat import Heartbeat
from instrument_agent.uplink.http import HttpTransport

EXAMPLE = Path(__file__).parent.parent / "docs/contract/examples/heartbeat.json"
FLOOR_CHANGES = 100
APART_S = 0.05
TARGET_S = 1.0
PATIENCE_S = 60.0


class Timed(HttpTransport):
    """Notes which change the platform has heard of, and when."""

    def __init__(self, url: str) -> None:
        super().__init__(url, BOX, None, None)
        self.heard = threading.Condition()
        self.number, self.at_s = -1, 0.0

    def heartbeat(self, body: Mapping[str, Any]) -> Reply:
        """Send it; whoever waits for it is woken."""
        reply = super().heartbeat(body)
        with self.heard:
            self.number, self.at_s = body["change"], time.monotonic()
            self.heard.notify_all()
        return reply


class Changes:
    """Makes changes of activity, and tells how long each took to be heard of."""

    def __init__(self, store: Store, url: str, clock: SystemClock, anchoring: Anchoring) -> None:
        self._store, self._clock, self._number = store, clock, 0
        self._transport = Timed(url)
        self._told = {**json.loads(EXAMPLE.read_text(encoding="utf-8")), "box_id": BOX}
        self.worker = Heartbeat("platform", self._transport, clock, anchoring, 60.0, self._body)

    def one(self) -> float:
        """Change, and return how many seconds it took."""
        threading.Event().wait(APART_S * random.uniform(1, 3))
        started_s = time.monotonic()
        with self._store.write() as change:
            at_ns = self._clock.boottime_ns()
            change.append(Fact(RecordType.FAULT, self._clock.boot_id, at_ns, {"kind": "benchmark"}))
            self._number += 1
        self.worker.wake.set()
        with self._transport.heard:
            good = self._transport.heard.wait_for(lambda: self._transport.number >= self._number, PATIENCE_S)
        if not good:
            raise SystemExit("a change was not heard of within a minute")
        return self._transport.at_s - started_s

    def _body(self) -> dict[str, Any]:
        return {**self._told, "change": self._number}


def main() -> None:
    """Print the delays without and with a backlog; the exit status is 0 if the target is met."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else RECORDS
    beating.AT_ONCE_EVERY_S = APART_S / 2
    clock = SystemClock()
    with tempfile.TemporaryDirectory() as name, platform(Path(name) / "platform") as (url, _used):
        store = Store(Path(name), BOX)
        backlog(store, clock, count)
        outbox, anchoring = Outbox(store, "platform"), Anchoring(store, clock)
        delivery = Delivery("platform", outbox, HttpTransport(url, BOX, None, None), clock, anchoring, BATCH)
        changes = Changes(store, url, clock, anchoring)
        changes.worker.start()
        floor = [changes.one() for _number in range(FLOOR_CHANGES)]
        delivery.start()
        behind = []
        while left(outbox) > BATCH:
            behind.append(changes.one())
        for worker in (delivery, changes.worker):
            worker.stop()
            worker.join()
        store.close()
    print(f"from a change of activity to the platform's answer, {count} records waiting at first")
    for what, took in (("nothing waits", floor), ("a backlog is on its way", behind)):
        cuts = statistics.quantiles(took, n=100, method="inclusive")
        print(
            f"  {what:<24} {len(took):>5} changes: median {1000 * cuts[49]:>4.0f} ms, p99 {1000 * cuts[98]:>4.0f} ms,"
            f" worst {1000 * max(took):>4.0f} ms"
        )
    print(f"  target: p99 at most {1000 * TARGET_S:.0f} ms")
    raise SystemExit(0 if statistics.quantiles(behind, n=100, method="inclusive")[98] <= TARGET_S else 1)


if __name__ == "__main__":
    main()
