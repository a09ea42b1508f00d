"""A card that forgets, under the whole box."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from rig import Dial, Rig, command

from instrument_agent.buffer.reader import FILE_NAME
from instrument_agent.buffer.store import SUSPECT_NAME


def test_a_damaged_database_is_set_aside_said_to_the_platform_and_watching_goes_on(tmp_path: Path):
    with Rig(tmp_path, {"xrd-1": Dial(2000.0)}) as rig:
        rig.configure({"platform": rig.start_platform()})
        rig.start_agent()
        rig.until(lambda: rig.activity("xrd-1") == "running" and rig.delivered(), "running and delivered")
        assert rig.agent is not None
        rig.agent.kill()
        with closing(sqlite3.connect(tmp_path / "state" / FILE_NAME)) as connection:
            changed = "update records set body = replace(body, 'lifecycle', 'lifecycel') where type = 'lifecycle_event'"
            assert connection.execute(changed).rowcount == 1
            connection.commit()
        rig.start_agent()
        (fault,) = rig.until(lambda: rig.records("fault"), "the fault at the platform")
        assert fault["data"]["kind"] == "database_damaged"
        assert (tmp_path / "state" / fault["data"]["file"]).exists()
        rig.until(lambda: rig.activity("xrd-1") == "running" and rig.delivered(), "running and delivered again")
        assert len(rig.received()) == len(set(rig.received()))
        rig.chain("xrd-1")


def test_an_agent_that_meets_damage_ends_so_that_its_next_start_can_mend_it(tmp_path: Path):
    with Rig(tmp_path, {"xrd-1": Dial(2000.0)}) as rig:
        rig.configure({"platform": rig.start_platform()})
        agent = rig.start_agent()
        rig.until(lambda: rig.activity("xrd-1") == "running" and rig.delivered(), "running and delivered")
        rig.stop_platform()
        with closing(sqlite3.connect(tmp_path / "state" / FILE_NAME, timeout=10)) as connection:
            connection.execute("update destinations set acked_id = 1")
            connection.commit()
        rig.until(lambda: not agent.running, "the agent has ended")
        assert (tmp_path / "state" / SUSPECT_NAME).exists()


def test_a_card_that_was_put_back_is_said_to_the_platform_and_in_status(tmp_path: Path):
    with Rig(tmp_path, {"xrd-1": Dial(2000.0)}) as rig:
        rig.configure({"platform": rig.start_platform()})
        for _start in ("before the image", "after it"):
            agent = rig.start_agent()
            rig.until(lambda: rig.activity("xrd-1") == "running" and rig.delivered(), "running and delivered")
            epoch = rig.status()["epoch"]
            assert agent.stop() == 0
            if not (tmp_path / "image").exists():
                shutil.copytree(tmp_path / "state", tmp_path / "image")
        there = max(seq for of, seq in rig.received() if of == epoch)
        shutil.rmtree(tmp_path / "state")
        shutil.copytree(tmp_path / "image", tmp_path / "state")

        rig.start_agent()
        (fault,) = rig.until(lambda: rig.records("fault"), "the fault at the platform")
        data = {"kind": "epoch_unknown_here", "epoch": epoch, "acked_through": there, "shown_by": "platform:platform"}
        assert fault["data"] == data
        assert rig.status()["epochs_unknown_here"] == [data]
        assert "records of 1 epoch of this box" in command("status", "--config", str(rig.config_path)).stdout
