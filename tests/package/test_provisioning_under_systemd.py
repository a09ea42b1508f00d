"""The installed package takes up a file from the boot partition: a folder stands in for that."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from installed_box import OLD, configuration, mock
from nspawn import CONFIG, Box

from instrument_agent.receiver.app import create_app
from instrument_agent.receiver.enrolment import Enrolment
from instrument_agent.receiver.ledger import Ledger
from instrument_agent.receiver.server import PlatformServer

PROVISION = "instrument-agent-provision.service"
CARD = "/boot/firmware"
PATIENCE_S = 10
GOOD = mock(100.0)
DEAD = mock("unavailable")


@pytest.fixture(scope="module")
def box(tree: Path, stick: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with Box(tree, tmp_path_factory.mktemp("box") / "log", {"/stick": stick}) as box:
        box.install(OLD)
        # An administrator's drop-in: on trial for seconds instead of two minutes.
        start = f"/usr/bin/instrument-agent provision --from {CARD} --from /boot --patience-s {PATIENCE_S}"
        box.write(f"/run/systemd/system/{PROVISION}.d/test.conf", f"[Service]\nExecStart=\nExecStart={start}\n")
        box.do("systemctl", "daemon-reload")
        box.do("mkdir", "-p", CARD)
        yield box


def brought(box: Box, text: str, **files: str) -> tuple[int, str, float]:
    """Put a file on the card and let systemd do what it does at a start; return status, verdict and seconds."""
    box.run("rm", f"{CARD}/instrument-agent-verdict.txt")
    box.write(f"{CARD}/instrument-agent.toml", text)
    for name, content in files.items():
        box.write(f"{CARD}/{name.replace('_', '-')}.txt", content)
    began_s = time.monotonic()
    done = box.run("systemctl", "start", PROVISION)
    took_s = time.monotonic() - began_s
    told = box.run("cat", f"{CARD}/instrument-agent-verdict.txt")
    assert told.returncode == 0, box.run("journalctl", "--no-pager", "--output=cat", "-u", PROVISION).stdout[-2000:]
    verdict = told.stdout
    print(f"{verdict.splitlines()[2]} {took_s:.1f} s")  # noqa: T201  # a figure for docs/provisioning.md
    return done.returncode, verdict, took_s


def test_a_box_that_had_no_config_is_configured_and_enrolled_from_the_card(box: Box, tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'platform.db'}"
    enrolment = Enrolment(database)
    app = create_app(Ledger(database), time.time_ns, enrolment=enrolment)
    with PlatformServer(app) as server:
        assert box.do("systemctl", "is-enabled", PROVISION).strip() == "enabled"
        code = enrolment.new_code("box-1", time.time_ns(), 1)
        status, verdict, _took_s = brought(box, configuration({"first": GOOD}, server.url), enrol_code=code)
        assert (status, box.show("ActiveState")) == (0, "active"), verdict
        assert "GOOD. The box works with this file." in verdict
        assert "first: power_w = 100 W" in verdict
        assert "enrolled there just now" in verdict
        box.until(lambda: not box.status()["destinations"][0]["queue"]["waiting"], "records at the platform")
        assert box.run("test", "-e", f"{CARD}/enrol-code.txt").returncode == 1
        key = box.do("stat", "-c", "%U %a", "/var/lib/instrument-agent/keys/platform.json")
        assert key.split() == ["instrument-agent", "600"]
    enrolment.close()


def test_a_file_with_mistakes_leaves_the_old_config_at_work(box: Box) -> None:
    brought(box, configuration({"first": GOOD}))
    before = (box.do("cat", CONFIG), box.show("MainPID"))
    status, verdict, _took_s = brought(box, configuration({"first": GOOD}).replace("[box]", "[bux]"))
    assert status
    assert "REFUSED" in verdict
    assert "instrument-agent.toml:1: bux: there is no such key" in verdict
    assert (box.do("cat", CONFIG), box.show("MainPID")) == before


def test_an_instrument_that_is_not_read_takes_the_box_back_and_it_goes_on_watching(box: Box) -> None:
    brought(box, configuration({"first": GOOD}))
    before = box.do("cat", CONFIG)
    status, verdict, took_s = brought(box, configuration({"second": DEAD}))
    assert status
    assert "NOT GOOD. The file was tried; the box has gone back to the one before." in verdict
    assert "second: NOT READ" in verdict
    assert took_s < PATIENCE_S + 30
    assert box.do("cat", CONFIG) == before
    assert box.until(lambda: box.instrument("first").get("activity") == "standby", "the instrument from before")


def test_a_stick_is_mounted_taken_up_and_unmounted_with_the_verdict_on_it(box: Box) -> None:
    # No stick can be plugged in here; a folder is mounted instead of a device.
    unit, stick = "instrument-agent-provision@sdz1.service", "/run/instrument-agent-stick/sdz1"
    lines = ("ExecStartPre=", f"ExecStartPre=+/bin/mkdir -p {stick}", f"ExecStartPre=+/bin/mount --bind /mnt {stick}")
    place = "/run/systemd/system/instrument-agent-provision@.service.d/test.conf"
    box.write(place, "\n".join(["[Service]", *lines, ""]))
    box.do("systemctl", "daemon-reload")
    box.write("/mnt/instrument-agent.toml", configuration({"third": GOOD}))
    box.do("systemctl", "start", unit)
    assert "third: power_w = 100 W" in box.do("cat", "/mnt/instrument-agent-verdict.txt")
    assert box.run("mountpoint", "-q", stick).returncode
    assert box.until(lambda: box.instrument("third").get("activity") == "standby", "the instrument of the stick")
