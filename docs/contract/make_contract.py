"""Write openapi.json from the JSON Schemas, and with ``--examples`` examples/ from a real agent and a real platform.

    .venv/bin/python docs/contract/make_contract.py --examples

The examples are what went over the wire: an ordinary agent, on a clock that runs 200 times as fast, watched a
simulated meter around midnight, was restarted, and spoke with the reference platform; then it made a report, which the
platform imported. It takes about a minute.
"""

import gzip
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from instrument_agent.core.canonical import NO_HASH, record_hash
from instrument_agent.receiver import Ledger, PlatformServer, create_app
from instrument_agent.receiver.enrolment import Enrolment
from instrument_agent.receiver.openapi import document
from instrument_agent.receiver.wire_schemas import RECORD_TYPES
from instrument_agent.sandbox.agent_process import AgentProcess
from instrument_agent.sandbox.bench import Bench
from instrument_agent.sandbox.scaled_clock import ScaledClock
from instrument_agent.uplink.enrolled import KeyFile
from instrument_agent.uplink.enrolling import enrol, rotate
from instrument_agent.uplink.http import HttpTransport

HERE = Path(__file__).parent
BOX_ID = "lab3-box1"
SPEED = 200.0
BEGIN = datetime(2026, 11, 21, 23, 20, tzinfo=ZoneInfo("Asia/Shanghai"))
PATIENCE_S = 120.0
BOX = """
[box]
id = "{box}"
state_dir = "state"
runtime_dir = "run"
checkpoint_s = 60
[[destination]]
name = "province"
url = "{url}"
batch_records = 4
first_contact_spread_s = 0
[[instrument]]
id = "xrd-1"
name_zh = "X射线衍射仪"
name_en = "X-ray diffractometer"
asset_code = "20210345"
platform_code = "DY-000123"
poll_s = 20
[instrument.driver]
name = "modbus"
{driver}
[instrument.activity]
off_below = 5
run_above = 1000
min_on_s = 60
min_off_s = 60
gap_s = 240
"""


class Diffractometer:
    """Off, then standby, then two runs, and so on."""

    def power_w(self, t_s: float) -> float:
        """Return the power in W at ``t_s`` seconds."""
        return (0.0, 300.0, 2500.0, 300.0, 2500.0, 300.0)[int(t_s // 400) % 6]


class Tap:
    """Keeps what goes through an application: (what, request, reply) of every exchange that went well."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.heard: list[tuple[str, Any, Any]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        sent, answered = bytearray(), bytearray()

        async def listen() -> Message:
            message = await receive()
            sent.extend(message.get("body", b""))
            return message

        async def tell(message: Message) -> None:
            answered.extend(message.get("body", b""))
            await send(message)

        await self._app(scope, listen, tell)
        body = gzip.decompress(bytes(sent)) if sent[:2] == b"\x1f\x8b" else bytes(sent)
        self.heard.append((scope["path"].rpartition("/")[2], json.loads(body or b"null"), json.loads(bytes(answered))))


def main() -> None:
    """Write what was asked for."""
    _write("openapi.json", document())
    if "--examples" in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as directory:
            heard = _play(Path(directory))
        _write_examples(heard)


def _play(directory: Path) -> list[tuple[str, Any, Any]]:
    """Run the box and the platform until every kind of record has come; return what was said."""
    clock = ScaledClock(
        SPEED, time.clock_gettime_ns(time.CLOCK_BOOTTIME), round(BEGIN.timestamp()) * 10**9, str(uuid.uuid4())
    )
    zero_ns = clock.boottime_ns()
    database = f"sqlite:///{directory / 'platform.db'}"
    bench = Bench({"xrd-1": Diffractometer()}, lambda: (clock.boottime_ns() - zero_ns) / 1e9, directory)
    enrolment = Enrolment(database)
    with Ledger(database) as ledger, bench:
        _leave_strange_epoch(ledger)
        tap = Tap(create_app(ledger, clock.utc_ns, next_heartbeat_s=60, enrolment=enrolment))
        with PlatformServer(tap) as platform:
            _enrol(platform.url, enrolment.new_code(BOX_ID, clock.utc_ns(), 30), directory / "state")
            driver = "\n".join(f"{key} = {json.dumps(value)}" for key, value in bench.connections["xrd-1"].items())
            config = directory / "box.toml"
            config.write_text(BOX.format(box=BOX_ID, url=platform.url, driver=driver), encoding="utf-8")
            agent = AgentProcess(config, directory / "agent.log", clock)
            threading.Event().wait(6)
            agent.stop()
            threading.Event().wait(4)
            agent = AgentProcess(config, directory / "agent.log", clock)
            until_s = time.monotonic() + PATIENCE_S
            while _missing(ledger) and time.monotonic() < until_s:
                threading.Event().wait(0.2)
            agent.stop()
            missing = _missing(ledger)
    enrolment.close()
    if missing:
        sys.exit(f"never came: {', '.join(sorted(missing))}")
    _carry_report(config, database)
    return tap.heard


def _carry_report(config: Path, database: str) -> None:
    """Let the box make its report of the month and the platform import it; keep the file and the receipt."""
    (HERE / "examples").mkdir(exist_ok=True)
    file, receipt = config.with_name("report.jsonl"), config.with_name("report_receipt.json")
    for words in (
        ("report", "--config", str(config), "--month", f"{BEGIN:%Y-%m}", "--out", str(file)),
        ("platform", "import", "--database", database, "--receipt", str(receipt), str(file)),
    ):
        subprocess.run([sys.executable, "-m", "instrument_agent.cli.main", *words], check=True)  # noqa: S603  # ours
    for made in (file, receipt):
        shutil.copyfile(made, HERE / "examples" / made.name)


def _leave_strange_epoch(ledger: Ledger) -> None:
    """Let the platform know an epoch that the box does not, as after an old card was put back: that makes a fault."""
    epoch, boot_id = str(uuid.uuid4()), str(uuid.uuid4())
    place = {"box_id": BOX_ID, "epoch": epoch, "seq": 1, "boot_id": boot_id, "at_ms": 1000, "prev_hash": NO_HASH}
    record = {**place, "type": "epoch_started", "data": {}}
    ledger.store(BOX_ID, epoch, [{"hash": record_hash(record), "record": record}])


def _enrol(url: str, code: str, state_dir: Path) -> None:
    """Enrol the box, and let it take another key at once."""
    keys = KeyFile(state_dir, "province")
    transport = HttpTransport(url, BOX_ID, None, None, keys)
    enrol(keys, transport, code)
    rotate(keys, transport, BOX_ID)
    transport.close()


def _missing(ledger: Ledger) -> set[str]:
    return set(RECORD_TYPES) - {record["type"] for record in ledger.records(BOX_ID)}


def _write_examples(heard: list[tuple[str, Any, Any]]) -> None:
    """Write the last exchange of each kind, and the last record of each type."""
    found: dict[str, Any] = {}
    for what, asked, answered in heard:
        if asked is not None:
            found["heartbeat" if what == "heartbeat" else f"{what}_request"] = asked
        found[f"{what}_reply"] = answered
        for item in asked["records"] if what == "records" else []:
            found[item["record"]["type"]] = item["record"]
    (HERE / "examples").mkdir(exist_ok=True)
    for name, body in found.items():
        _write(f"examples/{name}.json", body)


def _write(name: str, body: Any) -> None:
    text = json.dumps(body, ensure_ascii=False, indent=2) + "\n"
    (HERE / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
