from dataclasses import replace

import pytest

from instrument_agent.core.readings import Activity, UnknownReason


def run_in_progress(rig, dial):
    rig.start_agent()
    rig.until(lambda: rig.activity("xrd-1") == "standby", "standby is seen")
    dial.watts = 1500.0
    rig.until(lambda: rig.activity("xrd-1") == "running", "the run is seen")


def finish(rig, dial, runs=1):
    """End the run and wait until the platform has everything."""
    rig.until(lambda: rig.activity("xrd-1") == "running", "the run is taken up again")
    dial.watts = 100.0
    rig.until(lambda: len(rig.records("run_session")) == runs, "the run is delivered")
    rig.stop_when_all_is_there()


def test_a_run_over_a_kill_9_is_one_session_with_its_unseen_seconds_and_delivered_once(rig, dial):
    run_in_progress(rig, dial)
    rig.agent.kill()
    rig.pass_time(10)  # longer than gap_s
    rig.start_agent()
    finish(rig, dial)

    (run,) = rig.records("run_session")
    data = run["data"]
    (gap,) = [
        record["data"] for record in rig.records("observation_gap") if record["data"]["reason"] == "agent_crashed"
    ]
    assert data["start_ms"] < gap["start_ms"] < gap["end_ms"] < data["end_ms"]
    assert data["unseen_ms"] == pytest.approx(gap["end_ms"] - gap["start_ms"], abs=1)
    assert data["unseen_ms"] > 8000
    assert data["running_ms"] == data["end_ms"] - data["start_ms"] - data["unseen_ms"]
    assert len({record["epoch"] for record in rig.records()}) == 2

    crashed = [item for item in rig.chain("xrd-1") if item.reason is UnknownReason.AGENT_CRASHED]
    assert [item.activity for item in crashed] == [Activity.UNKNOWN]


def test_a_stop_and_start_is_told_apart_from_a_crash(rig, dial):
    run_in_progress(rig, dial)
    assert rig.agent.stop() == 0
    rig.pass_time(10)  # longer than gap_s
    rig.start_agent()
    finish(rig, dial)

    reasons = {record["data"]["reason"] for record in rig.records("observation_gap")}
    assert "agent_stopped" in reasons
    assert "agent_crashed" not in reasons
    assert len(rig.records("run_session")) == 1


def test_a_kill_in_every_phase_loses_and_doubles_nothing(rig, dial):
    for watts in (100.0, 1500.0, 100.0, 1.0, 1500.0, 100.0):
        dial.watts = watts
        rig.start_agent()
        wanted = "running" if watts > 1000 else "standby" if watts > 5 else "off"
        rig.until(lambda wanted=wanted: rig.activity("xrd-1") == wanted, wanted)
        rig.agent.kill()
    rig.start_agent()
    rig.until(lambda: len(rig.records("run_session")) == 2, "both runs are delivered")
    rig.stop_when_all_is_there()

    chain = rig.chain("xrd-1")  # raises if a second is missing or there twice
    running = sum(item.end_ns - item.start_ns for item in chain if item.activity is Activity.RUNNING)
    delivered = sum(record["data"]["running_ms"] for record in rig.records("run_session"))
    assert running / 1e6 == pytest.approx(delivered, abs=2 * len(rig.records("run_session")))


def test_a_run_open_at_a_reboot_ends_at_its_last_sight_and_the_dark_time_is_unknown(rig, dial):
    run_in_progress(rig, dial)
    rig.agent.kill()
    before = rig.clock.boot_id
    rig.clock = replace(rig.clock, boot_id="11111111-2222-4333-8444-555555555555")
    rig.start_agent()
    finish(rig, dial, runs=2)

    first, second = rig.records("run_session")
    assert (first["boot_id"], second["boot_id"]) == (before, rig.clock.boot_id)
    assert first["data"]["end_uncertainty_ms"] == 20_000, "checkpoint_s: for so long it may have gone on unseen"
    assert second["data"]["continues"] == {"boot_id": before, "start_ms": first["data"]["start_ms"]}
    assert rig.chain("xrd-1", before)[-1].activity is Activity.RUNNING
    dark = rig.chain("xrd-1")[0]
    assert (dark.start_ns, dark.activity, dark.reason) == (0, Activity.UNKNOWN, UnknownReason.POWER_LOSS)
