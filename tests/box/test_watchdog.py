import json
import os
import signal
import socket
import subprocess
import sys

import pytest

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


def test_a_hung_driver_is_told_to_systemd_and_does_not_starve_the_watchdog(tmp_path, notified):
    path = tmp_path / "box.toml"
    places = {name: json.dumps(str(tmp_path / name)) for name in ("state", "run")}
    path.write_text(CONFIG.format(**places), encoding="utf-8")
    with (tmp_path / "log").open("wb") as log:
        agent = subprocess.Popen(
            [sys.executable, "-m", "instrument_agent.cli.main", "run", "--config", str(path)],
            env=os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")},
            stderr=log,
        )
    said = [notified.recv(4096).decode()]
    while not said[-1].endswith("1 hung"):
        said.append(notified.recv(4096).decode())
    assert said[0] == "READY=1"
    watched = [notified.recv(4096).decode() for _message in range(4)]
    assert "WATCHDOG=1" in watched

    answer = subprocess.run(
        [sys.executable, "-m", "instrument_agent.cli.main", "status", "--config", str(path), "--json"],
        capture_output=True,
        check=True,
    )
    stuck, well = json.loads(answer.stdout)["instruments"]
    assert (stuck["activity"], stuck["reason"]) == ("unknown", "driver_hung")
    assert well["activity"] == "standby"

    agent.send_signal(signal.SIGTERM)
    assert agent.wait(30) == 0
    said = [notified.recv(4096).decode()]
    while said[-1] != "STOPPING=1":
        said.append(notified.recv(4096).decode())
