"""A card that is full, read-only or broken: the box goes on watching, says so, and loses no more than it must."""

import json
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from card import Card
from rig import ACTIVITY, Dial, Rig, command
from small_box import SmallBox

from instrument_agent.buffer.ballast import BALLAST_BYTES, BALLAST_NAME
from instrument_agent.receiver.app import create_app
from instrument_agent.receiver.ledger import Ledger
from instrument_agent.receiver.server import PlatformServer

FAULTS = {"Input/output error": Card.fail_with_eio, "Read-only file system": Card.give_up}


@pytest.fixture
def card(tmp_path: Path) -> Iterator[Card]:
    card = Card(tmp_path, tmp_path / "state")
    yield card
    card.take_out()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{tmp_path / 'platform.db'}") as ledger:
        yield ledger


@pytest.fixture
def box(tmp_path: Path, card: Card, ledger: Ledger) -> Iterator[SmallBox]:
    """The ordinary command; its instrument runs and stops again all the time, so there is always something to keep."""
    box = SmallBox(tmp_path)
    with PlatformServer(create_app(ledger, time.time_ns)) as platform:
        destination = f'[[destination]]\nname = "platform"\nurl = "{platform.url}"\nfirst_contact_spread_s = 0\n'
        text = box.config_path.read_text(encoding="utf-8")
        box.config_path.write_text(text + destination, encoding="utf-8")
        yield box
        box.kill()


@pytest.mark.parametrize("fault", FAULTS, ids=["eio", "read_only"])
def test_a_card_that_fails_is_said_everywhere_and_watching_goes_on(
    tmp_path: Path, card: Card, ledger: Ledger, box: SmallBox, fault: str
):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(tmp_path / "notify"))
        notified.settimeout(20)
        box.start({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        box.until(lambda found: found["destinations"][0]["queue"]["acknowledged"] >= 3)

        FAULTS[fault](card)
        failing = box.until(lambda found: found["storage_error"])
        assert fault in failing["storage_error"]
        before = failing["instruments"][0]["driver"]["reads"]
        box.until(lambda found: found["instruments"][0]["driver"]["reads"] > before + 10)
        seen = {box.until(lambda found: found["unsaved_changes"] > 1)["instruments"][0]["activity"] for _look in "12"}
        assert seen <= {"running", "standby"}

        def beating() -> bool:
            body = ledger.heartbeats("box-1").latest
            return bool(body and body["storage_error"] and body["instruments"][0]["activity"] in ("running", "standby"))

        box.until(lambda _found: beating())
        said = ""
        while "nothing can be written" not in said:
            said = notified.recv(4096).decode()
        assert "WATCHDOG=1" in [notified.recv(4096).decode() for _message in range(3)]
        shown = box.command("status").stdout
        assert "Nothing can be written down" in shown
        assert (tmp_path / "log").read_text(encoding="utf-8").count("nothing can be written down") == 1

        assert box.agent is not None
        box.agent.send_signal(signal.SIGTERM)
        assert box.agent.wait(30) == 1
        assert "could not be written down and are lost" in (tmp_path / "log").read_text(encoding="utf-8")
        box.agent = None

    card.put_in_again()
    box.start()
    box.until(lambda found: not found["storage_error"] and found["destinations"][0]["queue"]["waiting"] == 0)
    box.stop()
    assert not list(card.path.glob("*.damaged-*")), "a card that could not be read is no damage"
    verified = json.loads(box.command("verify", "--json").stdout)
    assert verified["ok"], verified


@pytest.fixture
def rig(tmp_path: Path, card: Card, dial: Dial) -> Iterator[Rig]:
    """A box whose card is small and whose clock is fast."""
    with Rig(tmp_path, {"xrd-1": dial}, speed=100.0) as rig:
        rig.configure({"platform": rig.start_platform()})
        yield rig


def lived(rig: Rig, how: str) -> None:
    """Have the box work for a while, and end."""
    agent = rig.start_agent()
    rig.until(lambda: rig.activity("xrd-1") == "standby" and rig.delivered(), "standby and delivered")
    agent.stop() if how == "stopped" else agent.kill()


def watched_without_a_card(rig: Rig, dial: Dial) -> None:
    """Check that the box is watching and says what is wrong, and let it see a run."""
    rig.until(lambda: rig.status().get("storage_error"), "the fault is shown")
    dial.watts = 2000.0
    rig.until(lambda: rig.activity("xrd-1") == "running", "a run is seen")
    dial.watts = 100.0
    rig.until(lambda: rig.activity("xrd-1") == "standby", "the run is over")
    body = rig.until(lambda: rig.ledger.heartbeats("box-1").latest, "a heartbeat")
    assert body["storage_error"]


def everything_is_there(rig: Rig) -> None:
    """Check that what was seen without a card is in the books and at the platform, every second of it."""
    rig.until(lambda: rig.status()["storage_error"] == "" and rig.delivered(), "everything is written and delivered")
    rig.until(lambda: len(rig.records("run_session")) == 1, "the run at the platform")
    rig.stop_when_all_is_there()
    reasons = {item.reason for item in rig.chain("xrd-1")}
    assert "storage_fault" not in reasons, "nothing was forgotten"
    assert rig.log().count("nothing can be written down") == 1


@pytest.mark.parametrize("before", ["never", "stopped", "killed"])
def test_a_box_that_starts_on_a_full_card_watches_and_writes_everything_once_there_is_room(
    card: Card, rig: Rig, dial: Dial, before: str
):
    if before != "never":
        lived(rig, before)
        (card.path / BALLAST_NAME).unlink()
    card.fill()
    rig.start_agent()
    watched_without_a_card(rig, dial)
    card.free()
    everything_is_there(rig)


def test_a_box_that_starts_on_a_read_only_card_watches_and_writes_everything_once_it_can(
    card: Card, rig: Rig, dial: Dial
):
    lived(rig, "killed")
    card.remount("ro")
    rig.start_agent()
    watched_without_a_card(rig, dial)
    card.remount("rw")
    everything_is_there(rig)


def test_a_card_that_fills_up_costs_first_the_ballast_and_then_nothing(card: Card, rig: Rig, dial: Dial):
    rig.start_agent()
    rig.until(lambda: rig.activity("xrd-1") == "standby" and rig.delivered(), "standby and delivered")
    for _twice in range(2):
        card.fill()
        rig.until(lambda: not (card.path / BALLAST_NAME).exists(), "the ballast is given up")
    watched_without_a_card(rig, dial)
    card.free()
    everything_is_there(rig)


def test_the_ballast_is_enough_to_start_on_and_is_laid_down_again_soon(tmp_path: Path, card: Card):
    with Rig(tmp_path, {"xrd-1": Dial(100.0)}, speed=400.0) as rig:
        seldom = ACTIVITY.replace("gap_s = 8", "gap_s = 300")
        rig.configure({"platform": rig.start_platform()}, activity=seldom, poll_s=60.0)
        lived(rig, "stopped")
        card.fill()
        rig.start_agent()
        rig.until(lambda: rig.delivered() and len(rig.records("epoch_started")) == 2, "started and delivered")
        assert rig.status()["storage_error"] == ""
        assert not (card.path / BALLAST_NAME).exists()
        card.free()
        for _time in ("at its first look", "ten minutes later"):
            rig.until((card.path / BALLAST_NAME).exists, "the ballast is there again")
            (card.path / BALLAST_NAME).rename(card.path / "taken away")
        rig.until((card.path / BALLAST_NAME).exists, "the ballast is there again")
        assert (card.path / BALLAST_NAME).stat().st_size == BALLAST_BYTES


def test_a_stop_while_the_card_is_full_is_not_called_a_crash(card: Card, rig: Rig, dial: Dial):
    agent = rig.start_agent()
    rig.until(lambda: rig.activity("xrd-1") == "standby" and rig.delivered(), "standby and delivered")
    for _twice in range(2):
        card.fill()
        rig.until(lambda: not (card.path / BALLAST_NAME).exists(), "the ballast is given up")
    watched_without_a_card(rig, dial)
    assert agent.stop() == 1
    stopped_ns = rig.clock.boottime_ns()
    shown = json.loads(command("status", "--json", "--config", str(rig.config_path)).stdout)
    assert shown["instruments"][0]["reason"] == "agent_stopped"
    card.free()
    rig.pass_time(50.0)
    rig.start_agent()
    rig.until(lambda: rig.activity("xrd-1") == "standby" and rig.delivered(), "standby and delivered again")
    unknown = {item.reason: item for item in rig.chain("xrd-1") if item.reason is not None}
    assert "agent_crashed" not in unknown
    assert unknown["storage_fault"].end_ns == unknown["agent_stopped"].start_ns <= stopped_ns
