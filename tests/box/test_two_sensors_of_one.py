"""Two sensors on one instrument, watched by the ordinary agent on a fast clock: that they differ is told."""

import json
import threading
import time
import uuid
from pathlib import Path

from instrument_agent.buffer.reader import Reader
from instrument_agent.cli.status import status_view
from instrument_agent.control import ask
from instrument_agent.sandbox.agent_process import AgentProcess
from instrument_agent.sandbox.scaled_clock import ScaledClock

CONFIG = """[box]
id = "box-1"
state_dir = "state"
runtime_dir = "run"
"""
INSTRUMENT = """[[instrument]]
id = "{name}"
poll_s = 60
[instrument.driver]
name = "mock"
script = [{watts}]
[instrument.activity]
off_below = 5
run_above = 500
min_on_s = 0
min_off_s = 0
gap_s = 3000
bridge_s = 3000
"""
SPEED = 1000.0
PATIENCE_S = 60.0


def test_a_clamp_that_runs_beside_a_meter_that_is_off_is_on_record_and_in_status(tmp_path: Path) -> None:
    path = tmp_path / "box.toml"
    clamp, meter = INSTRUMENT.format(name="clamp", watts=600.0), INSTRUMENT.format(name="meter", watts=0.0)
    path.write_text(CONFIG + clamp + 'witness = "meter"\n' + meter, encoding="utf-8")
    clock = ScaledClock(SPEED, time.clock_gettime_ns(time.CLOCK_BOOTTIME), time.time_ns(), str(uuid.uuid4()))
    agent = AgentProcess(path, tmp_path / "log", clock)
    end_s, found = time.monotonic() + PATIENCE_S, {}
    while time.monotonic() < end_s and not (found and found["instruments"][0]["contradicted_by"]):
        threading.Event().wait(0.1)  # it is another process, so there is no event
        found = ask(tmp_path / "run", {"do": "status"})
    assert agent.stop() == 0
    assert [item["contradicted_by"] for item in found["instruments"]] == ["meter", None], (tmp_path / "log").read_text()
    shown = [str(part) for part in status_view(found, "Asia/Shanghai").renderables]  # type: ignore[union-attr]
    assert [part for part in shown if "clamp" in part and "meter" in part]
    reader = Reader(tmp_path / "state")
    [(body,)] = reader.rows("select body from records where type = 'fault'")
    reader.close()
    record = json.loads(body)
    assert (record["instrument_id"], record["data"]["kind"]) == ("clamp", "witness_disagrees")
