import json
import socket

import pytest
from rig import Dial, Rig, command

from instrument_agent.sandbox.meter import Fault


@pytest.fixture
def rig(tmp_path):
    with Rig(tmp_path, {"xrd-1": Dial(100.0), "lcms-1": Dial(2000.0)}) as rig:
        yield rig


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_port_that_is_not_there_is_unknown_and_recovers_when_it_appears(rig):
    rig.bench.unplug()
    rig.configure({"platform": rig.start_platform()})
    rig.start_agent()

    found = rig.until(
        lambda: (
            (item := rig.instrument("xrd-1")).get("reason") == "driver_unavailable" and item["driver"]["error"] and item
        ),
        "the port is missed",
    )
    assert found["activity"] == "unknown"
    assert "ttyRS485" in found["driver"]["error"]
    assert "/dev/serial/by-id" in found["driver"]["hint"]

    rig.bench.replug()
    rig.until(lambda: rig.activity("xrd-1") == "standby", "the instrument is seen")
    gaps = [record["data"]["reason"] for record in rig.records("observation_gap")]
    rig.until(
        lambda: "driver_unavailable" in gaps or gaps.extend(_reasons(rig)), "the gap is delivered with its reason"
    )
    assert rig.log().count("xrd-1: lost") == 1


def _reasons(rig):
    return [record["data"]["reason"] for record in rig.records("observation_gap")]


def test_a_dead_meter_costs_its_neighbour_on_the_same_line_nothing(rig):
    rig.bench.meters["xrd-1"].fault = Fault.SILENT
    rig.configure({"platform": rig.start_platform()})
    rig.start_agent()
    rig.until(lambda: rig.activity("lcms-1") == "running", "the neighbour is seen")
    rig.until(lambda: rig.instrument("xrd-1").get("reason") == "driver_unavailable", "the dead one is told")
    assert rig.instrument("lcms-1")["driver"]["failures"] == 0
    assert "power_w" not in rig.instrument("xrd-1")["reading"]


def test_an_unreachable_platform_lets_the_queue_grow_and_gets_everything_later(rig):
    port = free_port()
    rig.configure({"platform": f"http://127.0.0.1:{port}"})
    rig.start_agent()
    rig.until(lambda: rig.activity("lcms-1") == "running", "sensing goes on")
    status = rig.status()
    assert status["destinations"][0]["queue"]["waiting"] == status["destinations"][0]["queue"]["made"] > 0
    assert "no answer" in rig.until(
        lambda: rig.status()["destinations"][0]["contact"]["error"], "the destination's error is shown"
    )

    rig.start_platform(port)
    rig.stop_when_all_is_there()


def test_a_dead_destination_never_holds_up_another(rig):
    rig.configure({"dead": f"http://127.0.0.1:{free_port()}", "platform": rig.start_platform()})
    rig.start_agent()
    rig.until(lambda: rig.delivered("platform") and rig.records("lifecycle_event"), "the living one has everything")
    waiting = {item["name"]: item["queue"]["waiting"] for item in rig.status()["destinations"]}
    assert waiting["dead"] > 0


def test_a_second_agent_on_the_same_state_directory_is_refused(rig):
    rig.configure({"platform": rig.start_platform()})
    rig.start_agent()
    second = command("run", "--config", str(rig.config_path))
    assert second.returncode == 1
    assert "another agent already works in" in second.stderr
    assert "Traceback" not in second.stderr
    rig.until(lambda: rig.activity("lcms-1") == "running", "the first one goes on")


def test_a_new_name_is_a_new_lifecycle_event_and_the_same_name_is_none(rig):
    rig.configure({"platform": rig.start_platform()})
    for _start in range(2):
        rig.start_agent()
        rig.until(lambda: rig.delivered() and rig.records("lifecycle_event"), "delivered")
        assert rig.agent.stop() == 0
    assert [record["instrument_id"] for record in rig.records("lifecycle_event")] == ["xrd-1", "lcms-1"]

    text = rig.config_path.read_text(encoding="utf-8").replace("衍射仪", "新衍射仪", 1)
    rig.config_path.write_text(text, encoding="utf-8")
    rig.start_agent()
    rig.until(lambda: len(rig.records("lifecycle_event")) == 3, "the change is delivered")
    assert rig.records("lifecycle_event")[-1]["data"]["identity"]["name_zh"] == "新衍射仪"


def test_the_credential_opens_the_platform_and_is_in_no_log_and_no_answer(rig, tmp_path):
    secret = "canary-7f3a9c"
    credential = tmp_path / "credential"
    credential.write_text(secret + "\n", encoding="utf-8")
    url = rig.start_platform(token=secret)
    rig.configure({"platform": url}, extra=f"credential_file = {json.dumps(str(credential))}")
    rig.start_agent()
    rig.until(rig.delivered, "the platform took it")
    answers = json.dumps(rig.status()) + command("status", "--config", str(rig.config_path), "--json").stdout
    credential.write_text("wrong-canary-7f3a9c\n", encoding="utf-8")
    rig.until(lambda: "401" in rig.log(), "the refusal is logged")
    assert "canary" not in rig.log() + answers


def test_a_refused_credential_stops_sending_but_not_recording(rig):
    rig.configure({"platform": rig.start_platform(token="the-right-one")})
    rig.start_agent()
    rig.until(lambda: "401" in rig.status()["destinations"][0]["contact"]["error"], "the refusal is shown")
    rig.until(lambda: rig.activity("lcms-1") == "running", "recording goes on")
    assert rig.status()["destinations"][0]["contact"]["attempts"] == 1
    assert rig.records() == []
