import json
import os
import signal
import socket
import subprocess
import sys

import pytest
from rig import command

CONFIG = """
[box]
id = "box-1"
state_dir = {state}
runtime_dir = {run}
[[instrument]]
id = "stuck"
[instrument.driver]
name = "mock"
script = ["hang"]
[instrument.activity]
off_below = 5
run_above = 1000
[[instrument]]
id = "well"
[instrument.driver]
name = "mock"
script = [100.0]
[instrument.activity]
off_below = 5
run_above = 1000
"""


@pytest.fixture
def notified(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "notify"))
        server.settimeout(40)
        yield server


@pytest.fixture
def agent(tmp_path, notified):
    """An agent with one driver that never returns, started as systemd would."""
    path = tmp_path / "box.toml"
    places = {name: json.dumps(str(tmp_path / name)) for name in ("state", "run")}
    path.write_text(CONFIG.format(**places), encoding="utf-8")
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "instrument_agent.cli.main", "run", "--config", str(path)],
            env=os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")},
            stderr=log,
        )
    yield process
    process.kill()
    process.wait()


def until(notified, wanted):
    """Read what the agent says until a message ends like this; return all of it."""
    said = [notified.recv(4096).decode()]
    while not said[-1].endswith(wanted):
        said.append(notified.recv(4096).decode())
    return said


def test_a_hung_driver_is_told_to_systemd_and_does_not_starve_the_watchdog(tmp_path, notified, agent):
    assert until(notified, "1 hung")[0] == "READY=1"
    assert "WATCHDOG=1" in [notified.recv(4096).decode() for _message in range(4)]

    answer = command("status", "--config", str(tmp_path / "box.toml"), "--json")
    stuck, well = json.loads(answer.stdout)["instruments"]
    assert (stuck["activity"], stuck["reason"]) == ("unknown", "driver_hung")
    assert well["activity"] == "standby"

    agent.send_signal(signal.SIGTERM)
    assert agent.wait(30) == 0
    assert until(notified, "STOPPING=1")
