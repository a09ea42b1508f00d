import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

DEMO = [sys.executable, "-m", "instrument_agent.cli.main", "demo"]


SPEEDS = ("1", "60")


@pytest.fixture(scope="module")
def ended():
    """One demo at each speed, side by side: each takes its twenty seconds, whatever the machine does."""
    demos = {
        speed: subprocess.Popen(
            [*DEMO, "--seconds", "20", "--speed", speed, "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for speed in SPEEDS
    }
    return {speed: (json.loads(demo.communicate()[0]), demo.returncode) for speed, demo in demos.items()}


@pytest.mark.parametrize("speed", SPEEDS)
def test_the_demo_accounts_for_every_second_and_finds_every_run(ended, speed):
    result, status = ended[speed]
    assert result["ok"], result
    assert status == 0
    assert {item["instrument_id"] for item in result["instruments"]} == {
        "XRD-01",
        "LCMS-01",
        "FURN-01",
        "UCF-01",
        "SEQ-01",
    }
    for item in result["instruments"]:
        assert len(item["measured"]["sessions"]) == len(item["true"]["sessions"]) > 0
        assert sum(item["measured"]["seconds"].values()) >= 0.95 * 20 * float(speed)
    records = result["records"]
    assert records["made"] == records["acknowledged"] > 0
    assert (records["waiting"], records["lost"], records["doubled"], records["dead_lettered"]) == (0, 0, 0, 0)
    assert result["heartbeats_received"] > 0


def test_ctrl_c_ends_the_demo_in_order_with_its_summary():
    demo = subprocess.Popen([*DEMO, "--seconds", "600"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert demo.stdout is not None
    first = demo.stdout.readline()
    control = Path(first.rsplit(" ", 1)[1].strip()).parent / "run" / "control.sock"
    while not control.exists():
        assert demo.poll() is None
    demo.send_signal(signal.SIGINT)
    rest, _none = demo.communicate(timeout=60)
    assert "Records:" in rest
    assert "Traceback" not in rest
    assert demo.returncode == 0, rest


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv of util-linux")
def test_a_demo_that_is_killed_leaves_no_agent_behind():
    demo = subprocess.Popen([*DEMO, "--seconds", "600"], stdout=subprocess.PIPE, text=True)
    assert demo.stdout is not None
    control = Path(demo.stdout.readline().rsplit(" ", 1)[1].strip()).parent / "run" / "control.sock"
    while not control.exists():
        assert demo.poll() is None
    (agent,) = psutil.Process(demo.pid).children()
    demo.kill()
    demo.communicate()
    psutil.wait_procs([agent], timeout=30)
    assert not agent.is_running()
