"""A delivery on its thread with its log and its clock, and what its tests ask of it."""

from pathlib import Path

from fake_clock import FakeClock
from scripted_platform import Act, Platform

from instrument_agent.buffer.outbox import Outbox
from instrument_agent.buffer.store import Store
from instrument_agent.core.records import Fact, RecordType
from instrument_agent.uplink.anchoring import Anchoring
from instrument_agent.uplink.answers import Transport
from instrument_agent.uplink.delivery import Delivery
from instrument_agent.uplink.enrolled import KeyFile
from instrument_agent.uplink.http import HttpTransport
from instrument_agent.uplink.mqtt import MqttTransport
from instrument_agent.uplink.signing import Signer

LIMIT = 50


class Sender:
    """A delivery on its thread, its log and its clock."""

    def __init__(self, store: Store, clock: FakeClock, anchoring: Anchoring, limit: int) -> None:
        self.store = store
        self.clock = clock
        self.outbox = Outbox(store, "province")
        self.credential: Path | None = None
        self.ca_file: Path | None = None
        self.keys: KeyFile | None = None
        self._anchoring = anchoring
        self.limit = limit
        self._made = 1  # the epoch's first record is already there
        self.delivery: Delivery | None = None

    def write(self, count: int) -> None:
        with self.store.write() as change:
            for _ in range(count):
                self._made += 1
                data = {"event": "configured", "number": self._made}
                at_ns = self.clock.boottime_ns()
                change.append(Fact(RecordType.LIFECYCLE_EVENT, self.clock.boot_id, at_ns, data, "xrd-1"))

    def start(self, url: str) -> Delivery:
        transport = self._transport(url)
        self.delivery = Delivery("province", self.outbox, transport, self.clock, self._anchoring, self.limit)
        self.delivery.signer = None if self.keys is None else Signer(self.keys, "box-1")
        self.store.listen(self.delivery.wake)
        self.delivery.start()
        return self.delivery

    def _transport(self, url: str) -> Transport:
        if url.startswith("mqtt"):
            return MqttTransport(url, "box-1", self.credential, self.ca_file)
        return HttpTransport(url, "box-1", self.credential, self.ca_file, self.keys)

    def until_settled(self, within_s: float = 50_000.0) -> float:
        """Let time pass until nothing waits; return how long it took."""
        return self.clock.run_until(lambda: self.outbox.queue().waiting == 0, within_s=within_s)

    def stop(self) -> None:
        if self.delivery is not None:
            self.delivery.stop()
            self.delivery.join(10)
            assert not self.delivery.is_alive()

    @property
    def watermark(self) -> int:
        return self.outbox.queue().made - self.outbox.queue().waiting

    def dead_letters(self) -> dict[int, str]:
        return dict(self.store.rows("select record_id, reason from dead_letters order by record_id"))


def records_only(platform: Platform, *acts: Act) -> None:
    platform.scripted = ("records",)
    platform.script.extend(acts)


def has_each_once(platform: Platform, store: Store) -> bool:
    """Say whether the platform has exactly the records of the log, with their hashes."""
    rows = store.rows("select epoch, seq, hash from records")
    stored = {(epoch, seq, digest) for epoch, kept in platform.stored.items() for seq, digest in kept.items()}
    return stored == set(rows)
