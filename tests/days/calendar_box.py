"""A box whose days are counted: a real database, and a clock that is moved by hand."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

from instrument_agent.buffer.books import save_anchor, save_events, save_state
from instrument_agent.buffer.calendar_days import daily_summaries
from instrument_agent.buffer.store import Start, Store
from instrument_agent.core.activity import Rules
from instrument_agent.core.anchors import Anchor
from instrument_agent.core.readings import NS_PER_S, FailedRead, Observation, UnknownReason
from instrument_agent.core.step import begin, end, step
from instrument_agent.daybook import Daybook

HOUR_S = 3600
RULES = Rules("power_w", 10, 1000, 1000, 0, 0, 0, 3600 * NS_PER_S, 7200 * NS_PER_S)
OFF_W, STANDBY_W, RUN_W = 1.0, 100.0, 2000.0


def utc_s(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


class Calendar:
    """One instrument; times are UTC seconds, polled every ten minutes."""

    def __init__(self, folder: Path, start: str, zone: str = "Asia/Shanghai", levels: tuple[int, ...] = (1, 2, 3)):
        self.store = Store(folder, "box-1")
        self.daybook = Daybook(self.store, zone, levels)
        self.now_s = utc_s(start)
        self._boots = 0
        self.state = None
        self.boot(self.now_s)

    def boot(self, at_s: int, *, anchored: bool = True) -> None:
        """Start the agent in a new boot that began at ``at_s``."""
        self._boots += 1
        self.boot_id = f"boot-{self._boots}"
        self._zero_s = at_s
        self.now_s = max(self.now_s, at_s)
        self.store.begin_epoch(Start(self.boot_id, self._ns(), "0", "x"))
        with self.store.write() as change:
            if self.state is not None:
                closed, events = end(RULES, self.state)
                save_events(change, "xrd-1", closed, events)
                self.state = begin(self.boot_id, 0)
            else:
                self.state = begin(self.boot_id, self._ns())
            save_state(change, "xrd-1", self.state)
        if self._boots > 1:
            self._take(FailedRead(self._ns(), UnknownReason.POWER_LOSS))
        if anchored:
            self.anchor()

    def anchor(self, error_s: float = 1.0) -> None:
        with self.store.write() as change:
            anchor = Anchor(self.boot_id, self._ns(), self.now_s * NS_PER_S, round(error_s * NS_PER_S), "platform:p")
            save_anchor(change, anchor)

    def until(self, text: str, watts: float | None) -> None:
        """Watch until this UTC time; no watts: the device does not answer."""
        while self.now_s < utc_s(text):
            self.now_s = min(self.now_s + 600, utc_s(text))
            if watts is None:
                self._take(FailedRead(self._ns(), UnknownReason.DRIVER_UNAVAILABLE))
            else:
                self._take(Observation(self._ns(), {"power_w": watts}))

    def close(self) -> list[dict]:
        """Close what can be closed; return the data of all days so far."""
        self.daybook.close_due({"xrd-1": self.state})
        return [record["data"] for record in daily_summaries(self.store)]

    def leave(self) -> None:
        """Write the checkpoint the agent would have written, with the open interval, and close the database."""
        with self.store.write() as change:
            save_state(change, "xrd-1", self.state)
        self.store.close()

    def _take(self, reading) -> None:
        self.state, events = step(RULES, self.state, reading)
        if events:
            with self.store.write() as change:
                save_events(change, "xrd-1", self.state, events)

    def _ns(self) -> int:
        return (self.now_s - self._zero_s) * NS_PER_S


def copied(folder: Path, to: Path) -> Path:
    """Copy the state of a box that has left."""
    return Path(shutil.copytree(folder, to / "state", ignore=shutil.ignore_patterns("ballast")))


def adds_up(day: dict) -> bool:
    spent = sum(day[f"{name}_ms"] for name in ("off", "standby", "running", "unknown"))
    return spent + day["clock_residual_ms"] == day["length_ms"]
