"""`probe` shows what instruments show: by itself, or through the agent that reads them."""

import json
import os
import pty
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest
from field_box import FieldBox, until
from tuned_line import SDM120, ModbusMeter, TunedLine

from instrument_agent.control import RequestFailed, ask
from instrument_agent.core.readings import Channel, FailedRead, Observation, UnknownReason, Value
from instrument_agent.field.access import Look, Words
from instrument_agent.field.seen import Seen
from instrument_agent.field.tally import Tally
from instrument_agent.poll.guard import Health

STEADY = 'name = "mock"\nscript = [1500.0]'


def test_one_look_by_itself_shows_values_with_units(tmp_path: Path):
    box = FieldBox(tmp_path, STEADY)
    shown = box.run("probe", "--once")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.splitlines()[2].split()[:4] == ["m1", "power_w", "1500", "W"]
    (found,) = json.loads(box.run("probe", "m1", "--json").stdout)["instruments"]
    assert found["values"] == {"power_w": 1500.0}
    assert found["units"] == {"power_w": "W"}
    assert (found["through_agent"], found["error"]) == (False, "")


@pytest.mark.parametrize(("script", "values"), [("nonsense", {"power_w": None}), ("absent", {})])
def test_nonsense_is_null_and_what_was_not_read_is_not_there(tmp_path: Path, script: str, values: dict[str, None]):
    box = FieldBox(tmp_path, f'name = "mock"\nscript = ["{script}"]')
    assert json.loads(box.run("probe", "--json").stdout)["instruments"][0]["values"] == values


def test_a_device_that_does_not_answer_is_told_and_ends_with_status_1(tmp_path: Path):
    box = FieldBox(tmp_path, 'name = "modbus"\nport = "/dev/nowhere"')
    done = box.run("probe", "--once")
    assert done.returncode == 1
    assert "cannot be opened" in done.stdout
    assert "/dev/serial/by-id/" in done.stdout


def test_registers_are_shown_as_they_are_on_the_wire(tmp_path: Path):
    with TunedLine(((9600, "N"), ModbusMeter(1, 4, SDM120))) as line:
        box = FieldBox(tmp_path, f'name = "modbus"\nport = "{line.port}"\nbaud = 9600')
        (found,) = json.loads(box.run("probe", "--raw", "--json").stdout)["instruments"]
        shown = box.run("probe", "--raw", "--once").stdout
    assert found["values"]["voltage_v"] == pytest.approx(229.4, abs=1e-4)
    assert [4, 0, SDM120[0]] in found["registers"]
    assert [4, 1, SDM120[1]] in found["registers"]
    assert f"0x0000   0x{SDM120[0]:04X}" in shown


def test_a_driver_without_registers_says_so(tmp_path: Path):
    assert "has no registers" in FieldBox(tmp_path, STEADY).run("probe", "--raw", "--once").stdout


def test_two_masters_never_share_a_line_the_agent_is_asked(tmp_path: Path):
    with TunedLine(((9600, "N"), ModbusMeter(1, 4, SDM120))) as line:
        box = FieldBox(tmp_path, f'name = "modbus"\nport = "{line.port}"\nbaud = 9600', poll_s=0.2)
        with box.start_agent() as agent:
            done = box.run("probe", "--raw", "--json")
            health = ask(tmp_path / "run", {"do": "watch", "instrument": "m1"})["health"]
            with pytest.raises(RequestFailed, match="no instrument m9"):
                ask(tmp_path / "run", {"do": "watch", "instrument": "m9"})
            agent.terminate()
            agent.communicate(timeout=20)
    (found,) = json.loads(done.stdout)["instruments"]
    assert found["through_agent"] is True
    assert found["values"]["voltage_v"] == pytest.approx(229.4, abs=1e-4)
    assert [4, 0, SDM120[0]] in found["registers"]
    assert health["failures"] == 0


def test_while_somebody_reads_by_himself_no_agent_starts(tmp_path: Path):
    box = FieldBox(tmp_path, STEADY)
    with box.start("record", "m1", "-o", str(tmp_path / "trace.csv")) as recording:
        until((tmp_path / "trace.csv").exists, recording)
        with box.start("run") as agent:
            refused = agent.communicate(timeout=20)[1]
        recording.send_signal(signal.SIGINT)
        recording.communicate(timeout=20)
    assert agent.returncode == 1
    assert "already works in" in refused


def test_on_a_terminal_it_is_live_until_ctrl_c(tmp_path: Path):
    box = FieldBox(tmp_path, 'name = "mock"\nscript = [20.0, 1500.0]\nstep_s = 0.3')
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(
        box.command("probe"), stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, env=environment
    ) as process:
        os.close(theirs)
        seen, end_s = b"", time.monotonic() + 20
        while not (b"1500" in seen and "▁".encode() in seen and "█".encode() in seen):
            assert select.select([ours], [], [], max(0.0, end_s - time.monotonic()))[0], seen
            seen += os.read(ours, 65536)
        process.send_signal(signal.SIGINT)
        while process.poll() is None:  # what is not read would hold it up
            if select.select([ours], [], [], 0.05)[0]:
                try:
                    os.read(ours, 65536)
                except OSError:
                    break
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""
    os.close(ours)


class Shown:
    """A source whose looks a test hands out."""

    instrument_id, poll_s, live = "m1", 1.0, False
    channels = (Channel("power_w", "W", 0, 1e9),)

    def __init__(self) -> None:
        self.next = Look(None, Health())

    def look(self) -> Look:
        return self.next

    def words(self) -> Words:
        return None


def test_the_same_reading_of_an_agent_is_counted_once_and_a_failure_empties_the_value():
    source = Shown()
    seen = Seen(source, raw=False)
    for at_ns, watts in ((1, 5.0), (1, 5.0), (2, 9.0), (3, None)):
        source.next = Look(Observation(at_ns, {"power_w": watts}), Health())
        seen.look()
    tally = seen.tallies["power_w"]
    assert (list(tally.recent), tally.lowest, tally.highest, tally.read) == ([5.0, 9.0, None], 5.0, 9.0, True)
    source.next = Look(FailedRead(4, UnknownReason.DRIVER_UNAVAILABLE), Health(error="gone", hint="look"))
    seen.look()
    assert (tally.read, seen.error, seen.hint) == (False, "gone", "look")
    assert seen.as_json()["values"] == {}
    assert seen.as_json()["read_at_ms"] is None


@pytest.mark.parametrize(
    ("values", "picture"),
    [
        ([], ""),
        ([5.0, 5.0], "▁▁"),
        ([0.0, 7.0], "▁█"),
        ([0.0, None, 7.0], "▁?█"),
        (["scan", 1.0], "▁"),
        ([float(number) for number in range(8)], "▁▂▃▄▅▆▇█"),
    ],
)
def test_the_little_picture_spans_what_was_seen_lately(values: list[Value], picture: str):
    tally = Tally()
    for value in values:
        tally.saw(value)
    assert tally.picture() == picture
