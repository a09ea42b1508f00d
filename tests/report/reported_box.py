"""A box with a month in its log, the platform its file is carried to, and the commands of both."""

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from instrument_agent.buffer.outbox import Outbox
from instrument_agent.buffer.store import Start, Store
from instrument_agent.cli.platform import platform
from instrument_agent.cli.report import report
from instrument_agent.config import load_config
from instrument_agent.core.readings import NS_PER_S
from instrument_agent.core.records import Fact, RecordType
from instrument_agent.keys import new_private_key, public_key_of
from instrument_agent.receiver import Ledger
from instrument_agent.receiver.counting import Hours
from instrument_agent.receiver.enrolment import Enrolment
from instrument_agent.receiver.views import hours_of
from instrument_agent.uplink.enrolled import Enrolled, KeyFile

H = 3_600_000
DAY_MS = 24 * H
BOOT = "6f1d8f3e-52f0-4f6e-8b9a-0c7f2d1e4a55"
OCTOBER = date(2026, 10, 1)
DAWN_MS = 1_790_784_000_000 - 8 * H  # 2026-10-01 in Asia/Shanghai
NOW_NS = 1_795_334_400_000_000_000
CONFIG = """
[box]
id = "{box_id}"
state_dir = "state"
runtime_dir = "run"
{destinations}
[[instrument]]
id = "xrd-1"
[instrument.driver]
name = "mock"
script = [1.0]
[instrument.activity]
off_below = 5
run_above = 1000
"""
DESTINATION = '[[destination]]\nname = "province"\nurl = "http://127.0.0.1:9"'


class ReportedBox:
    """One instrument that runs from 8 to 12 each day, whose meter is silent from 20 to 22."""

    def __init__(self, folder: Path, box_id: str = "box-1", destinations: str = "", name: str = "X射线衍射仪") -> None:
        self.folder, self.box_id, self.name = folder, box_id, name
        folder.mkdir(exist_ok=True)
        self.config_path = folder / "box.toml"
        self.config_path.write_text(CONFIG.format(box_id=box_id, destinations=destinations), encoding="utf-8")
        (folder / "state").mkdir()
        self.store = Store(folder / "state", box_id)
        self.begin()

    def begin(self) -> None:
        """Start the agent: an epoch, the time, and what the instrument is called."""
        self.store.begin_epoch(Start(BOOT, NS_PER_S, "0.1.0", "c0ffee01" * 8))
        anchor = {"boottime_ms": 0, "utc_ms": DAWN_MS, "error_ms": 1000, "source": "ntp"}
        identity = {"name_zh": self.name, "asset_code": "0020210345", "platform_code": "DY-1", "org_name": "某某大学"}
        self.add(RecordType.TIME_ANCHOR, anchor, None)
        self.add(RecordType.LIFECYCLE_EVENT, {"event": "configured", "identity": identity})

    def add(self, kind: RecordType, data: dict[str, Any], instrument_id: str | None = "xrd-1") -> None:
        self._append([Fact(kind, BOOT, NS_PER_S, data, instrument_id)])

    def live(self, days: int, first: int = 0) -> None:
        """Live through days counted from the first of October."""
        facts = []
        for day in range(first, first + days):
            at = day * DAY_MS
            run = {"start_ms": at + 8 * H, "end_ms": at + 12 * H, "unseen_ms": 0, "running_ms": 4 * H}
            gap = {"start_ms": at + 20 * H, "end_ms": at + 22 * H, "reason": "driver_unavailable"}
            told = ((RecordType.RUN_SESSION, run), (RecordType.OBSERVATION_GAP, gap))
            summary = summary_of(OCTOBER + timedelta(days=day))
            for kind, data in (*told, (RecordType.DAILY_SUMMARY, summary)):
                facts.append(Fact(kind, BOOT, NS_PER_S, data, "xrd-1"))
        self._append(facts)

    def _append(self, facts: list[Fact]) -> None:
        with self.store.write() as change:
            for fact in facts:
                change.append(fact)

    def report(self, *arguments: str, month: str = "2026-10") -> Result:
        """Call the command that makes a report."""
        return CliRunner().invoke(report, ["--config", str(self.config_path), "--month", month, *arguments])

    def file(self, *arguments: str, month: str = "2026-10") -> Path:
        """Return the sealed file of a month."""
        path = self.folder / f"{month}.jsonl"
        done = self.report("--out", str(path), *arguments, month=month)
        assert done.exit_code == 0, done.output
        return path

    def confirm(self, receipt: Path) -> Result:
        return CliRunner().invoke(report, ["--config", str(self.config_path), "--confirm", str(receipt)])

    @property
    def made(self) -> int:
        return self.store.rows("select count(*) from records")[0][0]


def summary_of(day: date) -> dict[str, Any]:
    """Return the data of a day like all others."""
    spent = {"off_ms": 10 * H, "standby_ms": 8 * H, "running_ms": 4 * H, "unknown_ms": 2 * H}
    return {
        "day": day.isoformat(),
        "zone": "Asia/Shanghai",
        "length_ms": DAY_MS,
        **spent,
        "powered_ms": 12 * H,
        "clock_residual_ms": 0,
        "unknown_reasons_ms": {"driver_unavailable": 2 * H},
        "days_not_powered": 0,
        "unknown_days": 0,
        "idle_level": 0,
    }


class Institute:
    """The reference platform, its commands, and the network that some boxes have."""

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder / 'platform.db'}"
        self.ledger, self.enrolment = Ledger(self.url), Enrolment(self.url)

    def close(self) -> None:
        self.ledger.close()
        self.enrolment.close()

    def enrol(self, box: ReportedBox, name: str = "province") -> None:
        key = new_private_key()
        code = self.enrolment.new_code(box.box_id, NOW_NS, 1)
        credential = self.enrolment.enrol(box.box_id, code, public_key_of(key), NOW_NS)
        state_dir = load_config(box.config_path).box.state_dir
        KeyFile(state_dir, name).take(key, Enrolled(credential, public_key_of(key), self.enrolment.public_key))

    def take(self, file: Path, *arguments: str) -> Result:
        """Call the command that imports a report."""
        return CliRunner().invoke(platform, ["import", "--database", self.url, str(file), *arguments])

    def receive(self, box: ReportedBox) -> None:
        """Take everything a box has as it would come over the network."""
        outbox = Outbox(box.store, "province")
        while (batch := outbox.next_batch(50)) is not None:
            items = [{"hash": entry.hash, "record": json.loads(entry.body)} for entry in batch.entries]
            self.ledger.store(box.box_id, batch.epoch, items)
            outbox.settle(batch.entries[-1].id, {}, BOOT, 1)

    def hours(self) -> Hours:
        [found] = hours_of(self.ledger)
        return found
