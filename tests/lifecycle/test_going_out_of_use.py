"""An instrument is retired: its books are closed for good, and the box keeps what no platform has confirmed."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

from in_process import Done, run
from rig import Rig
from walked_log import walked

from instrument_agent.buffer.store import Store
from instrument_agent.keys import new_private_key, public_key_of
from instrument_agent.uplink.enrolled import Enrolled, KeyFile


def retire(rig: Rig, *arguments: str) -> Done:
    return run("retire", "--config", str(rig.config_path), "--instrument", "xrd-1", "--yes", *arguments)


def keys_of(rig: Rig) -> Path:
    """Give the box what an enrolment would: a key and a credential."""
    keys = KeyFile(rig.directory / "state", "platform")
    private = new_private_key()
    keys.take(private, Enrolled("a credential", public_key_of(private), ""))
    return keys.path


def running(rig: Rig) -> Any:
    return rig.until(lambda: rig.activity("xrd-1") == "running", "it runs")


def proven(rig: Rig) -> None:
    assert walked(rig.directory / "state").differences == []


def test_a_retired_instrument_has_closed_books_confirmed_hours_and_no_credentials_left(rig: Rig) -> None:
    rig.start_agent()
    running(rig)
    keys = keys_of(rig)
    done = retire(rig, "--who", "李工")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "platform confirms that it has every record" in done.stdout
    assert not keys.exists()
    (told,) = (record for record in rig.records("lifecycle_event") if record["data"]["event"] == "retired")
    in_all = told["data"]["counters"]["in_all"]
    runs, powers = rig.records("run_session"), rig.records("power_session")
    assert [item["data"]["end_ms"] <= told["at_ms"] for item in runs] == [True]
    assert told["data"]["by"] == "李工"
    assert abs(in_all["running_ms"] - sum(item["data"]["running_ms"] for item in runs)) <= 1
    assert abs(in_all["powered_ms"] - sum(item["data"]["powered_ms"] for item in powers)) <= 1
    assert in_all["running_ms"] > 0
    # The agent goes on without it, and so does the next one; what is left to be done can be asked for again.
    assert rig.status()["instruments"] == []
    assert rig.agent is not None
    rig.agent.kill()
    rig.start_agent()
    assert rig.status()["instruments"] == []
    again = retire(rig)
    assert (again.returncode, "platform confirms" in again.stdout) == (0, True)
    assert len([record for record in rig.records() if record["data"].get("event") == "retired"]) == 1
    assert rig.agent.stop() == 0
    proven(rig)


def test_without_a_platform_that_answers_the_card_is_to_be_kept_and_so_are_the_credentials(rig: Rig) -> None:
    rig.start_agent()
    running(rig)
    rig.until(rig.delivered, "something was delivered before")
    keys = keys_of(rig)
    rig.stop_platform()
    done = retire(rig, "--wait", "0")
    assert done.returncode == 1
    assert "platform cannot be asked" in done.stdout
    assert "has not confirmed" in done.stdout
    assert "Keep the card" in done.stdout
    assert keys.exists()
    assert rig.agent is not None
    assert rig.agent.stop() == 0
    proven(rig)


def test_without_a_network_a_sealed_file_takes_all_that_waits_to_the_platform_and_the_credentials_go(rig: Rig) -> None:
    rig.start_agent()
    running(rig)
    rig.until(rig.delivered, "something was delivered before")
    keys = keys_of(rig)
    rig.stop_platform()
    assert retire(rig, "--wait", "0").returncode == 1
    file, made = rig.directory / "xrd-1.jsonl", rig.made()
    done = retire(rig, "--wait", "0", "--sealed", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Keep the card until the platform has imported the file." in done.stdout
    assert "first have it import the file" in done.stdout
    assert not keys.exists()
    assert not made <= set(rig.received())
    database = f"sqlite:///{rig.directory / 'platform.db'}"
    assert run("platform", "import", "--database", database, str(file), "--unsigned").returncode == 0
    assert made <= set(rig.received())
    events = [record["data"]["event"] for record in rig.records("lifecycle_event")]
    assert "retired" in events
    assert rig.agent is not None
    assert rig.agent.stop() == 0


def test_a_sealed_file_is_not_taken_for_what_a_platform_refused(rig: Rig) -> None:
    rig.start_agent()
    running(rig)
    rig.until(rig.delivered, "something was delivered before")
    assert rig.agent is not None
    assert rig.agent.stop() == 0
    with closing(Store(rig.directory / "state", "box-1")) as store, store.write() as change:
        change.execute("insert into dead_letters (destination, record_id, reason) values ('platform', 1, 'no')")
    keys = keys_of(rig)
    rig.start_agent()
    rig.stop_platform()
    done = retire(rig, "--wait", "0", "--sealed", str(rig.directory / "xrd-1.jsonl"))
    assert done.returncode == 1
    assert "one refused, is only on this box" in done.stdout
    assert keys.exists()
    assert rig.agent.stop() == 0


def test_the_doctor_does_not_miss_what_is_retired(rig: Rig) -> None:
    rig.start_agent()
    running(rig)
    assert retire(rig).returncode == 0
    done = run("doctor", "--config", str(rig.config_path), "--json")
    (found,) = [item for item in json.loads(done.stdout)["verdicts"] if item["about"] == "xrd-1"]
    assert (found["grade"], found["finding"]) == ("not_applicable", "it is retired")
    assert rig.agent is not None
    assert rig.agent.stop() == 0
